package fetch

import (
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
)

// disproveLocked forgets what other flights met, now that one that was launched since
// makes progress: one from before proves nothing.
func (fl *flight) disproveLocked() {
	f := fl.fill.file
	if fail := f.mu.failure; fail != nil && fl.born.After(fail.at) {
		f.mu.failure, fl.mirror.failure = nil, nil
		if fl.mirror.res == nil { // of the peers: else no mirror of the list would be asked again
			f.mu.mirrors.forgive()
		}
		f.set.requeue(f) // prefetch has put the file off
	}
}

// cutLocked ends the flight early, at off, a block boundary not before pos. Who
// waited for more looks again.
func (fl *flight) cutLocked(off int64) {
	fl.end = off
	for s := range fl.seats {
		if s.want > off {
			fl.seats.wake(s, nil)
		}
	}
}

// lingers returns for how long the flight goes on after an interrupted reader has left it, since
// that reader may be back at once. It is 0 for a flight that was not launched for a reader, and
// for one that is older than linger.
func (fl *flight) lingers() time.Duration {
	if fl.class != hosts.Demand {
		return 0
	}
	return max(0, linger-time.Since(fl.launch))
}

// leaveIn calls leaveLocked after d. It does not block.
func (fl *flight) leaveIn(d time.Duration) {
	time.AfterFunc(d, func() {
		fl.fill.file.mu.Lock()
		defer fl.fill.file.mu.Unlock()
		fl.leaveLocked()
	})
}

// leaveLocked cancels the flight if it is wanted no longer.
func (fl *flight) leaveLocked() {
	if len(fl.seats) > 0 || fl.holds > 0 || fl.whole {
		return // a whole stream lost is lost from the start: let it run
	}
	fl.fill.flights.remove(fl)
	fl.cancel()
}

// left returns how many bytes are to come, at least one block, and whether a
// reader waits for some of them.
func (fl *flight) left() (n int64, wanted bool) {
	fl.fill.file.mu.Lock()
	defer fl.fill.file.mu.Unlock()
	return max(fl.end-fl.pos, 1), len(fl.seats) > 0
}

// eta estimates how long the flight will take to reach off, from its own
// rate so far; ok is false while that is not known.
func (fl *flight) eta(off int64) (eta time.Duration, ok bool) {
	got := fl.pos - fl.start
	if got <= 0 {
		return 0, false
	}
	elapsed := max(time.Since(fl.born), time.Millisecond)
	return time.Duration(float64(elapsed) * float64(off-fl.pos) / float64(got)), true
}

// soon reports whether waiting for the flight to reach off is no worse
// than asking anew: then the newcomer joins, else the flight is cut there.
func (fl *flight) soon(off int64) bool {
	ahead := off - fl.pos
	if ahead <= 2*cache.BlockSize || fl.whole {
		return true
	}
	eta, ok := fl.eta(off)
	if !ok {
		return ahead <= 1<<20
	}
	return eta <= fl.mirror.host.RequestCost()+10*time.Millisecond
}
