package fetch

import (
	"context"
	"slices"
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

// took notes which runs have gone.
func (r *room) took(fi *fill, extents []cache.Extent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.mu.fills[fi.number] != fi {
		return
	}
	gone := r.mu.gone[fi.number]
	if gone == nil {
		gone = newRuns(fi.blob.Version().Size/r.runBytes + 1)
		r.mu.gone[fi.number] = gone
	}
	for _, e := range extents {
		gone.set(uint32(e.Off / r.runBytes))
	}
}

// enlist has the room know of a version: what is there of it may go. The caller holds
// file.mu.
func (r *room) enlist(fi *fill) {
	r.mu.Lock()
	r.mu.last++
	fi.number = r.mu.last
	r.mu.fills[fi.number] = fi
	r.mu.Unlock()
	r.offer(fi)
}

// offer has all that is there of a version be known to the policy.
func (r *room) offer(fi *fill) {
	if fi.blob.Present() == 0 || fi.blob.Published() || fi.file.pinned.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for off := int64(0); off < fi.blob.Version().Size; off += r.runBytes {
		if fi.blob.PresentIn(off, r.runBytes) > 0 {
			r.mu.policy.Add(evict.Run{File: fi.number, Index: uint32(off / r.runBytes)})
		}
	}
}

// delist forgets a version that was given up.
func (r *room) delist(fi *fill) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.mu.fills, fi.number)
	delete(r.mu.gone, fi.number)
}

// eachRun calls do with the runs that touch [off +n).
func (r *room) eachRun(fi *fill, off, n int64, do func(run evict.Run)) {
	for i := off / r.runBytes; i*r.runBytes < off+n; i++ {
		do(evict.Run{File: fi.number, Index: uint32(i)})
	}
}

// put notes that blocks of [off +n) have come.
func (r *room) put(fi *fill, off, n int64) {
	if fi.file.pinned.Load() {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	gone := r.mu.gone[fi.number]
	r.eachRun(fi, off, n, func(run evict.Run) {
		r.mu.policy.Add(run)
		if gone.has(run.Index) {
			start := int64(run.Index) * r.runBytes
			r.mu.refetched += min(off+n, start+r.runBytes) - max(off, start)
		}
	})
}

// read notes a read of [off +n) through h.
func (r *room) read(h *Handle, off, n int64) {
	r.reads.Add(n)
	if h.fill.blob.Has(off, n) {
		r.hits.Add(n)
	}
	last := (off + n - 1) / r.runBytes
	if h.lastRun.Swap(last) == last { // a run that is read in pieces is read once
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.policy.Read(evict.Run{File: h.fill.number, Index: uint32(last)})
}

// await has the runs of [off +n) stay until the function returned is called.
func (r *room) await(fi *fill, off, n int64) (over func()) {
	add := func(sign int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.eachRun(fi, off, n, func(run evict.Run) {
			if r.mu.awaited[run] += sign; r.mu.awaited[run] == 0 {
				delete(r.mu.awaited, run)
			}
		})
	}
	add(1)
	return func() { add(-1) }
}

// unawaited is all that is there of a version but the runs that readers wait for.
func (r *room) unawaited(fi *fill) (all []cache.Extent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.eachRun(fi, 0, fi.blob.Version().Size, func(run evict.Run) {
		off := int64(run.Index) * r.runBytes
		if r.mu.awaited[run] == 0 && fi.blob.PresentIn(off, r.runBytes) > 0 {
			all = append(all, cache.Extent{Off: off, N: r.runBytes})
		}
	})
	return all
}

// runs is a set of run indices; nil is empty and can have none.
type runs []uint64

func newRuns(n int64) runs { return make(runs, (n+63)/64) }

func (s runs) has(i uint32) bool { return s != nil && s[i/64]&(1<<(i%64)) != 0 }

func (s runs) set(i uint32) { s[i/64] |= 1 << (i % 64) }

// goneRuns are the runs of a version that were evicted, also those that came again since.
type goneRuns struct {
	runs     runs
	runBytes int64
}

// goneOf returns the runs of a version that were evicted; r may be nil.
func (r *room) goneOf(fi *fill) goneRuns {
	if r == nil {
		return goneRuns{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return goneRuns{slices.Clone(r.mu.gone[fi.number]), r.runBytes}
}

// any reports whether some of [off +n) was evicted.
func (g goneRuns) any(off, n int64) bool {
	if g.runs == nil {
		return false
	}
	for i := off / g.runBytes; i*g.runBytes < off+n; i++ {
		if g.runs.has(uint32(i)) {
			return true
		}
	}
	return false
}
