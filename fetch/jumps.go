package fetch

// A reader that goes to within endMost of the end of a file, and past all but one in
// endShare of its bytes, is likely to read on to the end: tail, and programs that keep
// an index there.
const (
	endMost  = 1 << 20
	endShare = 16
)

// followJump launches flights after a jump, with which the reader came to [off +n): to the end
// of the file if that is near and no other machine may have it, else around the read if such
// reads are dense.
func (a *readAhead) followJump(fi *fill, off, n int64) {
	size := fi.blob.Version().Size
	if size-off > min(endMost, size/endShare) || fi.file.set.peering != nil {
		a.followDense(fi, off, n)
		return
	}
	if end := min(off+n, size); !fi.blob.Has(end, size-end) {
		a.launch(fi, &a.runs[a.current.Load()], endMost)
	}
}

// followOthers puts a flight of n bytes on the end of each run but r, because the reader, whose
// reads are so long, came back to r for the first time, and is likely to come back to all.
func (a *readAhead) followOthers(fi *fill, r *run, n int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fi.file.mu.Lock()
	defer fi.file.mu.Unlock()
	if !a.mayLaunchLocked(fi) {
		return
	}
	for i := range a.runs {
		other := &a.runs[i]
		if other == r || other.length.Load() == 0 || len(a.holding) == readAheadFlights {
			continue
		}
		a.bringLocked(fi, other, other.next.Load(), n)
	}
}
