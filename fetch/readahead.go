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

	// runsKnown is how many runs of a reader are known at once: some programs read columns
	// or streams of one file in turns. A read near the end of a run goes on with it.
	runsKnown = 8
	nearRun   = 256 << 10

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
	runs    [runsKnown]run
	current atomic.Int32 // index of the run of the last read
	several atomic.Int32 // how often, less the jumps since, the reader came back to another run
	stride  stride
	flying  atomic.Int32 // length of holding

	mu      lockorder.Mutex[lockorder.Handle]
	holding []held // guarded by mu; the holds of its flights by file.mu
}

// held is a flight of read-ahead, and what it is ahead of: nil for a stride.
type held struct {
	*flight
	run *run
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
	end, d, several := off+n, a.stride.note(off), a.several.Load()
	r := a.runAt(off, 0)
	if r == nil && (d < 0 || d > n+cache.BlockSize) && several == 0 {
		a.beginRun(off, n)
		a.followStride(fi, off, n, d)
		return
	}
	if r == nil {
		if r = a.runAt(off, nearRun); r == nil {
			a.jump(off, n)
			a.followJump(fi, off, n)
			return
		}
	}
	next := r.next.Load()
	if end <= next {
		return // a straggler inside the window
	}
	if several == 0 && a.several.Load() > 0 {
		a.followOthers(fi, r, n)
	}
	length := r.length.Add(end - next)
	r.next.Store(end)
	if !r.proven.Swap(true) && off != next {
		return // of reads here and there, too, some come close to the one before
	}
	if length >= leastRun && (end >= r.mark.Load() || !fi.blob.Has(end, minWindow)) {
		most := int64(maxWindow)
		if room := fi.file.set.room; room != nil {
			most = min(most, max(room.window(), minWindow))
		}
		a.launch(fi, r, min(max(2*length, minWindow), most))
	}
}

// runAt returns the run that a read at off goes on with, which is then the current one; nil
// if there is none. The read begins where the run ended, or no further from there than near
// bytes, and of the run before it than slack, if near is not 0.
func (a *readAhead) runAt(off, near int64) *run {
	current := a.current.Load()
	allowed := near
	if near > 0 {
		allowed = slack
	}
	if r := &a.runs[current]; r.endsAt(off, allowed) {
		return r
	}
	for i := range a.runs {
		if r := &a.runs[i]; r.endsAt(off, near) {
			a.current.Store(int32(i))
			a.several.Store(runsKnown)
			return r
		}
	}
	return nil
}

// jump begins a run with a read of [off +n). The read-ahead under way is dropped, but not if
// the reader has several runs: then it comes back to them.
func (a *readAhead) jump(off, n int64) {
	if a.several.Load() > 0 {
		a.several.Add(-1)
	} else if a.flying.Load() > 0 {
		a.drop(cheapRest)
	}
	a.beginRun(off, n)
}

// beginRun begins a run with a read of [off +n), in the place of the one that was begun
// longest ago.
func (a *readAhead) beginRun(off, n int64) {
	i := a.current.Load()
	if a.runs[i].length.Load() > 0 { // else the handle has read nothing yet
		i = (i + 1) % runsKnown
	}
	a.runs[i].begin(off+n, n)
	a.current.Store(i)
}

// endsAt reports whether the run ends near off.
func (r *run) endsAt(off, near int64) bool {
	return r.length.Load() > 0 && abs(off-r.next.Load()) <= near
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
func (a *readAhead) launch(fi *fill, r *run, window int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, size, next := fi.file, fi.blob.Version().Size, r.next.Load()
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
	most := a.mostFlights(r)
	step := max(window/int64(most), minWindow) / cache.BlockSize * cache.BlockSize
	for a.held(r) < most && len(a.holding) < readAheadFlights {
		off, n := fi.unassigned(from, target)
		if n == 0 {
			r.until.Store(max(r.until.Load(), target))
			r.mark.Store(next + max(window/8, (fi.presentUntil(target)-next-window)/3))
			return
		}
		end := a.launchOneLocked(fi, r, off, off+min(n, step))
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
	a.holding = slices.DeleteFunc(a.holding, func(h held) bool { return h.ctx.Err() != nil })
	a.flying.Store(int32(len(a.holding)))
	return true
}

// mostFlights is how many flights a run may have: runs share them evenly. The caller holds
// a.mu.
func (a *readAhead) mostFlights(r *run) int {
	runs := map[*run]bool{r: true}
	for _, h := range a.holding {
		runs[h.run] = true
	}
	return max(readAheadFlights/len(runs), 1)
}

// held counts the flights of a run. The caller holds a.mu.
func (a *readAhead) held(r *run) (n int) {
	for _, h := range a.holding {
		if h.run == r {
			n++
		}
	}
	return n
}

// bringLocked launches a flight, ahead of r if that is not nil, over the first unassigned run of
// the blocks of [off +n). It reports false if there is one and no host has a place for it. The
// caller holds a.mu and file.mu.
func (a *readAhead) bringLocked(fi *fill, r *run, off, n int64) bool {
	from, to := fi.blocksOf(off, n)
	at, missing := fi.unassigned(from, to)
	return missing == 0 || a.launchOneLocked(fi, r, at, at+missing) > 0
}

// launchOneLocked launches a flight over [off, end), ahead of r, if a host has a place for
// it, and returns where it ends; 0 if it is not launched. The caller holds a.mu and file.mu.
func (a *readAhead) launchOneLocked(fi *fill, r *run, off, end int64) int64 {
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
	a.holding = append(a.holding, held{fl, r})
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
	for _, h := range a.holding {
		h.holds--
		if h.end-h.pos > rest {
			h.leaveLocked()
		}
	}
	a.holding = nil
	a.flying.Store(0)
}
