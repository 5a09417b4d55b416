package origin

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"time"

	"dlfs/listfile/digest"
)

// Body is the bytes [off +n) of one version of a file, streamed. It resumes by
// itself, at the next byte, when a connection breaks, stalls or gives less than
// was asked. It is for one goroutine at a time.
type Body struct {
	r     *Resource
	ctx   context.Context
	asked int64 // the first byte that was wanted
	whole bool  // ask for everything, and skip what was read before

	version Version // Size is UnknownSize until the first answer; if that does not say it, until the end
	pin     *pin    // nil until the version is known
	off     int64   // of the next byte Read returns
	end     int64   // maxOffset if not known

	cur     *watched // the response being read, nil between two
	came    int64    // bytes of it that were read
	curEnd  int64    // where it ends
	endless bool     // it does not say where it ends
	closes  bool     // it ends where its connection is closed
	cut     bool     // see Cut
	gen     int      // of the target it came from
	short   int      // answers in a row that were much shorter than asked
	ranged  bool     // an answer has been about a range

	sum     maphash.Hash // of the bytes handed out, if whole: an answer that repeats them is compared
	summed  int64        // how many those are
	failed  int          // answers 500 in a row
	refused bool         // ranges were, and it was asked for without one
}

// begin connects for the first time. It decides whether ranges are asked for: not if the size
// is unknown, and not from a host that refuses ranges. If a first contact fails because the host
// refuses a range, it is repeated without one.
func (b *Body) begin(want *Version) (*Body, error) {
	if b.r.err != nil {
		return nil, b.r.err
	}
	b.version.Size = UnknownSize
	switch {
	case want == nil:
	case want.Size == UnknownSize: // there is but one way to read it
		b.version, b.pin, b.end, b.whole = *want, b.r.pinFor(*want), maxOffset, true
	default:
		b.version, b.pin, b.end = *want, b.r.pinFor(*want), min(b.end, want.Size)
	}
	if want != nil && !b.whole && b.r.isPlain() {
		return nil, &Error{Kind: NoRanges, URL: b.r.URL(), Err: errors.New("host refuses ranges")}
	}
	err := b.retry(func() error { return b.besideAnother(b.connect()) })
	if err != nil && KindOf(err) == Transient {
		err = b.plainly(err)
	}
	if KindOf(err) == NoRanges && want == nil && b.off == 0 && !b.whole {
		b.whole, b.end = true, maxOffset // its ranges are of no use: all of it, then
		err = b.retry(b.connect)
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// besideAnother changes what a refusal means by what else is asked of the URL. Beside one
// other answer that is being read, a refusal that may pass is not waited for if ctx is of
// MaySpare: the origin may give one at a time, or the URL be good for one request, and then
// that answer had better be read to its end. A 403 right after an answer has ended may pass.
func (b *Body) besideAnother(err error) error {
	var e *Error
	if b.pin == nil || !errors.As(err, &e) || e.Status < 400 {
		return err
	}
	switch streams := b.r.streams.Load(); {
	case e.Kind == Transient && streams == 1 && maySpare(b.ctx):
		e.retry.none = true
	case e.Status == http.StatusForbidden && e.Kind == NeedsURL && streams == 0 && b.r.justEnded():
		e.Kind, e.retry = Transient, retry{most: fewRetries, lasting: NeedsURL}
	}
	return err
}

// endNoticed is within what time an origin that gives one answer at a time notices that one
// has ended. Until then it may refuse the next one.
const endNoticed = time.Second

// streamEnded notes that an answer about the URL is no longer being read.
func (r *Resource) streamEnded() {
	r.streams.Add(-1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.ended = time.Now()
}

// justEnded reports whether the origin may not have noticed yet that an answer has ended.
func (r *Resource) justEnded() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return time.Since(r.mu.ended) < endNoticed
}

// retry retries f. When that was in vain, the next one begins at the URL.
func (b *Body) retry(f func() error) error {
	err := b.r.c.retry(b.ctx, b, f)
	if err != nil && b.ctx.Err() == nil && KindOf(err) == Transient {
		b.r.leave(b.gen)
	}
	return err
}

// String is what logs call the body: its URL without secrets, and the extent that is wanted.
func (b *Body) String() string {
	if b.whole {
		return b.r.URL()
	}
	return fmt.Sprintf("%s [%d +%d)", b.r.URL(), b.asked, b.end-b.asked)
}

// Version is the pinned version, or on first contact the one that answered.
func (b *Body) Version() Version { return b.version }

// Ranged reports whether the origin has shown that it knows ranges.
func (b *Body) Ranged() bool { return b.ranged }

// End is the offset of the first byte that is not part of the body, or
// UnknownSize while only the end of the stream will tell.
func (b *Body) End() int64 {
	if b.end == maxOffset {
		return UnknownSize
	}
	return b.end
}

// Digest is the strongest digest of the whole file that a response of this
// Resource for this version told, redirects included; zero if none did.
func (b *Body) Digest() digest.Digest {
	if b.pin == nil {
		return digest.Digest{}
	}
	b.pin.mu.Lock()
	defer b.pin.mu.Unlock()
	return b.pin.mu.digest
}

// Read reads the next bytes. It blocks until some arrive, the retries are used
// up, or the context ends. The error is an *Error, the context's cause, or
// io.EOF after the last byte.
func (b *Body) Read(p []byte) (n int, err error) {
	if b.off >= b.end {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	err = b.retry(func() error {
		n, err = b.readOnce(p)
		return err
	})
	if err == nil && n == 0 && b.off >= b.end { // a body of unknown length was at its end
		return 0, io.EOF
	}
	return n, err
}

// Cut reports whether a body of unknown length, which has been read to its end, may not be
// all: a TLS connection was closed without a close_notify, or the connection was closed
// before the first byte.
func (b *Body) Cut() bool { return b.cut }

// Crowded reports whether a reader waits for a place at the host that the body comes from,
// because that host takes only so many requests at once. A caller that no reader waits for
// may close the body then.
func (b *Body) Crowded() bool { return b.cur != nil && b.r.c.gate.crowded(b.cur.ticket.host) }

// Close ends the request. If the response was read to its end, its connection
// serves the next one.
func (b *Body) Close() {
	if b.cur != nil {
		b.cur.end()
		b.cur = nil
		b.r.streamEnded()
	}
}

// readOnce reads some bytes, connecting first if need be. None without an error
// are the clean end of a file of unknown length.
func (b *Body) readOnce(p []byte) (int, error) {
	if b.cur == nil {
		if err := b.connect(); err != nil || b.cur == nil {
			return 0, err
		}
	}
	n, err := b.cur.Read(p[:min(int64(len(p)), b.curEnd-b.off)])
	if b.endless {
		if n, err = b.atEnd(n, err); err == io.EOF {
			return n, nil
		}
	}
	if n > 0 {
		if b.whole {
			b.sum.Write(p[:n]) // never fails (package maphash)
			b.summed += int64(n)
		}
		b.off += int64(n)
		b.came += int64(n)
		b.r.progress(b.gen)
	}
	if b.off == b.curEnd {
		b.finish()
		return n, nil
	}
	if err == nil {
		return n, nil
	}
	b.Close()
	if n > 0 {
		return n, nil // the next Read resumes
	}
	return 0, b.broke(err)
}

// finish ends a response whose last wanted byte was read, taking its end-of-body
// along where it follows at once, so that the connection can be kept.
func (b *Body) finish() {
	var one [1]byte
	if b.cur != nil && !b.whole {
		b.cur.timeout = min(b.cur.timeout, endWait)
		b.cur.Read(one[:]) // the outcome does not matter: the bytes are all there
	}
	b.Close()
}

// broke is the error of a body that ended before its end.
func (b *Body) broke(err error) error {
	e := &Error{}
	if errors.As(err, &e) {
		return b.r.describe(b.ctx, "", e)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return b.r.describe(b.ctx, "", &Error{Err: fmt.Errorf("body broke off at byte %d: %w", b.off, err), retry: retry{brought: b.came >= shortAnswer}})
}
