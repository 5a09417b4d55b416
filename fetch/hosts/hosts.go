// Package hosts keeps what is known of the hosts that files are fetched from, and shares
// out requests to them. It knows no HTTP: package fetch tells it what it asks, when bytes
// come, and whether readers wait for them.
//
// A flight is of one of three classes, each with as many places at a host: a reader's,
// its read-ahead, and prefetch. So a reader never queues behind speculation. While readers
// are about, prefetch also takes less than the host sends (see pace), so that the
// readers' answers do not queue on the link behind bytes of prefetch.
package hosts

import (
	"context"
	"maps"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"dlfs/cache"
	"dlfs/cache/lockorder"
)

// Class is why a flight was launched.
type Class int

// The classes.
const (
	Demand Class = iota // a reader waits for its blocks
	Ahead               // a sequential reader will want them soon
	Bulk                // prefetch: nothing waits for them
)

const (
	// stuckAfter is how long a host may send nothing before it is stuck, and files of
	// other hosts are taken on beside its own; muteAfter is the same for a host that has
	// never sent anything.
	stuckAfter = 5 * time.Second
	muteAfter  = time.Second

	// Host.Small is between these.
	leastSmall = 256 << 10
	mostSmall  = 1 << 20

	// worthCosts is how often as long a flight should take as its request does.
	worthCosts = 6
)

// Hosts are the hosts of one Set, by name. It is safe for concurrent use.
type Hosts struct {
	perClass int
	bulk     int // places of prefetch

	mu    lockorder.Mutex[lockorder.Leaf]
	hosts map[string]*Host // guarded by mu
}

// Host is one origin host. It is safe for concurrent use; no method but Take, TakeReader
// and Turn blocks.
type Host struct {
	readers *semaphore.Weighted // a place for each reader's flight, first come first served
	born    time.Time
	answers atomic.Bool  // the host has sent something
	lastly  atomic.Int64 // when it last sent something, in nanoseconds since born, which a change of the clock does not touch

	mu      lockorder.Mutex[lockorder.Leaf]
	bulk    int           // prefetch flights that may still start; below 0 when resting ones go on
	resting int           // prefetch flights that wait before another attempt, see Rest
	ahead   int           // read-ahead flights that may still start
	freed   chan struct{} // closed when a speculative place is given back; nil while none is waited for
	waiting int           // reader flights under way, and readers who wait for other flights
	pace    pace          // of prefetch beside readers
	ttfb    time.Duration // typical time to the first byte
	rate    float64       // bytes a second of a flight, typically; 0 while none has ended
}

// New returns hosts that each have perClass places for every class of flights.
func New(perClass int) *Hosts { return NewShared(perClass, perClass) }

// NewShared returns hosts that each have bulk places for prefetch, and perClass places for
// every other class. The rest of the places for prefetch belong to other machines.
func NewShared(perClass, bulk int) *Hosts {
	return &Hosts{perClass: perClass, bulk: bulk, hosts: map[string]*Host{}}
}

// Host returns the host of that name.
func (hs *Hosts) Host(name string) *Host {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.hosts[name]
	if h == nil {
		h = &Host{readers: semaphore.NewWeighted(int64(hs.perClass)), bulk: hs.bulk, ahead: hs.perClass, ttfb: 50 * time.Millisecond, born: time.Now()}
		h.lastly.Store(int64(-stuckAfter - 1)) // never yet
		hs.hosts[name] = h
	}
	return h
}

// Taken returns the names of the hosts where a place is taken or a reader waits: none when
// no flight is under way. It is for tests and assertions.
func (hs *Hosts) Taken() (names []string) {
	hs.mu.Lock()
	all := maps.Clone(hs.hosts) // a host has a lock of the same rank
	hs.mu.Unlock()
	for name, h := range all {
		if h.taken(hs.perClass, hs.bulk) {
			names = append(names, name)
		}
	}
	return names
}

// places is where the free places of a speculative class are counted.
func (h *Host) places(c Class) *int {
	if c == Bulk {
		return &h.bulk
	}
	return &h.ahead
}

// Free reports whether a flight of a speculative class may start.
func (h *Host) Free(c Class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return *h.places(c) > 0
}

