package peers

import (
	"slices"
	"time"
)

const (
	// lagTimes is how many times slower than half of the machines one must get files to be
	// slow, and leastPaces of how many machines the pace must be known.
	lagTimes   = 3
	leastPaces = 3

	// paceGood is how long a pace is of use after it was told.
	paceGood = 15 * time.Second
)

// Pace is what a machine says of itself to those that it asks, and that ask it.
type Pace struct {
	Rate int64         // how fast it gets files from all sources together, in bytes a second; 0 if it does not say it
	Slow time.Duration // for how long yet it is slow, 0 if it is not
}

// pace is the pace of a machine, and when it was told.
type pace struct {
	Pace
	at time.Time
}

// Paced notes that this machine gets files at rate bytes a second from all sources together,
// while it wants more than it gets.
//
// Machines that fetch the same list and share it get files at about the same pace. One whose
// pace is less than a third of what most have is slow, most likely because of its network. It
// finds that out by itself, from what the others say, and tells them: so all of them agree on
// the machine that owns an extent in its place. It is asked last, and asks the others itself,
// for slowFor. No more than a quarter of the machines are slow at a time, or one. Paced reports
// whether this machine has turned out to be slow now.
func (r *Ring) Paced(rate int64, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.me.pace = pace{Pace: Pace{Rate: rate}, at: now}
	if !r.trails(now) {
		return false
	}
	was := r.me.isSlow(now)
	r.me.mark(now, slowFor)
	return !was
}

// Heard notes what another machine says of itself. One that says that it is slow is so for that
// time, whatever it says next: what it says may come in another order than it was sent. Heard
// reports whether the machine was not slow before.
func (r *Ring) Heard(name string, what Pace, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[name]
	if p == nil {
		return false
	}
	was := p.isSlow(now)
	p.pace = pace{what, now}
	p.mark(now, min(what.Slow, slowFor))
	return what.Slow > 0 && !was
}

// trails reports whether the pace of this machine is a third of that of half of the machines.
// The caller holds mu.
func (r *Ring) trails(now time.Time) bool {
	rates := []int64{r.me.pace.Rate}
	slow := 0
	for _, p := range r.peers {
		if p.isSlow(now) {
			slow++
		}
		if p.pace.Rate > 0 && now.Sub(p.pace.at) < paceGood {
			rates = append(rates, p.pace.Rate)
		}
	}
	if len(rates) < leastPaces || slow >= mostSlow(len(r.all)) {
		return false
	}
	slices.Sort(rates)
	return r.me.pace.Rate*lagTimes < rates[len(rates)/2]
}

// slowness is from when until when a machine is slow.
type slowness struct{ from, until time.Time }

// isSlow reports whether a machine was slow at a time, by what is known now: it was found to be
// slow, or has said so. Only the last stretch of time in which it was slow is known.
func (s *slowness) isSlow(at time.Time) bool { return !at.Before(s.from) && at.Before(s.until) }

// mark has the machine be slow from now on for d at least, unless d is 0.
func (s *slowness) mark(now time.Time, d time.Duration) {
	if d <= 0 {
		return
	}
	if !s.isSlow(now) {
		s.from = now
	}
	if until := now.Add(d); until.After(s.until) {
		s.until = until
	}
}

// Says is what this machine says of itself, with the rate that it was told, in bytes a second.
func (r *Ring) Says(rate int64, now time.Time) Pace {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Pace{Rate: rate, Slow: max(r.me.slowness.until.Sub(now), 0)}
}

// mostSlow is how many of n machines may be slow at a time: what is true of most is not true
// of one.
func mostSlow(n int) int { return max(1, n/4) }

// machine is what is known of a machine, this one included; nil if it is not of the ring. The
// caller holds mu.
func (r *Ring) machine(name string) *peer {
	if name == r.self {
		return &r.me
	}
	return r.peers[name]
}
