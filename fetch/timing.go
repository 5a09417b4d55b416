package fetch

import "time"

const (
	// timedEvery is how often the ring is told at least how fast a flight is.
	timedEvery = 500 * time.Millisecond

	// timedLeast is how long a flight must be to tell something: a short one arrives at once
	// when it begins.
	timedLeast = 1 << 20
)

// timing is up to when and where the ring has been told how fast a flight is.
type timing struct {
	at  time.Time
	pos int64
}

// timed tells the ring how fast the bytes of a flight come. A flight from a machine that has
// turned out to be slow ends: the rest is asked of another one. The caller holds file.mu.
func (fl *flight) timed() {
	x := fl.fill.extents
	if x == nil || fl.end-fl.start < timedLeast {
		return
	}
	now := time.Now()
	if fl.timing.at.Before(fl.born) {
		fl.timing = timing{fl.born, fl.start}
	}
	took := now.Sub(fl.timing.at)
	if took < timedEvery && fl.pos < fl.end {
		return
	}
	ring := x.peering.Ring
	pb, ok := fl.body.(*peerBody)
	from := ring.Self()
	if ok {
		from = pb.Peer()
	}
	x.peering.took(from, fl.pos-fl.timing.pos, took)
	fl.timing = timing{now, fl.pos}
	if ok && !pb.slow && fl.pos < fl.end && ring.Slow(from, now) {
		fl.cutLocked(fl.pos)
	}
}
