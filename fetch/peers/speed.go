package peers

import (
	"slices"
	"time"
)

const (
	// slowTimes is how many times slower than the others a machine is that is slow, and
	// slowFor how long it is asked last.
	slowTimes = 8
	slowFor   = time.Minute

	// measuredSince is how long a machine must have been measured before anything follows,
	// since at first everything is slow. Answers must have taken measuredFor meanwhile, taken
	// together, and those of the origin originFor; of what is older than measuredOver, half is
	// forgotten.
	measuredSince = 8 * time.Second
	measuredFor   = 3 * time.Second
	originFor     = 500 * time.Millisecond
	measuredOver  = time.Minute
)

// speed is how fast the answers of a machine come: bytes over the time that each of them
// took since it began. The zero value knows nothing.
type speed struct {
	bytes float64
	took  time.Duration
	since time.Time // when the first answer was measured
}

// add counts n bytes that took d. What is long ago counts less and less: both sums are halved
// once they span measuredOver.
func (s *speed) add(n int64, d time.Duration, now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
	s.bytes, s.took = s.bytes+float64(n), s.took+d
	if s.took > measuredOver {
		s.bytes, s.took = s.bytes/2, s.took/2
	}
}

// rate is in bytes a second. It is not ok while answers took less than least.
func (s *speed) rate(least time.Duration) (rate float64, ok bool) {
	return s.bytes / s.took.Seconds(), s.took >= least
}

// Took notes that n bytes of one long answer came within d from another machine, or from the
// origin, if name is this machine's own.
//
// A machine whose answers come slowTimes slower than those of most others, and than those
// of the origin, is slow: it may have a slow network. An owner that only waits for the origin
// is as fast as that. A slow machine is asked last, for slowFor. No more than a quarter of the
// machines are slow at a time, or one. Paced finds out sooner which machine is slow, but not a
// machine that only sends slowly. Took reports whether the machine has turned out to be
// slow now.
func (r *Ring) Took(name string, n int64, d time.Duration, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if name == r.self {
		r.origin.add(n, d, now)
		return false
	}
	p := r.peers[name]
	if p == nil {
		return false
	}
	p.add(n, d, now)
	lags := r.lags(p, now)
	if lags {
		p.speed = speed{} // what follows is measured anew
		p.mark(now, slowFor)
	}
	return lags
}

// lags reports whether p is slow by what is known now. The caller holds mu.
func (r *Ring) lags(p *peer, now time.Time) bool {
	rate, ok := p.rate(measuredFor)
	ok = ok && now.Sub(p.since) >= measuredSince
	own, known := r.origin.rate(originFor)
	if !ok || !known || rate*slowTimes >= own {
		return false
	}
	var rates []float64
	slow := 0
	for _, other := range r.peers {
		if other.isSlow(now) && other != p {
			slow++
		}
		if other.bytes > 0 { // of few answers, if it is so fast that they took no time
			rates = append(rates, other.bytes/max(other.took, time.Millisecond).Seconds())
		}
	}
	slices.Sort(rates)
	return len(rates) > 1 && rate*slowTimes < rates[len(rates)/2] && slow < mostSlow(len(r.peers))
}

// Slow reports whether a machine, which may be this one, is slow.
func (r *Ring) Slow(name string, now time.Time) bool {
	_, slow := r.state(name, now)
	return slow
}
