package fetch

import (
	"time"

	"dlfs/cache"
)

// graceful is how long Close lets flights finish the block they are in.
const graceful = time.Second

// Close ends all flights and waits for them. Those with a block half received
// get up to a second to finish it, so that a clean stop loses nothing.
func (s *Set) Close() {
	s.mu.Lock()
	s.mu.closing = true
	running := make([]*flight, 0, len(s.mu.running))
	for fl := range s.mu.running {
		running = append(running, fl)
	}
	s.mu.Unlock()
	for _, fl := range running {
		fl.windUp()
	}
	limit := time.NewTimer(graceful)
	defer limit.Stop()
	for _, fl := range running {
		select {
		case <-fl.ctx.Done(): // the flight ended, or was in no block
		case <-limit.C:
			limit.Reset(0) // for the others
		}
	}
	s.cancel()
	s.flights.Wait()
	s.workers.wait()
}

// windUp ends the flight after the block it is in, at once if it is in none.
func (fl *flight) windUp() {
	fl.fill.file.mu.Lock()
	defer fl.fill.file.mu.Unlock()
	fl.windUpLocked()
}

// windUpLocked is windUp for a caller who holds file.mu.
func (fl *flight) windUpLocked() {
	if fl.part {
		fl.cutLocked(min(fl.pos+cache.BlockSize, fl.end))
	} else {
		fl.cancel()
	}
}

// giveUp is windUp for a flight without a waiting reader. One that can only be had whole
// goes on.
func (fl *flight) giveUp() {
	fl.fill.file.mu.Lock()
	defer fl.fill.file.mu.Unlock()
	if len(fl.seats) == 0 && !fl.whole {
		fl.windUpLocked()
	}
}
