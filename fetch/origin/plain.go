package origin

import (
	"errors"
	"net/http"

	"dlfs/cache/lockorder"
)

// Many servers refuse a range in words that could mean anything: that the request
// is bad, that the file is not there, that it may not be had. So before a file is
// given up for such an answer, it is asked for once without a range.

// plain is what was learnt of hosts by asking otherwise. The zero value
// knows nothing. It is safe for concurrent use.
type plain struct {
	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]plainHost // guarded by mu
}

// plainHost is what was learnt of one host.
type plainHost struct {
	ranges bool // it has sent a range
	direct bool // it answered without a redirect when that was last looked at
	only   bool // it refused ranges, and sent the same file without one
	inVain int  // how often it refused both
	sloppy bool // its headers are mended before they are read
}

// maxInVain is how often a host that refuses ranges is asked without one, if that
// never helps: its URLs are no good, and that is all.
const maxInVain = 32

// note changes what is known of a host.
func (p *plain) note(host string, change func(*plainHost)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts == nil {
		p.hosts = map[string]plainHost{}
	}
	h := p.hosts[host]
	change(&h)
	p.hosts[host] = h
}

// get returns what is known of a host, the zero plainHost if nothing is.
func (p *plain) get(host string) plainHost {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.hosts[host]
}

// isPlain reports whether ranges are not to be asked of the URL's host.
func (r *Resource) isPlain() bool {
	h := r.c.plain.get(r.list.Host)
	return h.only && !h.ranges
}

// sentRange notes that the URL gave a range.
func (r *Resource) sentRange() {
	if !r.ranged.Swap(true) {
		r.c.plain.note(r.list.Host, func(h *plainHost) { h.ranges = true })
	}
}

// mayMeanTheRange reports whether a status may be due to the range asked.
func mayMeanTheRange(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusRequestedRangeNotSatisfiable, http.StatusInternalServerError, http.StatusNotImplemented:
		return true
	}
	return false
}

// refusedFor is plainly, unless err may pass. An answer 500 may pass, or be how the origin
// refuses a range: on first contact it is believed to be that after fewRetries of them in a
// row.
func (b *Body) refusedFor(err error) error {
	var e *Error
	switch {
	case KindOf(err) != Transient:
		return b.plainly(err)
	case !errors.As(err, &e) || e.Status != http.StatusInternalServerError || b.pin != nil: // a version is known, so the URL is good
		b.failed = 0
		return err
	}
	if b.failed++; b.failed < fewRetries {
		return err
	}
	return b.plainly(err)
}

// plainly asks once without a range, when one was refused with err. On first
// contact what then comes is read; else the error says that it would come. If it
// does not come, err was right.
func (b *Body) plainly(err error) error {
	var e *Error
	if !errors.As(err, &e) || e.retry.none || !mayMeanTheRange(e.Status) || e.After > 0 || b.whole || b.refused || b.r.ranged.Load() {
		return err
	}
	if e.Kind == Transient && e.Status != http.StatusInternalServerError {
		return err
	}
	if b.r.c.plain.get(b.r.list.Host).inVain >= maxInVain {
		return err
	}
	b.refused = true
	x, failed := b.r.get(b.ctx, "")
	if failed != nil || x.resp.StatusCode != http.StatusOK {
		if failed == nil {
			x.body.drain()
		}
		if b.ctx.Err() == nil {
			b.r.c.plain.note(b.r.list.Host, func(h *plainHost) { h.inVain++ })
		}
		return err
	}
	if b.pin != nil || b.off > 0 {
		x.body.drain()
		b.r.sendsOnlyWhole(e.Status)
		return b.r.describe(b.ctx, "", &Error{Kind: NoRanges, Status: e.Status, Err: errors.New("origin refuses ranges")})
	}
	end := b.end
	b.whole, b.end = true, maxOffset
	a, failed := b.take(x, 0, maxOffset)
	if failed != nil {
		x.body.drain()
		b.whole, b.end = false, end
		return b.r.describe(b.ctx, "", b.r.blame(x, failed))
	}
	b.r.sendsOnlyWhole(e.Status)
	return b.start(x, a, maxOffset)
}

// sendsOnlyWhole remembers that the host refuses ranges with this status.
func (r *Resource) sendsOnlyWhole(status int) {
	first := false
	r.c.plain.note(r.list.Host, func(h *plainHost) {
		first = !h.only
		h.only, h.inVain = true, 0
	})
	if first {
		r.c.log.Info("host refuses ranges and is asked for whole files", "host", r.list.Host, "status", status)
	}
}
