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
// Runs that a reader waits for stay, and so do those of pinned files, which the policy does
// not know.
type room struct {
	// Constant data
	set      *Set
	runBytes int64         // length of a run
	wake     chan struct{} // the keeper is to look

	hits  atomic.Int64 // bytes of reads that found all their blocks present
	reads atomic.Int64 // bytes of all reads
	said  atomic.Bool  // that prefetch stops
	stuck atomic.Int64 // when nothing could be evicted, in nanoseconds; 0 if the last pass could

	mu struct {
		lockorder.Mutex[lockorder.Room]
		policy    *evict.Policy
		fills     map[uint32]*fill // by number
		last      uint32           // number given
		gone      map[uint32]runs  // by number: runs that were evicted
		awaited   map[evict.Run]int
		pass      *pass // the next one
		evicted   int64 // bytes
		refetched int64 // bytes that were put into runs that had been evicted
	}
}

// pass is one look of the keeper.
type pass struct {
	done  chan struct{}
	freed int64 // bytes; written before done is closed
}

const (
	// leastRunBytes and mostRuns bound the bookkeeping: a run is as long as it must be for a full
	// store to have at most mostRuns of large files.
	leastRunBytes = 128 << 10
	mostRuns      = 1 << 18

	// reserveStep is how much room a flight takes at once.
	reserveStep = 2 << 20

	// mostPass is how many bytes are evicted at once, at most.
	mostPass = 64 << 20
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
	m.awaited, m.pass = map[evict.Run]int{}, &pass{done: make(chan struct{})}
	return r
}

// spare is how much room is kept free: prefetch stays below it, and the keeper makes as
// much at once.
func (r *room) spare() int64 {
	now := r.set.store.Room()
	return min(max((now.Max-now.State)/64, reserveStep), mostPass)
}

// full reports whether prefetch has no room left.
func (r *room) full() bool { return r.set.store.Room().Free < 2*r.spare() }

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
// left to be evicted for them.
func (r *room) stopsPinned() bool {
	at := r.stuck.Load()
	return at != 0 && r.full() && time.Since(time.Unix(0, at)) < retryFull
}

// window is how far read-ahead of one reader may be: what all have ahead is to fit into the
// part of the room that runs go through before anybody comes back to them.
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

// makeRoom is one pass of the keeper.
func (r *room) makeRoom() {
	r.mu.Lock()
	p := r.mu.pass
	r.mu.pass = &pass{done: make(chan struct{})}
	r.mu.Unlock()
	spare, now := r.spare(), r.set.store.Room()
	for free := now.Free; free < spare; { // more than one round if the bound was lowered
		freed := r.evict(r.choose(min(2*spare-free+max(0, now.Used-now.Max), mostPass)))
		p.freed += freed
		if now = r.set.store.Room(); freed == 0 || now.Used <= now.Max {
			break
		}
		free = now.Free
	}
	r.stuck.Store(0)
	if p.freed == 0 && now.Free < spare {
		r.stuck.Store(time.Now().UnixNano())
	}
	close(p.done)
	if p.freed > 0 && r.set.store.Shelved() > 0 {
		r.set.relieve() // what was served through memory goes to disk
	}
}

// get takes n bytes of room for a flight. With make, it has others evicted for it, and waits
// for that; it reports false if nothing can be.
func (r *room) get(ctx context.Context, g *cache.Grant, n int64, make bool) bool {
	for {
		r.mu.Lock()
		p := r.mu.pass
		r.mu.Unlock()
		free := r.set.store.Room().Free
		if !make {
			return free >= n+r.spare() && g.Take(r.set.store, n)
		}
		if free < r.spare()/2 {
			r.poke()
		}
		if g.Take(r.set.store, n) {
			return true
		}
		r.poke()
		select {
		case <-p.done:
			if p.freed == 0 {
				return g.Take(r.set.store, n)
			}
		case <-ctx.Done():
			return false
		}
	}
}

// choose picks what is to go, at least n bytes of it if there is so much.
func (r *room) choose(n int64) map[*fill][]cache.Extent {
	going := map[*fill][]cache.Extent{}
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.mu
	for n > 0 {
		run, ok := m.policy.Next(func(run evict.Run) bool { return m.awaited[run] > 0 })
		if !ok {
			break
		}
		fi := m.fills[run.File]
		if fi == nil || fi.file.pinned.Load() || fi.blob.Published() {
			m.policy.Remove(run)
			continue
		}
		off := int64(run.Index) * r.runBytes
		if here := fi.blob.PresentIn(off, r.runBytes); here > 0 {
			going[fi] = append(going[fi], cache.Extent{Off: off, N: r.runBytes})
			n -= here
		}
	}
	return going
}

// evict evicts what was chosen, and returns how many bytes that were.
func (r *room) evict(going map[*fill][]cache.Extent) int64 {
	if len(going) == 0 {
		return 0
	}
	var list []cache.Eviction
	for fi, extents := range going {
		list = append(list, cache.Eviction{Blob: fi.blob, Extents: extents})
	}
	freed, err := r.set.store.Evict(list)
	if err != nil {
		r.set.log.Warn("blocks cannot be evicted", "dir", r.set.store.Path(), "err", err)
	}
	for fi, extents := range going {
		if err != nil {
			r.offer(fi) // what could not go may later
		}
		r.took(fi, extents)
		fi.file.change(fi.tornLocked)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.evicted += freed
	return freed
}
