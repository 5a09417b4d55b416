package origin

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"dlfs/cache/lockorder"
)

const (
	maxHostPause   = 10 * time.Minute // whatever Retry-After says, if no other bound is given
	longPause      = 10 * time.Second // which is told
	maxHostJitter  = 5 * time.Second  // after a pause, and at most an eighth of it
	firstQuiet     = 5 * time.Second  // without a refusal before a bound is raised by one
	lastQuiet      = 5 * time.Minute  // to which it doubles
	boundForgotten = 10 * time.Minute // without a refusal
	urgentInARow   = 7                // then one that is not urgent has its turn
)

// gate decides when a request may be sent to a host. Hosts are asked as much as
// anyone wants until one refuses with 429 or 503; from then on it has a bound on
// the requests open at once, which is how many it was seen to take, and which
// creeps up again as long as it is not refused. A host that names a time in
// Retry-After is left alone until then. The zero value is a gate that knows of
// no bounds. It is safe for concurrent use.
type gate struct {
	maxPause time.Duration // whatever Retry-After says; 0: maxHostPause

	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*hostGate // guarded by mu, and so is what is in it
}

// hostGate is what is known of a host.
//
// INVARIANT: whenever mu is free, either nobody waits, or there is a pause, or
// open >= bound > 0; and then a timer is set for the moment that may change.
type hostGate struct {
	open int // tickets that have not left
	good int // of those, whose responses were accepted

	urgent, patient []*waiter // in the order they came
	inARow          int       // urgent ones served while another waited
	timer           *time.Timer

	paused   time.Time // nobody enters before, but for a trial
	pausedAt time.Time // when that pause began
	tried    bool      // a trial was sent in it

	refused  map[*Resource]*refusal // objects whose last request was refused
	limits   bool                   // an object was refused and accepted later
	culprits bool                   // some object was found to be the culprit

	refusedSent int // requests sent until one was refused last

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

type waiter struct {
	object   *Resource     // nil if the request is about no object
	admitted chan struct{} // closed once ticket is set
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
	seat   func()    // gives the request's place among those of all hosts back; nil if it has none
	trial  bool      // it was sent in a pause

	news time.Time // set by busy: until when the host is left alone, if that is to be told

	accepted, left bool // guarded by g.mu
}

// enter waits until a request may be sent to host, the one that is actually
// asked, for object, which may be nil. Urgent requests go first, then those that came
// first; a request that is not urgent is passed only so often. The error is ctx's cause.
func (g *gate) enter(ctx context.Context, host string, object *Resource, urgent bool) (*ticket, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	w := &waiter{object: object, admitted: make(chan struct{})}
	g.mu.Lock()
	h := g.hosts[host]
	if h == nil {
		if g.hosts == nil {
			g.hosts = map[string]*hostGate{}
		}
		h = &hostGate{}
		g.hosts[host] = h
	}
	if urgent {
		h.urgent = append(h.urgent, w)
	} else {
		h.patient = append(h.patient, w)
	}
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

// good says that the response was accepted and its body follows.
func (t *ticket) good() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.accepted || t.left {
		return
	}
	t.accepted = true
	h := t.h
	h.good++
	h.accept(t, time.Now())
	defer t.g.serve(t.host, h)
	if h.bound == 0 || h.good < h.bound {
		return
	}
	// Proof that the host takes so many: those a raise let in, or more, if they
	// were sent before the bound was lowered.
	h.bound = h.good
	if h.crept {
		h.crept, h.quiet = false, firstQuiet
		h.raise = time.Now().Add(h.quiet)
	}
}

// busy says that the host refused with 429 or 503, and how long it asked to be
// left alone, 0 if it did not. It reports whether that is the object's fault alone.
func (t *ticket) busy(retryAfter time.Duration) (culprit bool) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left {
		return false
	}
	now, h := time.Now(), t.h
	defer t.g.serve(t.host, h)
	culprit, ofHost := h.refuse(t.object)
	if !ofHost {
		return culprit
	}
	h.limits = h.limits || t.trial
	if retryAfter > 0 {
		// Others were told the same; not all are to come back at once.
		pause := min(retryAfter, cmp.Or(t.g.maxPause, maxHostPause))
		until := now.Add(pause + rand.N(min(retryAfter/8, maxHostJitter)+1))
		if !now.Before(h.paused) {
			h.pausedAt, h.tried = now, false
			if pause > longPause {
				t.news = until
			}
		}
		h.paused = later(h.paused, until)
	}
	if t.nr > h.lowered {
		h.lower(now)
	}
	h.forget = later(now, h.paused).Add(boundForgotten)
	return false
}

