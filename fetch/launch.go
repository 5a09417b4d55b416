package fetch

import (
	"math"
	"time"

	"dlfs/cache"
)

const (
	// maxExtent bounds a prefetch flight, so that a file arrives roughly in
	// order; minExtent is what is not worth dividing further.
	maxExtent = 64 << 20
	minExtent = 1 << 20

	// firstExtent is what prefetch asks for at first where there may be readers.
	firstExtent = 2 << 20

	// worthCosts is how often a flight should take what its request does.
	worthCosts = 6

	// readersStay is how long after one has asked more readers are expected.
	readersStay = 10 * time.Second
)

// launch starts a prefetch flight of f if it has not more than depth of them
// and a place is free: over the next run that is missing, from where a reader
// last was; or, on first contact, over the start of the file.
func (p *prefetcher) launch(f *File, depth int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.failure != nil || f.mu.probing != nil || f.mu.growth != nil || f.mu.removed || f.bulkLocked() > depth {
		return
	}
	if f.mu.single && len(f.mu.flights) > 0 {
		return
	}
	if f.loadLocked() != nil { // which refill will find, too
		return
	}
	m := f.pickLocked(func(m *mirror) bool { return m.host.free(bulk) })
	if m == nil || !m.host.try(bulk) {
		return
	}
	if f.mu.blob == nil {
		if f.contactLocked(func() { f.firstContact(m) }) != nil {
			return // firstContact has the place
		}
	} else if off, n := f.nextRunLocked(); n > 0 && f.set.begin() {
		n = min(n, p.extent(f.mu.blob), f.prudentLocked(m))
		f.launchLocked(f.mu.blob, m, bulk, off, off+n).holds++
		return
	}
	m.host.put(bulk)
}

// extent is how long a flight of blob should be: its share of what is missing.
func (p *prefetcher) extent(blob *cache.Blob) int64 {
	missing := blob.Version().Size - blob.Present()
	if p.set.oneRequest() {
		return missing
	}
	share := (missing/int64(p.set.opts.Split) + cache.BlockSize) / cache.BlockSize * cache.BlockSize
	return min(max(share, minExtent), maxExtent)
}

// oneRequest reports whether a file is to be had with one request, if it goes
// well: some URLs are good for one.
func (s *Set) oneRequest() bool { return s.opts.Split == 1 && !s.opts.Keep }

// prudentLocked is how long a flight from m may be in view of readers, who may be
// there at any time in a mount: one who reads in the middle of it has it cut, and
// what is on its way behind the cut is lost. Before any came, it may be as long as
// what is there of the file; while some are there, as long as it must be for its
// request not to cost much.
func (f *File) prudentLocked(m *mirror) int64 {
	if !f.set.opts.Keep {
		return math.MaxInt64
	}
	n := max(m.host.worth(), minExtent)
	if time.Since(f.mu.demanded) > readersStay {
		n = max(n, f.mu.blob.Present()/cache.BlockSize*cache.BlockSize)
	}
	return m.host.beside(n)
}

// nextRunLocked returns the first unassigned run from the last reader's
// position on, or from the start.
func (f *File) nextRunLocked() (off, n int64) {
	size := f.mu.blob.Version().Size
	from := min(f.lastRead.Load(), size) / cache.BlockSize * cache.BlockSize
	if off, n = f.unassignedLocked(from, size); n > 0 {
		return off, n
	}
	return f.unassignedLocked(0, from)
}

// bulkLocked counts the prefetch flights of f.
func (f *File) bulkLocked() (n int) {
	for _, fl := range f.mu.flights {
		if fl.class == bulk {
			n++
		}
	}
	return n
}

// steal gives a free place the far half of f's longest flight, when f has
// nothing else left and the flight would take a while yet.
func (p *prefetcher) steal(f *File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.noRanges || f.mu.single || f.mu.failure != nil || f.mu.removed || f.bulkLocked() >= p.set.opts.Split {
		return
	}
	m := f.pickLocked(func(m *mirror) bool { return m.host.free(bulk) })
	if m == nil {
		return
	}
	fl, middle := f.longestLocked(m.host)
	if fl == nil || !m.host.try(bulk) {
		return
	}
	if !f.set.begin() {
		m.host.put(bulk)
		return
	}
	end := fl.end
	fl.cutLocked(middle)
	f.launchLocked(fl.blob, m, bulk, middle, end).holds++
}

// longestLocked returns the prefetch flight with most left to do and where to
// halve it; nil if none is worth it.
func (f *File) longestLocked(host *host) (longest *flight, middle int64) {
	left := int64(2 * minExtent)
	for _, fl := range f.mu.flights {
		eta, ok := fl.etaLocked(fl.end)
		if fl.class == bulk && fl.end-fl.pos >= left && ok && eta > 4*host.requestCost() {
			longest, left = fl, fl.end-fl.pos
		}
	}
	if longest != nil {
		middle = (longest.pos + left/2) / cache.BlockSize * cache.BlockSize
	}
	return longest, middle
}
