package fetch

import (
	"slices"
	"sync/atomic"
	"time"

	"dlfs/fetch/peers"
)

const (
	// meteredEvery is how often the pace of this machine is measured. It is told to the others
	// once it has been measured leastMetered times, and is the mean of the last mostMetered
	// times, about.
	meteredEvery = time.Second
	leastMetered = 4
	mostMetered  = 8
)

// meter measures how fast this machine gets files, from the origin and from other machines
// together, while there is more to ask for: where less is wanted, less comes.
type meter struct {
	came atomic.Int64 // bytes of all flights
	rate atomic.Int64 // the pace, in bytes a second; 0 while it is not known

	// Of the goroutine of the prefetcher.
	at       time.Time // when it was measured last; zero while nothing is measured
	upTo     int64     // came, then
	measured int       // times
	pace     float64   // bytes a second
}

// measure is called at least once a second, by the goroutine of the prefetcher, with whether it
// wants more than is under way. When a second has passed since the last time, the pace is told to
// the ring, and to other machines with the next requests and answers.
func (p *peering) measure(wants func() bool) {
	if p == nil {
		return
	}
	m, now := &p.meter, time.Now()
	took := now.Sub(m.at)
	if took < meteredEvery {
		return
	}
	before, came := m.upTo, m.came.Load()
	first := m.at.IsZero()
	if m.at, m.upTo = now, came; !wants() {
		m.at, m.measured, m.pace = time.Time{}, 0, 0
		m.rate.Store(0)
		return
	}
	if first {
		return
	}
	m.measured++
	m.pace += (float64(came-before)/took.Seconds() - m.pace) / float64(min(m.measured, mostMetered))
	if m.measured >= leastMetered {
		pace := max(int64(m.pace), 1) // 0 would say nothing
		m.rate.Store(pace)
		if p.Ring.Paced(pace, now) {
			p.set.log.Info("this machine gets files much slower than the others; they ask it last for a minute")
		}
	}
}

// says is what this machine says of itself to others.
func (p *peering) says() peers.Pace {
	return p.Ring.Says(p.meter.rate.Load(), time.Now())
}

// wants reports whether there is more to ask for than is under way.
func (p *prefetcher) wants() bool {
	if p.set.opts.Prefetch != PrefetchAll || p.set.paused.Load() || p.full {
		return false
	}
	if !p.queue.empty() {
		return true
	}
	return slices.ContainsFunc(p.active, (*job).lacks)
}

// lacks reports whether blocks of the file are missing that no flight brings.
func (j *job) lacks() bool {
	f := j.file
	f.mu.Lock()
	defer f.mu.Unlock()
	fi := f.fill()
	if fi == nil {
		return false
	}
	_, n := fi.unassigned(0, fi.blob.Version().Size)
	return n > 0
}

// metered counts bytes that were put.
func (fl *flight) metered(n int64) {
	if x := fl.fill.extents; x != nil {
		x.peering.meter.came.Add(n)
	}
}
