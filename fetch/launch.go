package fetch

import (
	"math"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
)

const (
	// maxExtent bounds a prefetch flight, so that a file arrives roughly in
	// order; minExtent is what is not worth dividing further.
	maxExtent = 64 << 20
	minExtent = 1 << 20

	// firstExtent is what prefetch asks for at first where there may be readers.
	firstExtent = 2 << 20

	// cutCost is what a cut may cost: what the buffers of a connection hold at both ends,
	// which has been sent and is lost. Of all bytes received, cuts may cost one in cutShare;
	// a flight that would take longTail is divided at any cost.
	cutCost  = 4 << 20
	cutShare = 100
	longTail = time.Second

	// shareFrom is how long a file is whose first flight may be cut in any case: what that
	// costs is a fiftieth of it at most.
	shareFrom = 50 * cutCost

	// readersStay is how long after one has asked more readers are expected.
	readersStay = 10 * time.Second
)

// launch starts a prefetch flight of f if it has not more than depth of them
// and a place is free: over the next run that is missing, from where a reader
// last was; or, on first contact, over the start of the file.
func (p *prefetcher) launch(f *File, depth int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.failure != nil || f.mu.contact != nil || f.mu.removed {
		return
	}
	if f.loadLocked(nil) != nil { // which refill will find, too
		return
	}
	fi := f.fill()
	if fi == nil && f.mu.cur != nil { // one request brings all of it
		return
	}
	if f.set.peering != nil {
		p.launchPeered(f, fi)
		return
	}
	if fi != nil && (fi.flights.bulk() > depth || fi.single && len(fi.flights) > 0) {
		return
	}
	m := f.mirrorsLocked().free(hosts.Bulk)
	if m == nil || !m.host.Try(hosts.Bulk) {
		return
	}
	if fi == nil {
		if f.contactLocked(func(c *contact) { c.fetch(m, hosts.Bulk) }) != nil {
			return // the contact has the place
		}
	} else if off, n := p.nextRun(fi); n > 0 && f.set.begin() {
		n = min(n, p.extent(fi, m), fi.prudent(m))
		fi.launchLocked(m, hosts.Bulk, off, off+n).holds++
		return
	}
	m.host.Put(hosts.Bulk)
}

// extent is how long a flight of fi should be: its share of what no flight brings yet. So
// flights become shorter towards the end of a file, and end at about the same time without
// being cut. Each is at least a third of what a request is worth: at the end of a file, it
// is better that connections are used badly than not at all. The caller holds file.mu.
func (p *prefetcher) extent(fi *fill, m *mirror) int64 {
	left := fi.blob.Version().Size - fi.blob.Present()
	if p.set.oneRequest() {
		return left
	}
	for _, fl := range fi.flights {
		left -= fl.end - fl.pos
	}
	return min(max(p.share(left), m.host.Worth()/3/cache.BlockSize*cache.BlockSize, minExtent), maxExtent)
}

// share is what one of Options.Split flights brings of n bytes, in whole blocks.
func (p *prefetcher) share(n int64) int64 {
	return (n/int64(p.set.opts.Split) + cache.BlockSize) / cache.BlockSize * cache.BlockSize
}

// nextRun is fill.nextRun, once the flight that first contact began has been cut to its
// share, if the file is long and there are not enough other files for all connections: that
// flight asked for much, as the length was not known, and would end long after the others.
// Its request goes on to where it would have ended if the others are refused (see
// rejoinLocked). The caller holds file.mu.
func (p *prefetcher) nextRun(fi *fill) (off, n int64) {
	size := fi.blob.Version().Size
	if len(fi.flights) == 1 && size >= shareFrom && len(p.front)+len(p.active) < p.set.opts.Jobs {
		fl := fi.flights[0]
		end := (fl.pos + p.share(size-fl.pos)) / cache.BlockSize * cache.BlockSize
		if fl.class == hosts.Bulk && fl.start == 0 && !fl.whole && end < fl.end && !p.set.opts.Serve && !p.set.client.Limited() {
			fl.cutLocked(end)
			p.cuts++
		}
	}
	return fi.nextRun()
}

// oneRequest reports whether a file is to be had with one request, if it goes
// well: some URLs are good for one.
func (s *Set) oneRequest() bool { return s.opts.Split == 1 && !s.opts.Serve }

// prudent is how long a prefetch flight from m may be while readers are likely, as they
// are at any time in a mount: a reader who reads in the middle of a flight has it cut,
// and what is on its way behind the cut is lost. Before a reader came, it may be as long
// as what is there of the file; while readers are about, as long as it must be for its
// request not to cost much. The caller holds file.mu.
func (fi *fill) prudent(m *mirror) int64 {
	if !fi.file.set.opts.Serve {
		return math.MaxInt64
	}
	n := max(m.host.Worth(), minExtent)
	if time.Since(fi.demanded) > readersStay {
		n = max(n, fi.blob.Present()/cache.BlockSize*cache.BlockSize)
	}
	return m.host.Beside(n)
}

// nextRun returns the first unassigned run from the last reader's position on, or from
// the start. The caller holds file.mu.
func (fi *fill) nextRun() (off, n int64) {
	size := fi.blob.Version().Size
	from := min(fi.file.lastRead.Load(), size) / cache.BlockSize * cache.BlockSize
	if off, n = fi.unassigned(from, size); n > 0 {
		return off, n
	}
	return fi.unassigned(0, from)
}

// steal gives a free place the far half of f's longest flight, when f has
// nothing else left, the flight would take a while yet, and the cut may be afforded.
func (p *prefetcher) steal(f *File) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fi := f.fill()
	if fi == nil || fi.extents != nil || fi.noRanges || fi.single || f.mu.failure != nil || f.mu.removed || fi.flights.bulk() >= p.set.opts.Split {
		return
	}
	m := f.mirrorsLocked().free(hosts.Bulk)
	if m == nil {
		return
	}
	fl, middle := fi.flights.longest(m.host)
	if fl == nil || !p.mayCut(fl) || !m.host.Try(hosts.Bulk) {
		return
	}
	if !f.set.begin() {
		m.host.Put(hosts.Bulk)
		return
	}
	end := fl.end
	fl.cutLocked(middle)
	p.cuts++
	fi.launchLocked(m, hosts.Bulk, middle, end).holds++
}

// mayCut reports whether a flight may be cut for another that takes over its far half. What
// is on its way then is lost, and nothing is gained if the user's own limit holds the
// flight, or if its bytes come faster than they are taken. The caller holds file.mu.
func (p *prefetcher) mayCut(fl *flight) bool {
	client := p.set.client
	if client.Limited() || fl.ample.Load() > mostAmple/2 {
		return false
	}
	eta, _ := fl.eta(fl.end)
	return eta > longTail || (p.cuts+1)*cutCost <= client.Received()/cutShare
}

// longest returns the prefetch flight with most left to do and where to halve it; nil if
// none is worth it.
func (fs flights) longest(host *hosts.Host) (longest *flight, middle int64) {
	left := int64(2 * minExtent)
	for _, fl := range fs {
		eta, ok := fl.eta(fl.end)
		if fl.class == hosts.Bulk && fl.end-fl.pos >= left && ok && eta > 4*host.RequestCost() {
			longest, left = fl, fl.end-fl.pos
		}
	}
	if longest != nil {
		middle = (longest.pos + left/2) / cache.BlockSize * cache.BlockSize
	}
	return longest, middle
}
