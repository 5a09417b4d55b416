package origin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// confirm asks anew, twice at most, before it is believed that the file has
// changed: err, by a response that told the version seen. What it returns is
//
//   - nil if only the entity tag or the date differs, and compare finds the same content;
//   - a transient error if the answer was an oddity, as of a proxy, or nothing
//     can be learnt now;
//   - else err, with what the origin has now.
func (r *Resource) confirm(ctx context.Context, p *pin, seen Version, err error) error {
	select {
	case r.confirming <- struct{}{}: // one asks, for all who wonder
		defer func() { <-r.confirming }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if r.check(p, seen) == nil { // found out meanwhile
		return nil
	}
	if p.isNow(seen) {
		return err
	}
	if r.onlyTagDiffers(p, seen) {
		return r.compare(ctx, p, seen, err)
	}
	var now Version
	for range 2 {
		v, failed := r.look(ctx, p)
		if failed != nil {
			return failed
		}
		now = v
		if again := r.check(p, v); again == nil {
			return &Error{Err: fmt.Errorf("%w, but then again it had not", because(err))}
		} else if KindOf(again) != Changed {
			return again
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mu.now = &now
	return &Error{Kind: Changed, Now: now, Err: because(err)}
}

// look asks for the version that the URL has now. It begins at the URL itself, not at a
// known redirect target.
func (r *Resource) look(ctx context.Context, p *pin) (v Version, err error) {
	ranges := rangeHeader(0, 1)
	if r.isPlain() {
		ranges = ""
	}
	x, err := r.walk(ctx, http.MethodGet, r.list, ranges)
	if err != nil {
		return v, unsettled(err)
	}
	defer x.body.drain()
	a, err := examine(x.resp, 0, 1, p.want.Size)
	switch {
	case KindOf(err) == Changed: // a 416 that tells another size
	case err != nil:
		return v, unsettled(err)
	case r.isPage(x.resp) && r.extension() != "":
		return v, unsettled(errPage)
	}
	if doc := r.errorDoc(x, a); doc != nil {
		return v, unsettled(doc)
	}
	return a.version, nil
}

// unsettled is the error of a change that cannot be confirmed.
func unsettled(err error) error {
	return &Error{Err: fmt.Errorf("file may have changed on the origin: %w", because(err))}
}

// because is what was wrong according to an *Error, without its kind.
func because(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Err
	}
	return err
}

// distrustDate is distrust for a date.
func (r *Resource) distrustDate() {
	r.mu.Lock()
	r.mu.undated = true
	r.mu.Unlock()
	if !r.saidUnstable.Swap(true) {
		r.c.log.Warn("last modified differs from answer to answer while the content is the same, and is ignored", "url", r.URL())
	}
}

// distrust has validators ignored that this URL gives at random.
func (r *Resource) distrust() {
	r.mu.Lock()
	r.mu.unstable = true
	r.mu.Unlock()
	r.sayUnstable()
}

// sayUnstable says once that tags differ.
func (r *Resource) sayUnstable() {
	if !r.saidUnstable.Swap(true) {
		r.c.log.Warn("entity tag differs from answer to answer while the content is the same, and is ignored", "url", r.URL())
	}
}
