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
//   - nil if only validators differ that this URL gives at random;
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
	var now Version
	for range 2 {
		v, failed := r.look(ctx, p)
		if failed != nil {
			return failed
		}
		now = v
		if r.wavers(p, seen, v) {
			r.distrust()
			return nil
		}
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

// look asks for the version that the URL has now, whatever target is known.
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

// wavers reports whether the entity tag alone differs from answer to answer, or
// came back: then it is no validator. Size and date, or the size if that
// suffices, must agree.
func (r *Resource) wavers(p *pin, seen, v Version) bool {
	p.mu.Lock()
	own := p.mu.own
	p.mu.Unlock()
	alike := func(w Version) bool {
		return w.Size == own.Size && (r.opts.SizeSuffices || own.LastModified != "" && w.LastModified == own.LastModified)
	}
	return alike(seen) && alike(v) && own.ETag != "" && seen.ETag != own.ETag && v.ETag != seen.ETag
}

// distrust has validators ignored that this URL gives at random.
func (r *Resource) distrust() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.mu.unstable {
		r.mu.unstable = true
		r.c.log.Warn("entity tag differs from answer to answer and is ignored", "url", r.URL())
	}
}
