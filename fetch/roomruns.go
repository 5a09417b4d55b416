package fetch

import (
	"slices"

	"dlfs/cache"
	"dlfs/fetch/evict"
)

// took notes which runs have gone.
func (r *room) took(fi *fill, extents []cache.Extent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// The version was given up meanwhile (delist), and another one may have begun.
	if r.mu.fills[fi.number] != fi {
		return
	}
	gone := r.mu.gone[fi.number]
	if gone == nil {
		// Most versions lose no run, so the set is made with the first one that goes.
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

// offer has all that is there of a version be known to the policy. A published file is one run,
// whatever its size.
func (r *room) offer(fi *fill) {
	whole := fi.blob.Published()
	if fi.blob.Present() == 0 || fi.file.pinned.Load() || whole && !r.mayWithdraw(fi) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if whole {
		r.mu.policy.Add(wholeRun(fi))
		return
	}
	// A run is known to the policy while a block of it is present.
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
		// The run was evicted before, so its bytes were fetched for a second time.
		if gone.has(run.Index) {
			start := int64(run.Index) * r.runBytes
			r.mu.refetched += min(off+n, start+r.runBytes) - max(off, start)
		}
	})
}

// read notes a read of [off +n) through h.
func (r *room) read(h *Handle, fi *fill, off, n int64) {
	r.reads.Add(n)
	if fi.blob.Has(off, n) {
		r.hits.Add(n)
	}
	last := (off + n - 1) / r.runBytes
	if h.lastRun.Swap(last) == last { // a run that is read in pieces is read once
		return
	}
	run := evict.Run{File: fi.number, Index: uint32(last)}
	if fi.blob.Published() {
		run = wholeRun(fi)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.policy.Read(run)
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

// hold has a complete version lose no block until unhold is called, so that the kernel may read
// it by itself. It reports false if that would keep too much. What the kernel reads is not
// seen, so all of it counts as read once.
func (r *room) hold(fi *fill) bool {
	now, size := r.set.store.Room(), fi.blob.Version().Size
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &r.mu
	first := m.holds[fi] == 0
	// At most half of what is left for blocks may be held, so that eviction always finds something.
	if first && m.held+size > (now.Max-now.State)/2 || !fi.blob.Hold() {
		return false
	}
	m.holds[fi]++
	if first {
		m.held += size
		r.eachRun(fi, 0, size, func(run evict.Run) { m.policy.Read(run) })
	}
	return true
}

// unhold undoes one hold.
func (r *room) unhold(fi *fill) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fi.blob.Unhold()
	if r.mu.holds[fi]--; r.mu.holds[fi] == 0 {
		delete(r.mu.holds, fi)
		r.mu.held -= fi.blob.Version().Size
	}
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

// newRuns returns an empty set for numbers below n.
func newRuns(n int64) runs { return make(runs, (n+63)/64) }

// has reports whether i is in the set. A nil set is empty.
func (s runs) has(i uint32) bool { return s != nil && s[i/64]&(1<<(i%64)) != 0 }

// set adds i, which is below the n of newRuns. The set is not nil.
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
