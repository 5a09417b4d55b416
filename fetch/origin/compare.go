package origin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// An entity tag that differs while size and date agree is either another version,
// as RFC 9110 section 8.8.1 has it, or noise: replicas with tags of their own, or a
// tag made anew for each answer. Content decides. Pieces of the pinned version are
// asked for again until enough answers with other tags have brought the same bytes.

const (
	// maxLooks bounds the pieces that are compared for one doubt.
	maxLooks = 8

	// looksATag is how many pieces with one tag must agree for that tag to mean the
	// pinned version, and looksAnyTag how many with other tags for tags to mean
	// nothing.
	looksATag   = 2
	looksAnyTag = 4
)

var errNothingToCompare = errors.New("entity tag or date differs, and nothing of the file is there yet to compare by")

// NothingToCompare reports whether err is that an answer may be of another version, while no
// byte of the pinned one is there to tell.
func NothingToCompare(err error) bool { return errors.Is(err, errNothingToCompare) }

// onlyTagDiffers reports whether seen differs from what this URL told before in
// the entity tag alone, or in the date alone, so that it can be compared. Size and
// date, or the size if that suffices, agree.
func (r *Resource) onlyTagDiffers(p *pin, seen Version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	own := p.mu.own
	if own.ETag == "" && seen.ETag == "" {
		return r.opts.Known != nil && seen.Size == own.Size && own.LastModified != "" && seen.LastModified != ""
	}
	differs := seen.ETag != "" && seen.ETag != own.ETag && (own.ETag != "" || isWeak(seen.ETag))
	return r.opts.Known != nil && seen.Size == own.Size && differs &&
		(r.opts.SizeSuffices || seen.LastModified == own.LastModified && (own.LastModified != "" || isWeak(seen.ETag)))
}

// compare decides by content whether an answer with another entity tag, seen, is
// of the pinned version. It returns nil if it is; err, as a confirmed change, if
// the content differs and no answer has the pinned tag any more; a transient error
// if the origin has both, or nothing can be learnt now.
func (r *Resource) compare(ctx context.Context, p *pin, seen Version, err error) error {
	if seen.ETag == "" {
		return r.compareDated(ctx, p, seen, err)
	}
	agreed, tags, differs, back := 0, map[string]int{}, false, false
	var now Version
	for range maxLooks {
		off, piece := r.opts.Known(p.want)
		if len(piece) == 0 {
			if p.retell(seen) {
				return nil
			}
			return &Error{Err: errNothingToCompare}
		}
		v, same, _, failed := r.again(ctx, p, off, piece)
		switch {
		case failed != nil:
			return failed
		case v.ETag == p.tag():
			back = true
		case !same || !r.onlyTagDiffers(p, v):
			now, differs = v, true
		default:
			agreed++
			tags[v.ETag]++
		}
		if differs && back {
			return &Error{Err: fmt.Errorf("%w, and then again it had not: the origin serves two versions in turns", because(err))}
		}
		if !differs && tags[seen.ETag] >= looksATag {
			p.believe(seen.ETag)
			r.sayUnstable()
			return nil
		}
		if !differs && agreed >= looksAnyTag && len(tags) == agreed {
			break
		}
	}
	switch {
	case differs:
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mu.now = &now
		return &Error{Kind: Changed, Now: now.strong(), Err: because(err)}
	case agreed < looksAnyTag:
		return &Error{Err: fmt.Errorf("%w, but then again it had not", because(err))}
	}
	r.distrust()
	return nil
}

// again asks for a piece once more. It returns the version of the answer, whether
// its bytes are the same, and its header.
func (r *Resource) again(ctx context.Context, p *pin, off int64, piece []byte) (v Version, same bool, h http.Header, err error) {
	end := off + int64(len(piece))
	ranges := rangeHeader(off, end)
	if r.isPlain() {
		ranges = ""
	}
	x, err := r.walk(ctx, http.MethodGet, r.list, ranges)
	if err != nil {
		return v, false, nil, unsettled(err)
	}
	defer x.body.drain()
	a, err := examine(x.resp, off, end, p.want.Size)
	switch {
	case KindOf(err) == Changed:
		return a.version, false, x.resp.Header, nil
	case err != nil:
		return v, false, nil, unsettled(err)
	case r.isPage(x.resp):
		return v, false, nil, unsettled(errPage)
	}
	got := make([]byte, len(piece))
	if _, err = io.CopyN(io.Discard, x.body, off-a.off); err == nil {
		_, err = io.ReadFull(x.body, got)
	}
	if err != nil {
		return v, false, nil, unsettled(err)
	}
	return a.seen(), bytes.Equal(got, piece), x.resp.Header, nil
}

// tag is the entity tag by which this URL tells the pinned version.
func (p *pin) tag() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.own.ETag
}

// retell has the pinned version be told by seen from now on, if no answer that was
// of the version has been read: then no bytes can be mixed.
func (p *pin) retell(seen Version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.taken || !p.mu.proven {
		return false
	}
	p.mu.own, p.mu.taken = seen, true
	return true
}

// isUntaken reports whether an answer of the pinned size is the first that brings bytes of the
// file: none is there, and none has been read. Then HEAD alone told the pinned version.
func (r *Resource) isUntaken(p *pin, seen Version) bool {
	p.mu.Lock()
	untaken := p.mu.proven && !p.mu.taken && seen.Size == p.want.Size
	p.mu.Unlock()
	if !untaken || r.opts.Known == nil {
		return false
	}
	_, piece := r.opts.Known(p.want)
	return len(piece) == 0
}

// believe has an entity tag mean the pinned version, too.
func (p *pin) believe(tag string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.tags == nil {
		p.mu.tags = map[string]bool{}
	}
	p.mu.tags[tag] = true
	p.mu.own.ETag = cmp.Or(p.mu.own.ETag, tag)
}
