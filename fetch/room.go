package fetch

import (
	"context"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch/evict"
)

// room is what a Set does about a store whose size is bounded (cache.Options.MaxSize).
//
// A flight reserves room before its request, and some more as it goes on. For readers and
// their read-ahead room is made: the keeper, a goroutine of the set, evicts the runs that
// the policy calls the least valuable. Prefetch takes what is free and has nothing evicted,
// but for pinned files. Where nothing can be evicted, readers are served through memory, as
// on a full disk.
//
// Runs that a reader waits for stay, and so do those of files that the kernel reads by itself
// (hold), and of pinned files, which the policy does not know.
type room struct {
	// Constant data
	set      *Set
	runBytes int64         // length of a run
	wake     chan struct{} // the keeper is to look

	hits       atomic.Int64 // bytes of reads that found all their blocks present
	reads      atomic.Int64 // bytes of all reads
	said       atomic.Bool  // that prefetch stops
	saidPinned atomic.Bool  // that prefetch of pinned files waits
	stuck      atomic.Int64 // when nothing could be evicted, in nanoseconds; 0 if the last pass could
	ahead      atomic.Int64 // bytes of room that are kept free beyond the least, because flights had to wait for a pass
	most       atomic.Int64 // the most that ahead was

	mu struct {
		lockorder.Mutex[lockorder.Room]
		policy    *evict.Policy
		fills     map[uint32]*fill // by number
		last      uint32           // number given
		gone      map[uint32]runs  // by number: runs that were evicted
		awaited   map[evict.Run]int
		holds     map[*fill]int // handles through which the kernel reads by itself
		held      int64         // bytes of those versions
		pass      *pass         // the next one
		passing   *pass         // the one that is going on, or nil
		evicted   int64         // bytes
		refetched int64         // bytes that were put into runs that had been evicted
	}
}

// pass is one look of the keeper.
type pass struct {
	done   chan struct{}
	waited atomic.Bool // a flight waits for it
	freed  int64       // bytes; written before done is closed, like what follows
	stuck  bool        // there is little room, and nothing could be evicted
}

const (
	// leastRunBytes and mostRuns bound the bookkeeping: a run is as long as it must be for a full
	// store to have at most mostRuns of large files.
	leastRunBytes = 128 << 10
	mostRuns      = 1 << 18

	// reserveStep is how much room a flight takes at once.
	reserveStep = 2 << 20

	// mostSpare is how much room is kept free at most, but for what readers make it grow by.
	mostSpare = 64 << 20

	// aheadShare and mostAhead bound what room.ahead adds: one in so many bytes of the room,
	// and so many bytes.
	aheadShare = 16
	mostAhead  = 256 << 20

	// mostPass is how many bytes are evicted at once, at most.
	mostPass = 2 * (mostSpare + mostAhead)
)

// newRoom returns the room of a set, nil if its store has no bound.
func newRoom(s *Set) *room {
	most := s.store.Room().Max
	if most == 0 {
		return nil
	}
	r := &room{set: s, runBytes: leastRunBytes, wake: make(chan struct{}, 1)}
	for r.runBytes < most/mostRuns {
		r.runBytes *= 2
	}
	m := &r.mu
	m.policy, m.fills, m.gone = evict.New(), map[uint32]*fill{}, map[uint32]runs{}
	m.awaited, m.holds, m.pass = map[evict.Run]int{}, map[*fill]int{}, &pass{done: make(chan struct{})}
	return r
}

// spare is how much room is kept free: prefetch stays below it, and the keeper makes up to half
// as much again. A pass takes as long as the disk takes to sync, so where flights had to wait
// for one, more is kept free from then on.
func (r *room) spare() int64 {
	return r.spareWith(r.ahead.Load())
}

// spareWith is the least room that is kept free, and ahead bytes, if that is not too much.
func (r *room) spareWith(ahead int64) int64 {
	now := r.set.store.Room()
	room := max(0, now.Max-now.State)
	return min(max(room/64, reserveStep), mostSpare) + min(ahead, room/aheadShare)
}

// adapt changes how much room is kept free, after a pass: what is beyond the least doubles if
// flights had to wait for the pass, and goes down slowly if none had to.
func (r *room) adapt(waited bool) {
	ahead := r.ahead.Load()
	if waited {
		r.ahead.Store(min(max(2*ahead, reserveStep), mostAhead))
		r.most.Store(max(r.most.Load(), r.ahead.Load()))
	} else {
		r.ahead.Store(ahead - (ahead+15)/16)
	}
}

// full reports whether prefetch has no room left. What the keeper has made free for readers
// is no room for prefetch.
func (r *room) full() bool {
	return r.set.store.Room().Free < 2*r.spareWith(r.most.Load())+reserveStep
}