// Pause is a host that is left alone, as it asked.
type Pause struct {
	Host  string    `json:"host"`
	Until time.Time `json:"until"`
}

// Pauses returns the hosts that are left alone, the longest first. It does not block.
func (c *Client) Pauses() []Pause { return c.gate.pauses() }

func (g *gate) pauses() []Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := []Pause{} // not nil, for JSON
	for host, h := range g.hosts {
		if time.Until(h.paused) > 0 {
			list = append(list, Pause{host, h.paused.UTC()})
		}
	}
	slices.SortFunc(list, func(a, b Pause) int {
		return cmp.Or(b.Until.Compare(a.Until), cmp.Compare(a.Host, b.Host))
	})
	return list
}

// leave says that the response has ended, or that there is none.
func (t *ticket) leave() {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left {
		return
	}
	t.left = true
	if t.seat != nil {
		t.seat()
	}
	t.h.open--
	if t.accepted {
		t.h.good--
	}
	t.g.serve(t.host, t.h)
}

// crowded reports whether a reader waits for a place at the host, which
// whoever has one for a lesser purpose may want to give up.
func (g *gate) crowded(host string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[host]
	return h != nil && len(h.urgent) > 0 && !time.Now().Before(h.paused)
}

// bound is how many requests may be open at the host at once, 0 if there is no
// bound.
func (g *gate) bound(host string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.hosts[host]
	if h == nil {
		return 0
	}
	h.age(time.Now())
	return h.bound
}

// serve admits whoever may enter, and sets the timer for the others. It is
// called with mu held after every change.
func (g *gate) serve(host string, h *hostGate) {
	now := time.Now()
	h.age(now)
	for len(h.urgent)+len(h.patient) > 0 && h.admits(now) {
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
	case len(h.urgent)+len(h.patient) > 0:
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
	w.ticket = &ticket{g: g, h: h, host: host, nr: h.sent, object: w.object}
	close(w.admitted)
	return w.ticket
}

// remove takes a waiter out of its queue.
func (h *hostGate) remove(w *waiter) {
	is := func(x *waiter) bool { return x == w }
	h.urgent, h.patient = slices.DeleteFunc(h.urgent, is), slices.DeleteFunc(h.patient, is)
}

// next takes the waiter out whose turn it is.
func (h *hostGate) next() *waiter {
	from := &h.urgent
	if len(h.urgent) == 0 || len(h.patient) > 0 && h.inARow == urgentInARow {
		from = &h.patient
	}
	if h.inARow++; from == &h.patient || len(h.patient) == 0 {
		h.inARow = 0
	}
	w := (*from)[0]
	*from = slices.Delete(*from, 0, 1)
	return w
}

// admits reports whether one more may enter. It raises the bound if that is
// due; without demand there would be nothing to learn from it.
func (h *hostGate) admits(now time.Time) bool {
	switch {
	case now.Before(h.paused):
		return false
	case h.bound == 0 || h.open < h.bound:
		return true
	case h.open > h.bound || now.Before(h.raise):
		return false
	}
	h.bound++
	h.crept, h.raise = true, now.Add(h.quiet)
	return true
}

// change is when admits may answer otherwise, if nothing else happens.
func (h *hostGate) change(now time.Time) time.Time {
	if at := h.trialAt(now); !at.IsZero() {
		return at
	}
	if now.Before(h.paused) {
		return h.paused
	}
	if h.open > h.bound || h.forget.Before(h.raise) {
		return h.forget
	}
	return h.raise
}

// lower has the bound be what the host takes. A raise that is refused is undone,
// and the next one comes later. Otherwise what was accepted is open and counts;
// if nothing is, half of what was tried is as good a guess as any.
func (h *hostGate) lower(now time.Time) {
	bound := h.good
	switch {
	case h.bound > 0 && h.crept:
		bound = max(h.good, h.bound-1)
		h.quiet = min(2*h.quiet, lastQuiet)
	case h.good == 0:
		bound = h.open / 2
	}
	if h.bound == 0 {
		h.quiet = firstQuiet
	} else {
		bound = min(bound, h.bound)
	}
	h.bound, h.crept, h.lowered = max(1, bound), false, h.sent
	h.raise = later(now, h.paused).Add(h.quiet)
}

// age forgets the bound in time.
func (h *hostGate) age(now time.Time) {
	if h.bound > 0 && !now.Before(h.forget) {
		h.bound, h.crept, h.limits = 0, false, false
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
