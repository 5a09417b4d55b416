package fetch

import (
	"slices"
	"sync/atomic"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch/hosts"
)

// The read-ahead of a sequential reader is twice what it has read without a
// jump, at least minWindow and at most maxWindow, which its flights share. Reads
// come from the kernel out of order, so what is a jump is taken with some slack.
const (
	minWindow        = 512 << 10
	maxWindow        = 64 << 20
	readAheadFlights = 8
	slack            = 1 << 20

	// leastRun is how much must have been read in a row for the window to be kept in
	// flight: programs read a header and then what it tells, and go elsewhere.
	leastRun = 256 << 10

	// cheapRest is how much a flight of read-ahead may have to come still when it is no
	// longer wanted, and go on: to end it costs its connection, and the next reader a new
	// one.
	cheapRest = 512 << 10
)

// readAhead keeps the window before the reader of a handle in flight.
//
// Where the reader is, is kept without a lock, since every read of an incomplete file
// notes it. Two reads at once may lose a step of each other: then read-ahead is a little
// shorter or later.
type readAhead struct {
	run    run
	stride stride
	flying atomic.Int32 // length of holding

	mu      lockorder.Mutex[lockorder.Handle]
	holding []*flight // guarded by mu; their holds by file.mu
}

// run is a part of the file that is read in sequence.
type run struct {
	next   atomic.Int64 // where the furthest read ended
	length atomic.Int64 // bytes from the first read to there, 0 before the first read
	proven atomic.Bool  // that was no chance
	until  atomic.Int64 // read-ahead has been asked for up to here
	mark   atomic.Int64 // nothing is to be launched before next has come here
}

// note takes note of a read of [off +n), and launches flights when it is time.
// The first read after an open or a jump asks for nothing beyond itself, nor does
// the second if it does not adjoin the first.
func (a *readAhead) note(fi *fill, off, n int64) {
	r, next, end := &a.run, a.run.next.Load(), off+n
	if d := a.stride.note(off); off != next && (d < 0 || d > n+cache.BlockSize) {
		r.begin(end, n)
		a.followStride(fi, off, n, d)
		return
	}
	if r.length.Load() == 0 || end < next-slack || off > next+slack {
		r.begin(end, n)
		if a.flying.Load() > 0 {
			a.drop(cheapRest)
		}
		return
	}
	if end <= next {
		return // a straggler inside the window
	}
	length := r.length.Add(end - next)
	r.next.Store(end)
	if !r.proven.Swap(true) && off != next {
		return // of reads here and there, too, some come close to the one before
	}
	if length >= leastRun && (end >= r.mark.Load() || !fi.blob.Has(end, minWindow)) {
		most := int64(maxWindow)
		if r := fi.file.set.room; r != nil {
			most = min(most, max(r.window(), minWindow))
		}
		a.launch(fi, min(max(2*length, minWindow), most))
	}
}

// begin has a run begin anew, with a read of n bytes up to end.
func (r *run) begin(end, n int64) {
	r.next.Store(end)
	r.length.Store(n)
	r.proven.Store(false)
	r.until.Store(0)
	r.mark.Store(0)
}

// launch puts flights on what is unassigned in the window, as many as the
// hosts have places for. The window's end moves on in halves, so that flights are long;
// a gap inside, left where a flight was cut, is filled at once.
func (a *readAhead) launch(fi *fill, window int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := &a.run
	f, size, next := fi.file, fi.blob.Version().Size, r.next.Load()
	step := max(window/readAheadFlights, minWindow) / cache.BlockSize * cache.BlockSize
	from := next / cache.BlockSize * cache.BlockSize
	target := min((next+window)/cache.BlockSize*cache.BlockSize, size)
	if target-r.until.Load() < window/2 && target < size {
		target = r.until.Load()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !a.mayLaunchLocked(fi) {
		return
	}
	r.mark.Store(next + minWindow/4)
	for len(a.holding) < readAheadFlights {
		off, n := fi.unassigned(from, target)
		if n == 0 {
			r.until.Store(max(r.until.Load(), target))
			r.mark.Store(next + max(window/8, (fi.presentUntil(target)-next-window)/3))
			return
		}
		end := a.launchOneLocked(fi, off, off+min(n, step))
		if end == 0 {
			return
		}
		r.until.Store(max(r.until.Load(), end))
	}
}

// mayLaunchLocked reports whether read-ahead of fi makes sense now. The caller holds a.mu
// and file.mu.
func (a *readAhead) mayLaunchLocked(fi *fill) bool {
	f := fi.file
	if !fi.current() || fi.noRanges || f.mu.failure.recent() != nil || !f.set.store.FullSince().IsZero() {
		return false
	}
	a.holding = slices.DeleteFunc(a.holding, func(fl *flight) bool { return fl.ctx.Err() != nil })
	a.flying.Store(int32(len(a.holding)))
	return true
}

// launchOneLocked launches a flight over [off, end) if a host has a place for it, and
// returns where it ends; 0 if it is not launched. The caller holds a.mu and file.mu.
func (a *readAhead) launchOneLocked(fi *fill, off, end int64) int64 {
	f := fi.file
	m, end := fi.speculative(hosts.Ahead, off, end)
	if m == nil || !m.host.Try(hosts.Ahead) {
		return 0
	}
	if !f.set.begin() {
		m.host.Put(hosts.Ahead)
		return 0
	}
	fl := fi.launchLocked(m, hosts.Ahead, off, end)
	fl.holds++
	a.holding = append(a.holding, fl)
	a.flying.Store(int32(len(a.holding)))
	return fl.end
}

// presentUntil returns the first missing block at or after off, at most a few windows on.
// While the reader is a third of the way from its window to there, the window, which grows
// by two bytes with every byte read, does not come to it.
func (fi *fill) presentUntil(off int64) int64 {
	most := min(fi.blob.Version().Size, off+4*maxWindow)
	if at, n := fi.blob.Missing(off, most-off); n > 0 {
		return max(at, off)
	}
	return most
}

// drop lets go of the read-ahead under way, but lets flights end that have at most rest
// bytes to come.
func (a *readAhead) drop(rest int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.holding) == 0 {
		return
	}
	f := a.holding[0].fill.file
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, fl := range a.holding {
		fl.holds--
		if fl.end-fl.pos > rest {
			fl.leaveLocked()
		}
	}
	a.holding = nil
	a.flying.Store(0)
}
