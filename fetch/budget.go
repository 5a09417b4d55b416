package fetch

import (
	"context"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"dlfs/cache"
	"dlfs/cache/lockorder"
)

// budget shares out connections by host, in three equal parts: for prefetch,
// for readers and for their read-ahead. So a reader never queues behind
// speculation.
type budget struct {
	perHost int

	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*host // guarded by mu
}

// host is the budget of one origin host.
type host struct {
	readers *semaphore.Weighted // a place for each reader's flight, first come first served
	born    time.Time
	answers atomic.Bool  // it has sent something
	lastly  atomic.Int64 // when it last sent something, in nanoseconds since born: not by the wall's clock, which may be set

	mu      lockorder.Mutex[lockorder.Leaf]
	bulk    int           // prefetch flights that may still start; below 0 when resting ones go on
	resting int           // prefetch flights that wait before another attempt, see rest
	ahead   int           // read-ahead flights that may still start
	waiting int           // reader flights under way, and readers who wait for other flights
	pace    pace          // of prefetch beside readers
	ttfb    time.Duration // typical time to the first byte
	rate    float64       // bytes a second of a flight, typically; 0 while none has ended
}

func newBudget(perHost int) *budget {
	return &budget{perHost: perHost, hosts: map[string]*host{}}
}

func (b *budget) host(name string) *host {
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.hosts[name]
	if h == nil {
		h = &host{readers: semaphore.NewWeighted(int64(b.perHost)), bulk: b.perHost, ahead: b.perHost, ttfb: 50 * time.Millisecond, born: time.Now()}
		h.lastly.Store(int64(-stuckAfter - 1)) // never yet
		b.hosts[name] = h
	}
	return h
}

// places is where the free places of a speculative class are counted.
func (h *host) places(c class) *int {
	if c == bulk {
		return &h.bulk
	}
	return &h.ahead
}

// free reports whether a flight of a speculative class may start.
func (h *host) free(c class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.places(c) > 0
}

// try takes a place for a flight of a speculative class if one is free.
func (h *host) try(c class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *h.places(c) <= 0 {
		return false
	}
	*h.places(c)--
	return true
}

// put gives back the place of a flight that is not a reader's.
func (h *host) put(c class) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c != demand {
		*h.places(c)++
	}
}

// rest returns what a prefetch flight of the host calls when it begins to wait before
// another attempt, and again when that ends. Meanwhile its place is free for another
// one; and so is its job, if the host answers: then it may answer for another file.
func (s *Set) rest(h *host) func(refused bool) (end func()) {
	return func(refused bool) func() {
		n := 0
		if refused || h.answers.Load() {
			n = 1
		}
		h.resume(-1, n)
		s.poke()
		return func() { h.resume(1, -n) }
	}
}

// resume counts places that are taken again, and resting jobs.
func (h *host) resume(places, resting int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bulk -= places
	h.resting += resting
}

// rests is how many prefetch flights wait before another attempt while the host may
// answer others.
func (h *host) rests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.resting
}

// takeReader waits for a reader's place, and has prefetch give way until putReader
// and for a while after.
func (h *host) takeReader(ctx context.Context) error {
	h.readerWaits()
	if err := h.readers.Acquire(ctx, 1); err != nil {
		h.readerGone()
		return err
	}
	return nil
}

// readerWaits counts a reader who waits for the host, until readerGone.
func (h *host) readerWaits() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting++
}

func (h *host) putReader() {
	h.readers.Release(1)
	h.readerGone()
}

func (h *host) readerGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
	h.pace.reader = time.Now()
}

// heard notes that the host has sent something.
func (h *host) heard() {
	h.answers.Store(true)
	h.expect()
}

// expect has the time begin anew after which the host is stuck.
func (h *host) expect() { h.lastly.Store(int64(time.Since(h.born))) }

// stuck reports whether the host has sent nothing for a while; one that never has is
// not trusted for as long.
func (h *host) stuck() bool {
	patience := muteAfter
	if h.answers.Load() {
		patience = stuckAfter
	}
	return time.Since(h.born)-time.Duration(h.lastly.Load()) > patience
}

// firstByte notes how long a request took to its first byte.
func (h *host) firstByte(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ttfb += (d - h.ttfb) / 4
}

// landed notes how fast a flight was. One that was held back says nothing.
func (h *host) landed(rate float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if rate < h.rate && h.pacedLocked(time.Now()) {
		return
	}
	if h.rate == 0 {
		h.rate = rate
	}
	h.rate += (rate - h.rate) / 4
}

// worth is how many bytes a request must be for, not to cost much of the time
// they take; 0 while that is not known.
func (h *host) worth() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(worthCosts*h.rate*h.ttfb.Seconds()) / cache.BlockSize * cache.BlockSize
}

// requestCost is what a new request may be expected to take to its first byte.
func (h *host) requestCost() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ttfb
}
