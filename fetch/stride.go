package fetch

import (
	"sync/atomic"

	"dlfs/cache"
)

// stride finds out that a reader goes on by one distance, forwards or backwards. It takes no
// lock; two reads at once may hide the distance for a while.
type stride struct {
	last     atomic.Int64 // where the last read began
	distance atomic.Int64 // from the one before
	equal    atomic.Int32 // how many distances in a row were alike
}

// note takes note of a read at off, and returns the distance of the reads: 0 while there is
// none. Two equal distances are enough, and three that are nearly alike: the kernel reads
// whole pages, and so a little more or less than the application.
func (st *stride) note(off int64) int64 {
	d := off - st.last.Swap(off)
	before := st.distance.Swap(d)
	tolerance := min(cache.BlockSize, abs(d)/16)
	switch differs := abs(d - before); {
	case d == 0 || differs > tolerance:
		st.equal.Store(0)
	case st.equal.Add(1) > 1 || differs == 0:
		return d
	}
	return 0
}

// abs returns n without its sign.
func abs(n int64) int64 { return max(n, -n) }

// followStride keeps the next reads of a reader who goes on by d in flight, after a read of
// [off +n).
func (a *readAhead) followStride(fi *fill, off, n, d int64) {
	step := d
	if d < 0 && -d <= n+cache.BlockSize { // backwards without a gap: longer flights, on a grid
		n, step = minWindow, -minWindow
		off = off/minWindow*minWindow + minWindow // the first extent is around this read
	}
	if fi.strideIsPresent(off, n, step) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	fi.file.mu.Lock()
	defer fi.file.mu.Unlock()
	if !a.mayLaunchLocked(fi) {
		return
	}
	for i := int64(1); i <= readAheadFlights && len(a.holding) < readAheadFlights; i++ {
		if !a.bringLocked(fi, nil, off+i*step, n) {
			return
		}
	}
}

// strideIsPresent reports whether the next reads find all they need. It takes no lock.
func (fi *fill) strideIsPresent(off, n, step int64) bool {
	for i := int64(1); i <= readAheadFlights; i++ {
		if from, to := fi.blocksOf(off+i*step, n); !fi.blob.Has(from, to-from) {
			return false
		}
	}
	return true
}

// blocksOf is the whole blocks of [off +n), as far as they are in the file.
func (fi *fill) blocksOf(off, n int64) (from, to int64) {
	size := fi.blob.Version().Size
	from, to = min(max(off, 0), size), min(max(off+n, 0), size)
	up := (to + cache.BlockSize - 1) / cache.BlockSize * cache.BlockSize
	return from / cache.BlockSize * cache.BlockSize, min(up, size)
}
