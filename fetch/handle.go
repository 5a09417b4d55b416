package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch/origin"
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

var _ io.ReaderAt = (*Handle)(nil)

// Handle is an open file: one version of it, for as long as the handle lives.
// It is safe for concurrent use.
type Handle struct {
	file   *File
	blob   *cache.Blob // nil for a file of unknown length
	growth *growth     // of such a file

	mu      lockorder.Mutex[lockorder.Handle]
	next    int64     // where the furthest sequential read ended; guarded by mu
	run     int64     // bytes read without a jump, 0 before the first read; guarded by mu
	proven  bool      // that was no chance; guarded by mu
	ahead   int64     // read-ahead has been asked for up to here; guarded by mu
	holding []*flight // guarded by mu; their holds by file.mu
}

// Open returns a handle of the file's current version, probing for it if need
// be. It blocks for the network, until ctx ends. Close releases it.
func (f *File) Open(ctx context.Context) (*Handle, error) {
	for {
		if _, err := f.Probe(ctx); err != nil {
			return nil, err
		}
		f.mu.Lock()
		h := &Handle{file: f, blob: f.mu.blob, growth: f.mu.growth}
		err := f.refusedLocked()
		f.mu.Unlock()
		if err != nil {
			return nil, err
		}
		if h.blob == nil && h.growth == nil {
			continue // changed since
		}
		if err := h.acquire(); errors.Is(err, fs.ErrClosed) {
			continue // what grew is complete since, or the version was given up
		} else if err != nil {
			return nil, err
		}
		f.set.opened(f)
		return h, nil
	}
}

// refusedLocked is why a new reader is not let in: the origin has another
// version, and the policy is that the file fails.
func (f *File) refusedLocked() error {
	if fail := f.mu.failure; fail != nil && f.set.opts.OnChange == Fail && origin.KindOf(fail.err) == origin.Changed {
		return fail.err
	}
	return nil
}

func (h *Handle) acquire() error {
	if err := h.file.set.hold(h.file); err != nil {
		return err
	}
	var err error
	if h.blob != nil {
		err = h.blob.Acquire()
	} else {
		err = h.growth.stream.Acquire()
	}
	if err != nil {
		h.file.set.letGo(h.file)
	}
	return err
}

// hold counts one more handle of f. The error wraps EMFILE if readers hold as many
// files open as they may: others need descriptors, too.
func (s *Set) hold(f *File) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if most := s.opts.MaxFiles; most > 0 && s.mu.held[f] == 0 && len(s.mu.held) >= most {
		return fmt.Errorf("open %q: readers hold %d files open, which is their share of the limit of open files: %w", f.name, most, syscall.EMFILE)
	}
	s.mu.held[f]++
	return nil
}

// letGo undoes one hold.
func (s *Set) letGo(f *File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.held[f]--; s.mu.held[f] == 0 {
		delete(s.mu.held, f)
	}
}

// Copy is the version the handle reads.
func (h *Handle) Copy() Copy {
	if h.blob != nil {
		return h.blob
	}
	return h.growth.stream
}

// Has reports whether [off +n) can be read without waiting.
func (h *Handle) Has(off, n int64) bool {
	if h.blob != nil {
		return h.blob.Has(off, n)
	}
	return off < h.growth.stream.Present()
}

// File returns the open file of a published blob, for the kernel to read from
// directly; nil if there is none. The handle keeps it open.
func (h *Handle) File() *os.File {
	if h.blob == nil {
		return nil
	}
	return h.blob.File()
}

// ReadAt is ReadAtContext without a bound but the network's own.
func (h *Handle) ReadAt(p []byte, off int64) (int, error) {
	return h.ReadAtContext(h.file.set.ctx, p, off)
}

// ReadAtContext reads len(p) bytes at off, or fewer at the end of the file,
// then with io.EOF; of a file of unknown length, what there is, at least a byte. Missing blocks are fetched first: it blocks until they are
// there, until the origin proves unable to give them, or until ctx ends. What
// is present is read without a lock, a request or an allocation.
func (h *Handle) ReadAtContext(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if h.blob == nil {
		return h.file.readGrowing(ctx, h.growth, p, off)
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
// The first read after an open or a jump asks for nothing beyond itself, nor does
// the second if it does not adjoin the first.
func (h *Handle) readAhead(off, n int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.run == 0 || off+n < h.next-slack || off > h.next+slack {
		h.next, h.run, h.proven, h.ahead = off+n, n, false, 0
		h.dropLocked()
		return
	}
	if off+n <= h.next {
		return // a straggler inside the window
	}
	adjoins := off == h.next
	h.run += min(n, off+n-h.next)
	h.next = off + n
	if !h.proven && !adjoins {
		h.proven = true
		return // of reads here and there, too, some come close to the one before
	}
	h.proven = true
	window := min(max(2*h.run, minWindow), maxWindow)
	h.launchLocked(window)
}

// launchLocked puts flights on what is unassigned in the window, as many as the
// budgets allow. The window's end moves on in halves, so that flights are long;
// a gap inside, left where a flight was cut, is filled at once.
func (h *Handle) launchLocked(window int64) {
	f := h.file
	step := max(window/readAheadFlights, minWindow) / cache.BlockSize * cache.BlockSize
	from := h.next / cache.BlockSize * cache.BlockSize
	target := min((h.next+window)/cache.BlockSize*cache.BlockSize, h.blob.Version().Size)
	if target-h.ahead < window/2 && target < h.blob.Version().Size {
		target = h.ahead
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.blob != h.blob || f.mu.noRanges || f.recentLocked() != nil || !f.set.fullSince().IsZero() {
		return
	}
	h.holding = stillFlying(h.holding)
	for len(h.holding) < readAheadFlights {
		off, n := f.unassignedLocked(from, target)
		if n == 0 {
			h.ahead = max(h.ahead, target)
			return
		}
		m := f.pickLocked(func(m *mirror) bool { return m.host.free(readAhead) })
		if m == nil || !m.host.try(readAhead) {
			return
		}
		if !f.set.begin() {
			m.host.put(readAhead)
			return
		}
		fl := f.launchLocked(h.blob, m, readAhead, off, off+min(n, step))
		fl.holds++
		h.holding = append(h.holding, fl)
		h.ahead = max(h.ahead, fl.end)
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
	if h.blob != nil {
		h.blob.Release()
	} else {
		h.growth.stream.Release()
	}
	h.file.set.letGo(h.file)
}
