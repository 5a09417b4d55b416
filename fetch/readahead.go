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
)

// readAhead keeps the window before the reader of a handle in flight.
//
// Where the reader is, is kept without a lock, since every read of an incomplete file
// notes it. Two reads at once may lose a step of each other: then read-ahead is a little
// shorter or later.
type readAhead struct {
	next   atomic.Int64 // where the furthest sequential read ended
	run    atomic.Int64 // bytes read without a jump, 0 before the first read
	proven atomic.Bool  // that was no chance
	until  atomic.Int64 // read-ahead has been asked for up to here
	mark   atomic.Int64 // nothing is to be launched before next has come here
	flying atomic.Int32 // length of holding

	mu      lockorder.Mutex[lockorder.Handle]
	holding []*flight // guarded by mu; their holds by file.mu
}

// note takes note of a read of [off +n), and launches flights when it is time.
// The first read after an open or a jump asks for nothing beyond itself, nor does
// the second if it does not adjoin the first.
func (a *readAhead) note(fi *fill, off, n int64) {
	next, end := a.next.Load(), off+n
	if a.run.Load() == 0 || end < next-slack || off > next+slack {
		a.next.Store(end)
		a.run.Store(n)
		a.proven.Store(false)
		a.until.Store(0)
		a.mark.Store(0)
		if a.flying.Load() > 0 {
			a.drop()
		}
		return
	}
	if end <= next {
		return // a straggler inside the window
	}
	a.run.Add(min(n, end-next))
	a.next.Store(end)
	if !a.proven.Swap(true) && off != next {
		return // of reads here and there, too, some come close to the one before
	}
	if end >= a.mark.Load() || !fi.blob.Has(end, minWindow) {
		a.launch(fi, min(max(2*a.run.Load(), minWindow), maxWindow))
	}
}

// launch puts flights on what is unassigned in the window, as many as the
// budgets allow. The window's end moves on in halves, so that flights are long;
// a gap inside, left where a flight was cut, is filled at once.
func (a *readAhead) launch(fi *fill, window int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f, size, next := fi.file, fi.blob.Version().Size, a.next.Load()
	step := max(window/readAheadFlights, minWindow) / cache.BlockSize * cache.BlockSize
	from := next / cache.BlockSize * cache.BlockSize
	target := min((next+window)/cache.BlockSize*cache.BlockSize, size)
	if target-a.until.Load() < window/2 && target < size {
		target = a.until.Load()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fi.current() || fi.noRanges || f.mu.failure.recent() != nil || !f.set.store.FullSince().IsZero() {
		return
	}
	a.holding = slices.DeleteFunc(a.holding, func(fl *flight) bool { return fl.ctx.Err() != nil })
	defer func() { a.flying.Store(int32(len(a.holding))) }()
	a.mark.Store(next + minWindow/4)
	for len(a.holding) < readAheadFlights {
		off, n := fi.unassigned(from, target)
		if n == 0 {
			a.until.Store(max(a.until.Load(), target))
			a.mark.Store(next + max(window/8, (fi.presentUntil(target)-next-window)/3))
			return
		}
		m := f.mirrorsLocked().pick(func(m *mirror) bool { return m.host.Free(hosts.Ahead) })
		if m == nil || !m.host.Try(hosts.Ahead) {
			return
		}
		if !f.set.begin() {
			m.host.Put(hosts.Ahead)
			return
		}
		fl := fi.launchLocked(m, hosts.Ahead, off, off+min(n, step))
		fl.holds++
		a.holding = append(a.holding, fl)
		a.until.Store(max(a.until.Load(), fl.end))
	}
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

// drop lets go of the read-ahead under way.
func (a *readAhead) drop() {
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
		fl.leaveLocked()
	}
	a.holding = nil
	a.flying.Store(0)
}
