package fetch

import (
	"time"

	"dlfs/fetch/hosts"
)

const (
	// timedEvery is how often the ring is told at least how fast a flight is.
	timedEvery = 500 * time.Millisecond

	// timedLeast is how long a flight must be to tell something: a short one arrives at once
	// when it begins.
	timedLeast = 1 << 20
)

// timing is up to when and where the ring has been told how fast a flight is.
type timing struct {
	at   time.Time
	pos  int64
	slow bool // its source was slow already before it was launched: no other one is of use
}

// source is the name of the machine that the flight asks: this one, if it asks the origin.
func (fl *flight) source() string {
	if pb, ok := fl.body.(*peerBody); ok {
		return pb.Peer()
	}
	return fl.fill.extents.peering.Ring.Self()
}

// noteSource notes whether the source was slow before the flight was launched. It is called when
// the body is open. One that says so in its answer, also in the answer of a first contact, or
// that turned out to be slow in that instant, was not: then the flight ends, see timed.
func (fl *flight) noteSource() {
	if x := fl.fill.extents; x != nil {
		fl.fill.file.mu.Lock()
		defer fl.fill.file.mu.Unlock()
		fl.timing.slow = x.peering.Ring.Slow(fl.source(), fl.launch.Add(-1))
	}
}

// timed tells the ring how fast the bytes of a flight come. A flight from a machine that has
// turned out to be slow ends: the rest is asked of another one. So does a flight from the
// origin, if this machine is the slow one: another machine owns the extent now. The caller
// holds file.mu.
func (fl *flight) timed() {
	x := fl.fill.extents
	if x == nil || fl.end-fl.start < timedLeast {
		return
	}
	now := time.Now()
	if fl.timing.at.Before(fl.born) {
		fl.timing.at, fl.timing.pos = fl.born, fl.start
	}
	took := now.Sub(fl.timing.at)
	if took < timedEvery && fl.pos < fl.end {
		return
	}
	from := fl.source()
	x.peering.took(from, fl.pos-fl.timing.pos, took)
	fl.timing.at, fl.timing.pos = now, fl.pos
	if fl.pos < fl.end && !fl.timing.slow && !fl.whole && fl.class != hosts.Demand && x.peering.Ring.Slow(from, now) {
		fl.cutLocked(fl.pos)
	}
}
