package fetch

import (
	"context"
	"io"
	"sync"

	"dlfs/cache"
)

// Read-ahead of a sequential reader starts at minWindow, doubles with each read
// that goes on where the last ended, and ends at maxWindow, which its flights
// share. Reads come from the kernel out of order, so "where the last ended" is
// taken with some slack.
const (
	minWindow        = 512 << 10
	maxWindow        = 64 << 20
	readAheadFlights = 8
	slack            = 2 << 20
)

// Handle is an open file: one version of it, for as long as the handle lives.
// It is safe for concurrent use.
type Handle struct {
	file *File
	blob *cache.Blob

	mu      sync.Mutex
	next    int64     // where the last sequential read ended; guarded by mu
	window  int64     // guarded by mu
	ahead   int64     // read-ahead has been asked for up to here; guarded by mu
	holding []*flight // guarded by mu; their holds by file.mu
}

// Open returns a handle of the file's current version, probing for it if need
// be. It blocks for the network, until ctx ends. Close releases it.
func (f *File) Open(ctx context.Context) (*Handle, error) {
	blob, err := f.Probe(ctx)
	if err != nil {
		return nil, err
	}
	if err := blob.Acquire(); err != nil {
		return nil, err
	}
	f.set.opened(f)
	return &Handle{file: f, blob: blob}, nil
}

// Blob is the version the handle reads.
func (h *Handle) Blob() *cache.Blob { return h.blob }

// ReadAt is ReadAtContext without a bound but the network's own.
func (h *Handle) ReadAt(p []byte, off int64) (int, error) {
	return h.ReadAtContext(h.file.set.ctx, p, off)
}

// ReadAtContext reads len(p) bytes at off, or fewer at the end of the file,
// then with io.EOF. Missing blocks are fetched first: it blocks until they are
// there, until the origin proves unable to give them, or until ctx ends. What
// is present is read without a lock, a request or an allocation.
func (h *Handle) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !h.blob.Complete() {
		if off >= h.blob.Version().Size {
			return 0, io.EOF
		}
		h.file.lastRead.Store(off + int64(len(p)))
		h.readAhead(off, int64(len(p)))
	}
	return h.file.readAt(ctx, h.blob, p, off)
}

// readAhead notes a read of [off +n) and keeps the window before it in flight.
// The first read after an open or a jump asks for nothing beyond itself.
func (h *Handle) readAhead(off, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.window == 0 || off+n < h.next-slack || off > h.next+slack {
		h.next, h.window, h.ahead = off+n, 1, 0
		h.dropLocked()
		return
	}
	if off+n <= h.next {
		return // a straggler inside the window
	}
	h.next = off + n
	h.window = min(max(2*h.window, minWindow), maxWindow)
	h.ahead = max(h.ahead, h.next/cache.BlockSize*cache.BlockSize)
	target := (h.next + h.window) / cache.BlockSize * cache.BlockSize
	if target-h.ahead >= h.window/2 {
		h.launchLocked(min(target, h.blob.Version().Size))
	}
}

// launchLocked puts flights on what is unassigned between ahead and target,
// which are block boundaries, as many as the budgets allow.
func (h *Handle) launchLocked(target int64) {
	f, step := h.file, max(h.window/readAheadFlights, minWindow)
	host := f.host()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.blob != h.blob || f.mu.noRanges || f.recentLocked() != nil {
		return
	}
	h.holding = stillFlying(h.holding)
	for len(h.holding) < readAheadFlights {
		off, n := f.unassignedLocked(h.ahead, target)
		if n == 0 {
			h.ahead = target
			return
		}
		if !host.tryAhead() {
			return
		}
		if !f.set.begin() {
			host.put(readAhead)
			return
		}
		fl := f.launchLocked(h.blob, readAhead, off, off+min(n, step), nil)
		fl.holds++
		h.holding = append(h.holding, fl)
		h.ahead = fl.end
	}
}

func stillFlying(flights []*flight) (live []*flight) {
	for _, fl := range flights {
		if fl.ctx.Err() == nil {
			live = append(live, fl)
		}
	}
	return live
}

// dropLocked lets go of the read-ahead under way.
func (h *Handle) dropLocked() {
	if len(h.holding) == 0 {
		return
	}
	h.file.mu.Lock()
	defer h.file.mu.Unlock()
	for _, fl := range h.holding {
		fl.holds--
		fl.leaveLocked()
	}
	h.holding = nil
}

// Close ends the handle. No read may be in progress.
func (h *Handle) Close() {
	h.mu.Lock()
	h.dropLocked()
	h.mu.Unlock()
	h.blob.Release()
}
