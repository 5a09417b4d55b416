package origin

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// A pause is a time in which a host is left alone, because it asked for that with
// Retry-After. Afterwards the requests that waited do not come back all at once.

const (
	longPause     = 10 * time.Second // a longer one is logged as a warning
	maxHostJitter = 5 * time.Second  // added to a pause at random, and at most an eighth of it
)

// busy says that the host refused with 429 or 503, and how long it asked to be
// left alone, 0 if it did not. It reports whether that is the object's fault alone.
func (t *ticket) busy(retryAfter time.Duration) (culprit bool) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left {
		return false
	}
	t.answer()
	now, h := time.Now(), t.h
	defer t.g.serve(t.host, h)
	culprit, ofHost := h.refuse(t.object)
	if !ofHost {
		return culprit
	}
	h.limits = h.limits || t.trial
	if retryAfter > 0 {
		// Others were told the same; not all are to come back at once.
		pause := min(retryAfter, cmp.Or(t.g.maxPause, DefaultMaxWait))
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

// pauses returns the hosts that are left alone now, the longest pause first.
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
