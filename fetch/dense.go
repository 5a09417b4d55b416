package fetch

import (
	"sync/atomic"

	"dlfs/cache"
	"dlfs/fetch/hosts"
)

// Random reads are dense if most of them come near blocks that are present: then the blocks
// around them will be wanted, too. So flights of read-ahead bring what is missing around a
// read that has to wait anyway: with a few connections that takes no longer than the request of
// the next read would. The denser the reads are, the farther from them it may be.
const (
	denseFrom = 3 // so many more reads came near than not
	denseMost = 8

	nearby = 1 << 20 // bytes
)

// density is how dense the random reads of a fill are.
type density struct {
	near atomic.Int32 // reads that came near others, less those that did not; 0 to denseMost; written under file.mu
	end  int64        // where the last demand flight was to end: a read from there on is not random
}

// note takes note that a reader has to ask for [off, end).
func (d *density) note(blob *cache.Blob, off, end int64) {
	random := off != d.end
	d.end = end
	if !random {
		return
	}
	from := max(off-nearby, 0)
	if blob.PresentIn(from, end+nearby-from) > 0 {
		d.near.Store(min(d.near.Load()+1, denseMost))
	} else {
		d.near.Store(max(d.near.Load()-1, 0))
	}
}

// widens reports whether more is fetched than readers ask for where their reads are dense: not
// where other machines may have the bytes, where the store is bounded, nor where prefetch
// fetches the file anyway.
func (s *Set) widens() bool {
	return s.opts.Prefetch == PrefetchNone && s.room == nil && s.peering == nil
}

// widenLocked returns where a demand flight over [off, end) had better end: at the end of the
// file if all of it is no more than carried, which the host sends in the time that a request
// takes, in bytes.
func (fi *fill) widenLocked(off, end, carried int64) int64 {
	fi.dense.note(fi.blob, off, end)
	size := fi.blob.Version().Size
	if size <= carried {
		at, n := fi.blob.Missing(off, size-off)
		return max(end, at+n)
	}
	return end
}

// followDense puts flights on what is unassigned around a read of [off +n) at random, if such
// reads are dense and this one has to wait anyway: first on what comes behind it. Each is so
// short that it goes on when the reader jumps.
func (a *readAhead) followDense(fi *fill, off, n int64) {
	if fi.dense.near.Load() < denseFrom || fi.blob.Has(off, n) || !fi.file.set.widens() {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := fi.file
	f.mu.Lock()
	defer f.mu.Unlock()
	m, doublings := f.mirrorsLocked().free(hosts.Ahead), fi.dense.near.Load()-denseFrom
	if m == nil || doublings < 0 || fi.single || !a.mayLaunchLocked(fi) {
		return
	}
	around := m.host.Small() << doublings
	from, to := fi.blocksOf(off, n)
	a.fillLocked(fi, to, min(to+around, fi.blob.Version().Size))
	a.fillLocked(fi, max(from-around, 0), from)
}

// fillLocked puts flights on what is unassigned of [off, end), as far as there is place for
// them. The caller holds a.mu and file.mu.
func (a *readAhead) fillLocked(fi *fill, off, end int64) {
	for len(a.holding) < readAheadFlights {
		at, missing := fi.unassigned(off, end)
		if missing == 0 {
			return
		}
		off = a.launchOneLocked(fi, nil, at, at+min(missing, cheapRest))
		if off == 0 {
			return
		}
	}
}
