package fetch

import (
	"context"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

const (
	// maxExtent bounds a prefetch flight, so that a file arrives roughly in
	// order; minExtent is what is not worth dividing further.
	maxExtent = 64 << 20
	minExtent = 1 << 20
)

// launch starts a prefetch flight of f if it has not more than depth of them
// and a place is free: over the next run that is missing, from where a reader
// last was; or, on first contact, over the start of the file.
func (p *prefetcher) launch(f *File, depth int) {
	host := f.host()
	if !host.tryBulk() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.failure == nil && f.mu.probing == nil && f.bulkLocked() <= depth {
		if f.mu.blob == nil {
			if f.contactLocked(f.firstContact) != nil {
				return // firstContact has the place
			}
		} else if off, n := f.nextRunLocked(); n > 0 && f.set.begin() {
			n = min(n, p.extent(f.mu.blob))
			f.launchLocked(f.mu.blob, bulk, off, off+n, nil).holds++
			return
		}
	}
	host.put(bulk)
}

// extent is how long a flight of blob should be: its share of what is missing.
func (p *prefetcher) extent(blob *cache.Blob) int64 {
	missing := blob.Version().Size - blob.Present()
	share := (missing/int64(p.set.opts.Split) + cache.BlockSize) / cache.BlockSize * cache.BlockSize
	return min(max(share, minExtent), maxExtent)
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
	host := f.host()
	if !host.tryBulk() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, middle := f.longestLocked(host); fl != nil && f.bulkLocked() < p.set.opts.Split && f.set.begin() {
		end := fl.end
		fl.cutLocked(middle)
		f.launchLocked(fl.blob, bulk, middle, end, nil).holds++
		return
	}
	host.put(bulk)
}

// longestLocked returns the prefetch flight with most left to do and where to
// halve it; nil if none is worth it.
func (f *File) longestLocked(host *host) (longest *flight, middle int64) {
	if f.mu.noRanges || f.mu.failure != nil {
		return nil, 0
	}
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

// firstContact asks for the start of a file whose version is not known, and
// goes on streaming it: a small file costs one request. It has a prefetch place
// of the host.
func (f *File) firstContact() {
	host := f.host()
	if f.set.store.Occupied(f.name) { // perhaps to be adopted: ask before fetching
		host.put(bulk)
		f.probe(false)
		return
	}
	asked := time.Now()
	ctx, cancel := context.WithCancel(f.set.ctx)
	body, err := f.resource().Get(ctx, nil, 0, maxExtent)
	if err == nil && body.Version().Size == origin.UnknownSize {
		body.Close()
		err = errNoLength
	}
	if err != nil {
		cancel()
		host.put(bulk)
		f.contacted(nil, err)
		return
	}
	blob, err := f.set.store.Create(f.name, cache.Version(body.Version()))
	if err != nil || blob.Complete() || !f.set.begin() {
		body.Close()
		cancel()
		host.put(bulk)
		f.contacted(blob, err)
		return
	}
	host.firstByte(time.Since(asked))
	f.mu.Lock()
	f.mu.noRanges = !body.Ranged()
	f.setBlobLocked(blob)
	f.contactedLocked()
	f.launchLocked(blob, bulk, 0, body.End(), &contact{body, ctx, cancel}).holds++
	f.mu.Unlock()
	f.set.poke()
}
