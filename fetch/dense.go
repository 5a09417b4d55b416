package fetch

import "dlfs/cache"

// Random reads are dense if most of them come near blocks that are present: then the blocks
// around them will be wanted, too. A demand flight goes on behind its reader's blocks for as
// long as the host takes to answer another request, and the denser the reads are the longer.
// Its reader does not wait for that.
const (
	denseFrom = 3 // so many more reads came near than not
	denseMost = 8

	nearby      = 1 << 20 // bytes
	mostDoubled = 3       // how often the length of a flight is doubled
)

// density is how dense the random reads of a fill are.
type density struct {
	near int32 // reads that came near others, less those that did not; 0 to denseMost
	end  int64 // where the last demand flight was to end: a read from there on is not random
}

// note takes note that a reader has to ask for [off, end), and reports whether such reads
// are dense.
func (d *density) note(blob *cache.Blob, off, end int64) bool {
	random := off != d.end
	d.end = end
	if !random {
		return false
	}
	from := max(off-nearby, 0)
	if blob.PresentIn(from, end+nearby-from) > 0 {
		d.near = min(d.near+1, denseMost)
	} else {
		d.near = max(d.near-1, 0)
	}
	return d.near >= denseFrom
}

// widenLocked returns where a demand flight over [off, end) had better end. carried is what the
// host sends in the time that a request takes, in bytes. Where other machines may have the
// bytes, where the disk is full or the store bounded, where the origin gives one stream at a
// time, and where prefetch fetches the file anyway, a flight ends where its reader's blocks end.
func (fi *fill) widenLocked(off, end, carried int64) int64 {
	s, size := fi.file.set, fi.blob.Version().Size
	if size <= carried { // what is left costs less than to ask for it
		at, n := fi.blob.Missing(off, size-off)
		return max(end, at+n)
	}
	if s.opts.Prefetch != PrefetchNone || s.room != nil || s.peering != nil || fi.single || !s.store.FullSince().IsZero() {
		return end
	}
	if !fi.dense.note(fi.blob, off, end) {
		return end
	}
	carried <<= min(fi.dense.near-denseFrom, mostDoubled)
	at, n := fi.blob.Missing(off, min(off+carried, size)-off)
	fi.dense.end = max(end, at+n)
	return fi.dense.end
}