// Try takes a place for a flight of a speculative class if one is free.
func (h *Host) Try(c Class) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *h.places(c) <= 0 {
		return false
	}
	*h.places(c)--
	return true
}

// Put gives back the place of a flight that is not a reader's.
func (h *Host) Put(c Class) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c != Demand {
		*h.places(c)++
		h.tell()
	}
}

// Take is Try that waits for a place, until ctx ends.
func (h *Host) Take(ctx context.Context, c Class) error {
	for {
		freed, ok := h.tryOrAwait(c)
		if ok {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryOrAwait is Try. If it reports false, freed is closed when a place is given back.
func (h *Host) tryOrAwait(c Class) (freed <-chan struct{}, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if *h.places(c) > 0 {
		*h.places(c)--
		return nil, true
	}
	if h.freed == nil {
		h.freed = make(chan struct{})
	}
	return h.freed, false
}

// tell wakes those who wait in Take. The caller holds h.mu.
func (h *Host) tell() {
	if h.freed != nil {
		close(h.freed)
		h.freed = nil
	}
}

// Rest is called when a prefetch flight of the host begins to wait before another
// attempt, and end when that is over. Meanwhile its place is free for another flight; and
// so is its job, if the host answers or has refused this one: then it may answer for
// another file.
func (h *Host) Rest(refused bool) (end func()) {
	n := 0
	if refused || h.answers.Load() {
		n = 1
	}
	h.rest(1, n)
	return func() { h.rest(-1, -n) }
}

// rest counts places of prefetch that are free because their flights rest, and the jobs of
// these flights.
func (h *Host) rest(places, jobs int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.bulk += places
	h.resting += jobs
	h.tell()
}

// Rests is how many prefetch flights wait before another attempt while the host may
// answer others.
func (h *Host) Rests() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.resting
}

// TakeReader waits for the place of a reader's flight, or for ctx, and has prefetch give
// way until PutReader and for a while after.
func (h *Host) TakeReader(ctx context.Context) error {
	h.ReaderWaits()
	if err := h.readers.Acquire(ctx, 1); err != nil {
		h.ReaderGone()
		return err
	}
	return nil
}

// ReaderWaits counts a reader who waits for the host, until ReaderGone.
func (h *Host) ReaderWaits() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting++
}

// PutReader undoes a TakeReader.
func (h *Host) PutReader() {
	h.readers.Release(1)
	h.ReaderGone()
}

// ReaderGone undoes a ReaderWaits.
func (h *Host) ReaderGone() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting--
	h.pace.reader = time.Now()
}

// Heard notes that the host has sent something.
func (h *Host) Heard() {
	h.answers.Store(true)
	h.Expect()
}

// Expect has the time begin anew after which the host is stuck.
func (h *Host) Expect() { h.lastly.Store(int64(time.Since(h.born))) }

// Answers reports whether the host has ever sent anything.
func (h *Host) Answers() bool { return h.answers.Load() }

// Stuck reports whether the host has sent nothing for a while; one that never has is
// not trusted for as long.
func (h *Host) Stuck() bool {
	patience := muteAfter
	if h.answers.Load() {
		patience = stuckAfter
	}
	return time.Since(h.born)-time.Duration(h.lastly.Load()) > patience
}

// FirstByte notes how long a request took to its first byte.
func (h *Host) FirstByte(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ttfb += (d - h.ttfb) / 4
}

// Landed notes how fast a flight was. One that was held back says nothing.
func (h *Host) Landed(rate float64) {
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

// Worth is how many bytes a request must be for, not to cost much of the time
// they take; 0 while that is not known.
func (h *Host) Worth() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return int64(worthCosts*h.rate*h.ttfb.Seconds()) / cache.BlockSize * cache.BlockSize
}

// Small is how long a file may be that is best fetched whole: it takes the host no longer
// than it takes to answer another request. It is whole blocks.
func (h *Host) Small() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	carried := int64(h.rate*h.ttfb.Seconds()) / cache.BlockSize * cache.BlockSize
	return min(max(carried, leastSmall), mostSmall)
}

// RequestCost is what a new request may be expected to take to its first byte.
func (h *Host) RequestCost() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ttfb
}

// taken reports whether a place is taken, or a reader waits.
func (h *Host) taken(perClass, bulk int) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.bulk != bulk || h.ahead != perClass || h.waiting != 0
}
