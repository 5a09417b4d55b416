package origin

import (
	"context"
	"net/url"
	"slices"
	"time"

	"dlfs/cache/lockorder"
)

// urgentInARow is how many urgent requests are admitted in a row while a patient one
// waits. Then the patient one is admitted.
const urgentInARow = 7

// gate decides when a request may be sent to a host. There is no bound on the requests
// that are open at once until the host refuses one with 429 or 503, or closes the connection of
// one while it answers others. From then on there is a bound (bound.go), and a time named in
// Retry-After is waited for (pause.go). Where one object of the host is the cause of its refusals,
// it alone is held back (culprit.go). Other refusals may mean the URL, or the number of requests
// (doubt.go). The zero value is a gate that knows of no bounds. It is safe for concurrent use.
type gate struct {
	maxPause time.Duration // the longest pause, also if Retry-After says more; 0: DefaultMaxWait

	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*hostGate // guarded by mu, and so is what is in it
}

// hostGate is what is known of a host.
//
// INVARIANT: whenever mu is free, either no request waits, or a refusal is being doubted
// (doubts.held), or there is a pause, or open >= bound > 0; and in the last two cases a timer is
// set for the moment that may change.
type hostGate struct {
	open int // tickets that have not left
	good int // of those, whose responses were accepted

	waiting []*waiter // in the order they came
	inARow  int       // urgent ones served while another waited
	timer   *time.Timer

	paused   time.Time // no request is admitted before, except a trial
	pausedAt time.Time // when that pause began
	tried    bool      // a trial was sent in it

	refused  map[*Resource]*refusal // objects whose last request was refused
	limits   bool                   // an object was refused and accepted later
	culprits bool                   // some object was found to be the culprit

	refusedSent int // requests sent until one was refused last

	doubts

	goodSent int       // the nr of the last request sent that was accepted
	goodAt   time.Time // when one was accepted last

	bound   int           // on open; 0 for none, and then the rest means nothing
	sent    int           // tickets given so far
	lowered int           // sent, when the bound was lowered last
	crept   bool          // the bound was raised since, and is not proven
	quiet   time.Duration // from one raise to the next
	raise   time.Time     // it is not raised before
	forget  time.Time     // it is forgotten then
}

// waiter is a request that waits at the gate.
type waiter struct {
	object   *Resource       // nil if the request is about no object
	ctx      context.Context // tells whether it is urgent now
	admitted chan struct{}   // closed once ticket is set
	ticket   *ticket
}

// ticket is for one request, from before it is sent until its response has
// ended. Its methods do not block; leave is to be called, the others may be.
type ticket struct {
	g    *gate
	h    *hostGate
	host string
	nr   int // as of hostGate.sent

	object *Resource // as of waiter
	sent   time.Time // when it was admitted
	first  bool      // no other was open then
	url    *url.URL  // that is asked; set with ranged before good
	ranged bool      // for a range
	seat   func()    // gives the request's place among those of all hosts back; nil if it has none
	trial  bool      // it was sent in a pause

	news time.Time // set by busy: until when the host is left alone, if that is to be told

	accepted, answered, left bool // guarded by g.mu
}

// enter waits until a request may be sent to host, the one that is actually
// asked, for object, which may be nil. Requests that are urgent when a place is free go first,
// then those that came first; a request that is not urgent is passed only so often. The error is
// ctx's cause.
func (g *gate) enter(ctx context.Context, host string, object *Resource) (*ticket, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	w := &waiter{object: object, ctx: ctx, admitted: make(chan struct{})}
	g.mu.Lock()
	h := g.hosts[host]
	if h == nil {
		if g.hosts == nil {
			g.hosts = map[string]*hostGate{}
		}
		h = &hostGate{}
		g.hosts[host] = h
	}
	h.waiting = append(h.waiting, w)
	g.serve(host, h)
	g.mu.Unlock()

	select {
	case <-w.admitted:
		return w.ticket, nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	h.remove(w)
	g.serve(host, h)
	g.mu.Unlock()
	if w.ticket != nil { // admitted in the meantime
		w.ticket.leave()
	}
	return nil, context.Cause(ctx)
}

// leave says that the response has ended, or that there is none.
func (t *ticket) leave() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left {
		return
	}
	t.left = true
	t.answer()
	if i := slices.Index(t.h.reading, t); i >= 0 {
		t.h.reading, t.h.ended = slices.Delete(t.h.reading, i, i+1), time.Now()
	}
	if t.seat != nil {
		t.seat()
	}
	t.h.open--
	if t.accepted {
		t.h.good--
	}
	t.g.serve(t.host, t.h)
}

// crowded reports whether a reader waits for a place at the host. A request that no reader
// waits for may then give up its place.
func (g *gate) crowded(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[host]
	return h != nil && h.first(true) != nil && !time.Now().Before(h.paused)
}

// serve admits the waiters that may enter, and sets the timer for the others. It is
// called with mu held after every change.
func (g *gate) serve(host string, h *hostGate) {
	if h.held != nil {
		return // release serves
	}
	now := time.Now()
	h.age(now)
	for len(h.waiting) > 0 && h.admits(now) {
		g.admit(host, h, h.next())
	}
	if at := h.trialAt(now); !at.IsZero() && !now.Before(at) {
		w := h.untested()
		h.remove(w)
		h.tried = true
		g.admit(host, h, w).trial = true
	}
	if h.timer != nil {
		h.timer.Stop()
		h.timer = nil
	}
	switch {
	case len(h.waiting) > 0:
		// The timer is the gate's. One that comes late finds nothing to do.
		h.timer = time.AfterFunc(h.change(now).Sub(now), func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.serve(host, h)
		})
	case h.open == 0 && h.bound == 0 && !now.Before(h.paused) && g.hosts[host] == h:
		delete(g.hosts, host)
	}
}

// admit gives a waiter, which is in no queue any more, its ticket.
func (g *gate) admit(host string, h *hostGate, w *waiter) *ticket {
	h.open++
	h.sent++
	h.unanswered++
	w.ticket = &ticket{g: g, h: h, host: host, nr: h.sent, object: w.object, sent: time.Now(), first: h.open == 1}
	close(w.admitted)
	return w.ticket
}

// remove takes a waiter out of the queue, if it is there.
func (h *hostGate) remove(w *waiter) {
	if i := slices.Index(h.waiting, w); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
}

// first returns the first waiter that is urgent now, or that is not, nil if there is none.
func (h *hostGate) first(urgent bool) *waiter {
	i := slices.IndexFunc(h.waiting, func(w *waiter) bool { return isUrgent(w.ctx) == urgent })
	if i < 0 {
		return nil
	}
	return h.waiting[i]
}

// next takes the waiter out whose turn it is.
func (h *hostGate) next() *waiter {
	urgent, patient := h.first(true), h.first(false)
	w := urgent
	if urgent == nil || patient != nil && h.inARow == urgentInARow {
		w = patient
	}
	if h.inARow++; w == patient || patient == nil {
		h.inARow = 0
	}
	h.remove(w)
	return w
}
