package origin

import (
	"context"
	"math"
	"net/http"
	"time"
)

// A host may refuse one request more than it takes with 403, 404 or 400, which also says that
// a URL is no good. So such a refusal is doubted if there were other requests to the host at the
// time. No other request is admitted meanwhile. If answers about other files are being read, one
// of these files is asked for again, for one byte: the control.
//
//	the control is                 then
//	refused with the same status   the host takes no more requests: the bound holds from now
//	                               on (bound.go), and the request is repeated in its turn
//	accepted                       the request is repeated once, and a second refusal is the
//	                               URL's own
//	anything else                  the refusal is the URL's own
//
// If no answer about another file is being read, the request is repeated without a control,
// alone. Once enough refusals in a row have been found to be their URLs' own, others are
// believed at once: after controls, while the host takes as many requests as then; after
// repetitions alone, until the host accepts a request for a file.

const (
	mostDoubts   = 8               // a request is not repeated more often
	mostLate     = 2               // nor for a host that is late to notice the end of an answer
	proofsEnough = 12              // refusals in a row that were found to be their URLs' own: few may come first by chance
	answersSoon  = time.Second     // the answers to other requests are waited for so long
	meantLasts   = 5 * time.Second // no refusal of the URL is doubted for so long after one that was its own
)

// doubts is what is known of a host to tell why it refuses requests. It is guarded by gate.mu.
type doubts struct {
	reading    []*ticket     // whose answers are about a file, and have not ended
	ended      time.Time     // when the last such answer ended
	unanswered int           // requests that have no answer yet
	answered   chan struct{} // closed at the next answer; nil if nothing waits for it
	held       chan struct{} // closed when requests are admitted again; nil if they are
	proofs     int           // refusals in a row that were found to be their URLs' own after a control
	alone      int           // the same without a control, since a file was accepted
	taken      int           // answers that were being read when a control was accepted, at most
}

// isDoubtful reports whether a refusal may be of one request more than the host takes.
func (r *Resource) isDoubtful(x *exchange, method string) bool {
	code := x.resp.StatusCode
	switch code {
	case http.StatusUnauthorized, http.StatusProxyAuthRequired, http.StatusRequestedRangeNotSatisfiable:
		return false
	}
	return method == http.MethodGet && code >= 400 && code < 500 && verdictOf(code, false).kind != Transient && after(x.resp) == 0 &&
		r.streams.Load() == 0 && !r.isMeant()
}

// isMeant reports whether a refusal was found to be the URL's own a moment ago.
func (r *Resource) isMeant() bool { return time.Since(time.Unix(0, r.meant.Load())) <= meantLasts }

// doubt finds out what the refusal x of the request try means, which is doubtful. It returns
// nil if the request is to be repeated; else x, or what came instead. The error is described.
func (r *Resource) doubt(ctx context.Context, x *exchange, ranges string, try int) (*exchange, error) {
	t := x.body.ticket
	if try <= mostLate && t.mayBeLate() {
		x.body.drain()
		return nil, restFor(ctx, r.c.backoff(try), true)
	}
	if t.isBelieved() || t.wasAlone() {
		return r.believe(x), nil
	}
	limited, err := t.hold(ctx)
	if err != nil {
		x.body.end()
		return nil, err
	}
	if !limited {
		defer t.release()
		if r.isMeant() || t.isBelieved() { // found while this request waited for the hold
			return r.believe(x), nil
		}
		another := t.other()
		if another == nil {
			return r.repeat(ctx, x, ranges)
		}
		taken, ok := r.control(ctx, another, x.resp.StatusCode)
		switch {
		case !ok:
			return r.believe(x), nil
		case taken:
			return r.repeat(ctx, x, ranges)
		}
		t.limit()
	}
	if try >= mostDoubts {
		return r.believe(x), nil
	}
	x.body.drain()
	return nil, nil
}

// believe has the refusal x be the URL's own.
func (r *Resource) believe(x *exchange) *exchange {
	r.meant.Store(time.Now().UnixNano())
	x.body.ticket.good(false)
	return x
}

// control asks again for what another request was answered with, and reports whether the host
// accepts that; it is not ok if the answer tells nothing, since the host does not refuse with
// status.
func (r *Resource) control(ctx context.Context, another *ticket, status int) (taken, ok bool) {
	ranges := ""
	if another.ranged {
		ranges = rangeHeader(0, 1)
	}
	x, err := another.object.ask(ctx, another.again(), http.MethodGet, another.url, ranges, "")
	if err != nil {
		return false, false
	}
	defer x.body.drain()
	if x.isGood() {
		another.took()
		return true, true
	}
	return false, x.resp.StatusCode == status
}

