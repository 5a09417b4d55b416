package origin

import "time"

// The bound of a host is how many requests may be open at once. The first refusal sets it
// to the number that the host had accepted and that were still open. It is raised by one
// after a time without a refusal, which doubles each time that the raise is refused, and
// forgotten after a long time without a refusal.

const (
	firstQuiet     = 5 * time.Second  // without a refusal before the bound is raised by one
	lastQuiet      = 5 * time.Minute  // the longest such time
	boundForgotten = 10 * time.Minute // without a refusal
)

// good tells the gate that the host has accepted the request and sends its body: proof that the
// host takes as many requests as are open now, so that the bound is at least that. ofFile says
// that the body is of a file, and of no error. Only the first call for a ticket counts.
func (t *ticket) good(ofFile bool) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.accepted || t.left {
		return
	}
	t.accepted = true
	t.answer()
	h := t.h
	h.good++
	if ofFile {
		h.reading, h.alone = append(h.reading, t), 0
	}
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

// closed tells the gate that the host closed the connection without an answer. Some hosts so
// refuse one request more than they take: it counts as a refusal if others are being answered.
func (t *ticket) closed() {
	t.g.mu.Lock()
	others := len(t.h.reading) > 0
	t.g.mu.Unlock()
	if others {
		t.busy(0)
	}
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

// later returns the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
