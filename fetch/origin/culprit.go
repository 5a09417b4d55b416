package origin

import "time"

// A host that refuses with 429 or 503 is most often overloaded. But one object alone may be
// unavailable: it lies in a cold archive, or the server behind its path is broken. Then the
// other objects of the host are requested as before. An object is the culprit if the host
// refuses it repeatedly, and each time has accepted another object that was requested after
// the refusal before. The bound and the pause that its refusals caused are then removed.
//
// In a pause no other object is requested, so nothing would be learnt. Therefore one request
// for another object is sent as a trial, if the host accepts requests and has not refused
// one for lack of capacity. If the host accepts the trial, the pause and the bound end, and
// the next refusal of the object proves that the object is the culprit.

const (
	trialAfter  = time.Second      // after the begin of a pause
	goodLasts   = time.Minute      // how long an accepted request says that the host accepts others
	maxRefused  = 10_000           // objects of a host that are remembered
	culpritWait = 30 * time.Second // before a culprit is asked for again, at most
)

// refusal is what is known of an object whose last request was refused.
type refusal struct {
	sent    int  // requests sent to the host until it was refused last
	alone   int  // how often it was refused while others were accepted
	tried   bool // a trial was accepted in the pause that its refusal caused
	culprit bool
}

const (
	aloneOften = 2 // is proof
	aloneMore  = 5 // is proof where the host was seen to refuse for lack of capacity
)

// refuse notes that an object was refused. It reports whether the object is the
// culprit, and whether the refusal says something of the host.
func (h *hostGate) refuse(object *Resource) (culprit, ofHost bool) {
	if object == nil {
		return false, true
	}
	lone := h.goodSent > h.refusedSent // another object was accepted since the last refusal
	h.refusedSent = h.sent
	was := h.refused[object]
	if was == nil {
		if h.refused == nil || len(h.refused) >= maxRefused {
			h.refused = map[*Resource]*refusal{}
		}
		h.refused[object] = &refusal{sent: h.sent}
		// Where there was a culprit there may be more.
		return false, h.limits || !h.culprits || !lone
	}
	if h.goodSent > was.sent {
		was.alone++
	}
	was.sent = h.sent
	enough := aloneOften
	if h.limits {
		enough = aloneMore
	}
	if !was.culprit && (was.alone >= enough || was.alone > 0 && was.tried && !h.limits) {
		was.culprit, h.culprits = true, true
		if !h.limits {
			h.bound, h.crept, h.paused = 0, false, time.Time{}
		}
	}
	return was.culprit, !was.culprit && (h.limits || !h.culprits || !lone)
}

// accept notes that the host accepted a request.
func (h *hostGate) accept(t *ticket, now time.Time) {
	h.goodSent, h.goodAt = max(h.goodSent, t.nr), now
	if t.object == nil {
		return
	}
	if was := h.refused[t.object]; was != nil && !was.culprit && !t.trial {
		h.limits = true // it was refused for lack of capacity
	}
	delete(h.refused, t.object)
	if t.trial && now.Before(h.paused) {
		h.paused, h.bound, h.crept = now, 0, false
		for _, r := range h.refused {
			r.tried = true
		}
	}
}

// trialAt is when a trial may be sent, zero if none may be.
func (h *hostGate) trialAt(now time.Time) time.Time {
	if h.tried || h.limits || !now.Before(h.paused) || now.Sub(h.goodAt) > goodLasts || h.untested() == nil {
		return time.Time{}
	}
	return h.pausedAt.Add(trialAfter)
}

// untested returns the first waiter whose object was not refused, an urgent one if there is one;
// nil if there is none.
func (h *hostGate) untested() (first *waiter) {
	for _, w := range h.waiting {
		switch {
		case w.object == nil || h.refused[w.object] != nil:
		case isUrgent(w.ctx):
			return w
		case first == nil:
			first = w
		}
	}
	return first
}
