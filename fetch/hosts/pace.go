package hosts

import (
	"context"
	"time"

	"dlfs/cache"
)

// Prefetch gives way to readers. What it has asked for fills the queue before the
// narrowest link, in which every reader's answer then waits, and holding flights
// still when a reader comes is too late: what is on its way, and what the kernel
// takes in for them, is in the queue already. So while readers are about, prefetch
// leaves some of what the host was seen to send, and the queue stays empty.
//
// What was seen may be wrong: a stall, a link that changed. So it is looked at again
// and again, and nothing rests on it for long.
const (
	// paceShare is the share of the host's rate that prefetch and readers may take together
	// while readers are about. A reader who wants more takes of the rest, which lowers the
	// share of prefetch, until prefetch takes nearly nothing.
	paceShare = 0.9

	// putOffAtMost bounds how long a flight is put off before each read. The bound holds
	// also if readers take much, or if the host was seen to send little, because a
	// reader may join the flight meanwhile.
	putOffAtMost = 100 * time.Millisecond

	// paceStep is how far apart in time prefetch takes what it may; minStep spares
	// calls on slow links.
	paceStep = time.Millisecond
	minStep  = 8 << 10

	// readersReturn is how long after one has gone others are expected.
	readersReturn = time.Second

	// learnFor is how long the host is watched to see what it sends, while prefetch
	// takes all it can, and learnAgain for how long that is believed. What had come
	// before that is not counted: it is gone after learnAfter.
	learnFor   = 500 * time.Millisecond
	learnAfter = 100 * time.Millisecond
	learnAgain = 10 * time.Second

	// burst is how much of the link's time a request beside readers may take: a
	// sender that was not held back for a while sends all of it at once. But it is
	// to take besideCosts times as long as its first byte does.
	burst       = 20 * time.Millisecond
	besideCosts = 4
	minBurst    = 8 * cache.BlockSize
)

// pace is how fast prefetch may take from a host. It is guarded by Host.mu.
type pace struct {
	reader  time.Time // when a reader was last about
	due     time.Time // when prefetch may take more
	rate    float64   // bytes a second that the host sends; 0 while not known
	learned time.Time // when that was seen
	since   time.Time // when watching began, or will
	bytes   int64     // bytes that came since,
	own     int64     // and of these for prefetch
}

// besideLocked reports whether readers are about, and what the host sends is known.
func (h *Host) besideLocked(now time.Time) bool {
	return h.pace.rate > 0 && (h.waiting > 0 || now.Sub(h.pace.reader) < readersReturn)
}

// pacedLocked reports whether prefetch is to leave some of what could come.
func (h *Host) pacedLocked(now time.Time) bool {
	return h.besideLocked(now) && now.Sub(h.pace.learned) < learnAgain
}

// Beside returns n, the bytes a flight of prefetch would ask for, or fewer where
// readers are about.
func (h *Host) Beside(n int64) int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.besideLocked(time.Now()) {
		return n
	}
	most := max(h.pace.rate*max(burst, h.ttfb/4).Seconds(), besideCosts*h.rate*h.ttfb.Seconds())
	return min(n, max(int64(most)/cache.BlockSize*cache.BlockSize, minBurst))
}

// Turn waits for the time when a flight of prefetch may take up to limit bytes
// more from the host, at least one, and returns how many: at least one. It waits
// for putOffAtMost at most, or until ctx ends.
func (h *Host) Turn(ctx context.Context, limit int64) int64 {
	h.mu.Lock()
	now := time.Now()
	paced, wait, step := h.pacedLocked(now), h.pace.due.Sub(now), int64(h.pace.rate*paceStep.Seconds())
	h.mu.Unlock()
	if !paced {
		return limit
	}
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	return min(max(step, minStep), limit)
}

// Took notes n bytes that came from the host: for a reader, who waits or will soon
// want them, or for prefetch.
func (h *Host) Took(n int64, forReader bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now, p := time.Now(), &h.pace
	if forReader {
		p.reader = now
	}
	if h.pacedLocked(now) {
		d := time.Duration(float64(n) / (paceShare * p.rate) * float64(time.Second))
		ahead := max(p.due.Sub(now), -burst) // how long these bytes may have taken
		p.due = now.Add(min(ahead+min(d, putOffAtMost), putOffAtMost))
		p.since, p.bytes, p.own = now.Add(learnAfter), 0, 0
		return
	}
	h.watchLocked(now, n, forReader)
}

// watchLocked learns what the host sends from what comes while prefetch takes all
// it can. Little may come for many reasons, so one look does not take much off.
func (h *Host) watchLocked(now time.Time, n int64, forReader bool) {
	p, d := &h.pace, now.Sub(h.pace.since)
	if d < 0 {
		return
	}
	p.bytes += n
	if !forReader {
		p.own += n
	}
	if d < learnFor {
		return
	}
	if d < 2*learnFor && 2*p.own >= p.bytes { // else there was little to watch
		p.rate, p.learned = max(float64(p.bytes)/d.Seconds(), p.rate*3/4), now
	}
	p.since, p.bytes, p.own = now, 0, 0
}