// repeat makes the request of x again, when a control was accepted or no other request is open.
// If it is refused again, the URL is to blame; else there were too many requests.
func (r *Resource) repeat(ctx context.Context, x *exchange, ranges string) (*exchange, error) {
	t := x.body.ticket
	x.body.drain()
	if err := sleep(ctx, cutNoticed); err != nil { // until the host knows that the others have ended
		return nil, err
	}
	x, err := r.ask(ctx, t.again(), http.MethodGet, x.url, ranges, "")
	switch {
	case err != nil:
		return nil, err
	case x.isGood():
		t.limit()
	case r.isDoubtful(x, http.MethodGet):
		t.proved()
		return r.believe(x), nil
	}
	return x, nil
}

// isBelieved reports whether the refusal of a request is the URL's own, since others were while
// as many answers were being read, or fewer than the host is known to take.
func (t *ticket) isBelieved() bool {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	h, most := t.h, t.h.taken
	if h.bound > 0 {
		most = h.bound - 1
	}
	switch {
	case h.crept:
		return false
	case len(h.reading) == 0 && h.alone >= proofsEnough:
		return true
	}
	return h.proofs >= proofsEnough && len(h.reading) <= most
}

// wasAlone reports whether no other request to the host was open when t was, or a moment before.
func (t *ticket) wasAlone() bool {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	return t.first && t.h.sent == t.nr && t.sent.Sub(t.h.ended) >= endNoticed
}

// mayBeLate reports whether a host that is known to take only so many requests may have
// refused one because it had not noticed that an answer had ended.
func (t *ticket) mayBeLate() bool {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	return t.h.bound > 0 && !t.h.crept && len(t.h.reading) < t.h.bound && t.sent.Sub(t.h.ended) < endNoticed
}

// hold has no request be admitted to the host until release, and waits for the answers to those
// that were, for a while. It does not if the host was found meanwhile to take only so many
// requests: limited. The error is ctx's cause.
func (t *ticket) hold(ctx context.Context) (limited bool, err error) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	t.answer()
	for t.h.held != nil {
		if err := t.g.await(ctx, t.h.held, math.MaxInt64); err != nil {
			return false, err
		}
	}
	if t.h.lowered >= t.nr {
		return true, nil
	}
	t.h.held = make(chan struct{})
	for until := time.Now().Add(answersSoon); t.h.unanswered > 0 && time.Now().Before(until); {
		if t.h.answered == nil {
			t.h.answered = make(chan struct{})
		}
		if err := t.g.await(ctx, t.h.answered, time.Until(until)); err != nil {
			t.releaseLocked()
			return false, err
		}
	}
	return false, nil
}

// await waits for c to be closed, for d, or for ctx, whose cause is the error. mu is not held
// meanwhile.
func (g *gate) await(ctx context.Context, c <-chan struct{}, d time.Duration) error {
	g.mu.Unlock()
	defer g.mu.Lock()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-c:
	case <-timer.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// release ends a hold.
func (t *ticket) release() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	t.releaseLocked()
}

// releaseLocked ends a hold: it wakes the requests that wait for its end, and has the
// gate serve those that queue for the host. The caller holds the lock of the gate.
func (t *ticket) releaseLocked() {
	close(t.h.held)
	t.h.held = nil
	t.g.serve(t.host, t.h)
}

// other returns the ticket of the latest request for another file whose answer is being read,
// nil if there is none.
func (t *ticket) other() (other *ticket) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	for _, o := range t.h.reading {
		if o.object != t.object {
			other = o
		}
	}
	return other
}

// again returns the ticket for a request for the same object that is admitted at once.
func (t *ticket) again() *ticket {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	return t.g.admit(t.host, t.h, &waiter{object: t.object, admitted: make(chan struct{})})
}

// took notes that a control was accepted.
func (t *ticket) took() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	t.h.taken = max(t.h.taken, len(t.h.reading)-1) // without the control
}

// proved notes that a refusal was found to be the URL's own.
func (t *ticket) proved() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if len(t.h.reading) > 0 {
		t.h.proofs++
	} else {
		t.h.alone++
	}
}

// limit has the host be asked for no more at once than it takes.
func (t *ticket) limit() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	now, h := time.Now(), t.h
	h.limits, h.proofs, h.alone, h.taken = true, 0, 0, 0
	if t.nr > h.lowered {
		h.lower(now)
	}
	h.forget = later(now, h.paused).Add(boundForgotten)
	t.g.serve(t.host, h)
}

// answer notes that the response has come, or that none will.
func (t *ticket) answer() {
	if t.answered {
		return
	}
	t.answered = true
	t.h.unanswered--
	if t.h.answered != nil {
		close(t.h.answered)
		t.h.answered = nil
	}
}
