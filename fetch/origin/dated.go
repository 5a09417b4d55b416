package origin

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// A date that differs is a change, most often: a file that was edited in place has
// the same size and most of its content. It is noise where a script dates each
// answer anew, which shows by the answer's own Date, or where replicas have dates
// of their own, which shows by the first one coming back.

// age is for how long a file was not modified when a response was sent, as that
// says; ok is false if it does not.
func age(h http.Header) (d time.Duration, ok bool) {
	sent, err1 := http.ParseTime(h.Get("Date"))
	modified, err2 := http.ParseTime(h.Get("Last-Modified"))
	return sent.Sub(modified), err1 == nil && err2 == nil
}

// sameAge is how much the ages of a file that is dated anew with each answer differ.
const sameAge = 2 * time.Second

// compareDated decides whether a file has changed, after an answer that differs from the pinned
// version in its date alone. It asks again, up to maxLooks times, a bit more than a second apart,
// and compares bytes that are known. It returns nil if the date says nothing: where each answer
// is dated anew, or where replicas have dates of their own and the pinned one comes back. It
// returns the error err, as that of a confirmed change, if the new date stays or the bytes differ.
func (r *Resource) compareDated(ctx context.Context, p *pin, seen Version, err error) error {
	pinned := p.date()
	dates, follows, back, agreed := map[string]int{}, true, false, 0
	var firstAge time.Duration
	var now Version
	for look := range maxLooks {
		if look > 0 { // a date has seconds
			if err := sleep(ctx, 1100*time.Millisecond); err != nil {
				return err
			}
		}
		off, piece := r.opts.Known(p.want)
		if len(piece) == 0 {
			if p.retell(seen) {
				return nil
			}
			return &Error{Err: errNothingToCompare}
		}
		v, same, h, failed := r.again(ctx, p, off, piece)
		if failed != nil {
			return failed
		}
		d, ok := age(h)
		if look == 0 {
			firstAge = d
		}
		now, follows = v, follows && ok && (d-firstAge).Abs() <= sameAge
		back = back || v.LastModified == pinned
		if !same || v.LastModified != pinned && !r.onlyTagDiffers(p, v) {
			if back {
				return &Error{Err: fmt.Errorf("%w, and then again it had not: the origin serves two versions in turns", because(err))}
			}
			return p.confirmed(now, err)
		}
		dates[v.LastModified]++
		agreed++
		switch {
		case agreed < looksATag:
		case follows && len(dates) > 1:
			r.distrustDate()
			return nil
		case (back || r.opts.SizeSuffices) && dates[seen.LastModified] >= looksATag:
			p.believe(seen.LastModified)
			return nil
		case !follows && !back && look >= looksAnyTag-1:
			return p.confirmed(now, err)
		}
	}
	return &Error{Err: fmt.Errorf("%w, but then again it had not", because(err))}
}

// confirmed is the error of a change that was asked about again.
func (p *pin) confirmed(now Version, err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.now = &now
	return &Error{Kind: Changed, Now: now, Err: because(err)}
}

// date is the date by which this URL tells the pinned version.
func (p *pin) date() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.own.LastModified
}