// stops reports whether prefetch stops, for all files but pinned ones, and tells so once.
func (r *room) stops() bool {
	full := r.full()
	if now := r.set.store.Room(); now.Used > now.Max { // the state has grown
		r.poke()
	}
	if full && r.set.opts.Prefetch != PrefetchNone && !r.said.Swap(true) {
		r.set.log.Warn("prefetch stops: --max-size is used up; what readers ask for takes the place of what they need least", "dir", r.set.store.Path())
	}
	return full
}

// stopsPinned reports whether prefetch stops for pinned files, too: a moment ago nothing was
// left to be evicted for them. It tells so once.
func (r *room) stopsPinned() bool {
	at := r.stuck.Load()
	stops := at != 0 && r.full() && time.Since(time.Unix(0, at)) < retryFull
	if stops && !r.saidPinned.Swap(true) {
		r.set.log.Warn("prefetch of pinned files waits: nothing can go to make room for them; pin fewer files, or raise --max-size", "dir", r.set.store.Path())
	}
	return stops
}

// window is how far read-ahead of one reader may be: the read-ahead of all readers
// together has to fit into the part of the room that runs pass through before they are read a
// second time.
func (r *room) window() int64 {
	now := r.set.store.Room()
	r.set.mu.Lock()
	readers := int64(max(1, len(r.set.mu.held)))
	r.set.mu.Unlock()
	return (now.Max - now.State) / (2 * evict.SmallShare) / readers
}

// poke has the keeper look.
func (r *room) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// keep makes room whenever there is little, until the set closes. It is a goroutine of the
// Set.
func (r *room) keep() {
	defer r.set.flights.Done()
	for {
		select {
		case <-r.wake:
			r.makeRoom()
		case <-r.set.ctx.Done():
			return
		}
	}
}

// makeRoom is one pass of the keeper: it evicts what readers need least until there is as much
// free room as spare, or nothing is left that can go. Flights that wait for the pass are woken at
// its end; if it freed nothing and there is still too little room, they are told that it is stuck.
func (r *room) makeRoom() {
	r.mu.Lock()
	p := r.mu.pass
	r.mu.pass, r.mu.passing = &pass{done: make(chan struct{})}, p
	r.mu.Unlock()
	spare, now := r.spare(), r.set.store.Room()
	inUse := map[*fill]bool{}             // found so in this pass
	for free := now.Free; free < spare; { // more than one round if the bound was lowered
		known := len(inUse)
		freed := r.evict(r.choose(min(spare+spare/2-free+max(0, now.Used-now.Max), mostPass), inUse), inUse)
		p.freed += freed
		if now = r.set.store.Room(); len(inUse) == known && (freed == 0 || now.Used <= now.Max) {
			break
		}
		free = now.Free
	}
	r.stuck.Store(0)
	if p.stuck = p.freed == 0 && now.Free < spare; p.stuck {
		r.stuck.Store(time.Now().UnixNano())
	}
	r.mu.Lock()
	r.mu.passing = nil
	r.mu.Unlock()
	close(p.done)
	if p.freed > 0 {
		r.adapt(p.waited.Load())
	}
	if p.freed > 0 && r.set.store.Shelved() > 0 {
		r.set.relieve() // what was served through memory goes to disk
	}
}

// get takes n bytes of room for a flight. With make, it has others evicted for it, and waits
// for that; it reports false if nothing can be.
func (r *room) get(ctx context.Context, g *cache.Grant, n int64, make bool) bool {
	var p *pass // one that began after get did
	for {
		next, passing := r.passes()
		if p == nil {
			p = next
		}
		free := r.set.store.Room().Free
		if !make {
			return free >= n+r.spare() && g.Take(r.set.store, n)
		}
		if free < r.spare() {
			r.poke()
		}
		if g.Take(r.set.store, n) {
			return true
		}
		r.poke()
		select {
		case <-passing.wait():
		case <-p.wait():
			if p.stuck {
				return g.Take(r.set.store, n)
			}
			p = nil
		case <-ctx.Done():
			return false
		}
	}
}

// makeFor has others evicted until n bytes can be stored, and reports whether they can be. It
// takes no room: others may be sooner.
func (r *room) makeFor(ctx context.Context, n int64) bool {
	var g cache.Grant
	defer g.Free()
	return r.get(ctx, &g, n, true)
}

// passes returns the next pass, and the one that is going on, or nil.
func (r *room) passes() (next, passing *pass) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.pass, r.mu.passing
}

// wait is for a flight to wait for the pass, nil for ever.
func (p *pass) wait() <-chan struct{} {
	if p == nil {
		return nil
	}
	p.waited.Store(true)
	return p.done
}
