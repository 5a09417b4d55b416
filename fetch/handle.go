package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
)

// Handle is an open file: one version of it, for as long as the handle lives.
// It is safe for concurrent use.
type Handle struct {
	file *File
	cur  localCopy
	fill *fill // cur, nil for a file of unknown length

	ahead   readAhead    // for a fill; a growth has none
	lastRun atomic.Int64 // last run that was read, where the store has a bound
	held    atomic.Bool  // nothing of the version is evicted until the handle is closed
}

// Open returns a handle of the file's current version, probing for it if need
// be. It blocks for the network, until ctx ends. Close releases it.
func (f *File) Open(ctx context.Context) (*Handle, error) {
	for {
		if _, err := f.Probe(ctx); err != nil {
			return nil, err
		}
		f.mu.Lock()
		if err := f.loadLocked(nil); err != nil {
			f.mu.Unlock()
			return nil, err
		}
		h := &Handle{file: f, cur: f.mu.cur, fill: f.fill()}
		h.lastRun.Store(-1)
		changed := f.mu.failure.changed()
		f.mu.Unlock()
		if changed != nil && f.set.opts.OnChange == OnChangeFail { // no new reader of the old version
			return nil, changed
		}
		if h.cur == nil {
			continue // changed since
		}
		if err := h.acquire(); errors.Is(err, fs.ErrClosed) {
			continue // what grew is complete since, or the version was given up
		} else if err != nil {
			return nil, err
		}
		f.set.requeue(f)
		return h, nil
	}
}

// acquire keeps the file's copy open until the handle is closed. It counts against the
// descriptors that readers may have open (Options.MaxFiles).
func (h *Handle) acquire() error {
	if err := h.file.set.hold(h.file); err != nil {
		return err
	}
	err := h.cur.acquire()
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

// holds reports whether a reader has the file open.
func (s *Set) holds(f *File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.held[f] > 0
}

// Copy is the version the handle reads.
func (h *Handle) Copy() Copy { return h.cur.copy() }

// Has reports whether [off +n) can be read without waiting.
func (h *Handle) Has(off, n int64) bool { return h.cur.has(off, n) }

// Passes reports whether the kernel may read the file by itself until the handle is closed:
// it is published, or complete and nothing of it is evicted until then. Where the store
// has a bound, such handles keep at most half of the room. It does not block. It is called
// once at most.
func (h *Handle) Passes() bool {
	switch r := h.file.set.room; {
	case h.fill == nil:
		return false
	case h.fill.blob.Published():
		r.opened(h.fill)
		return true
	case r == nil || !r.hold(h.fill):
		return false
	}
	h.held.Store(true)
	return true
}

// File returns the open file, if Passes reported true, for the kernel to read from
// directly. The handle keeps it open.
func (h *Handle) File() *os.File {
	if h.fill == nil {
		return nil
	}
	return h.fill.blob.File()
}

// ReadAt reads len(p) bytes at off, or fewer at the end of the file, then with io.EOF; of
// a file of unknown length, what there is, at least a byte. Missing blocks are fetched
// first: it blocks until they are there, until the origin proves unable to give them, or
// until ctx ends. What is present is read without a lock, a request or an allocation,
// unless a sequential reader has come so far that read-ahead moves on.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if fi := h.fill; fi != nil && !fi.blob.Complete() {
		if off >= fi.blob.Version().Size {
			return 0, io.EOF
		}
		h.file.lastRead.Store(off + int64(len(p)))
		h.ahead.note(fi, off, int64(len(p)))
	}
	if r := h.file.set.room; r != nil && h.fill != nil {
		r.read(h, off, int64(len(p)))
	}
	n, err := h.cur.readAt(ctx, p, off)
	h.file.set.readBytes.Add(int64(n))
	return n, err
}

// Ensure fetches what is missing of [off +n), as for a reader, and returns when all of it
// is present, as far as the file goes. It blocks until the origin proves unable to give it,
// or until ctx ends. Of a file of unknown length nothing is fetched.
func (h *Handle) Ensure(ctx context.Context, off, n int64) error {
	if h.fill == nil || n <= 0 {
		return nil
	}
	return h.fill.ensure(ctx, off, n)
}

// Close ends the handle. No read may be in progress.
func (h *Handle) Close() {
	h.ahead.drop(0)
	if h.held.Load() {
		h.file.set.room.unhold(h.fill)
	}
	h.cur.release()
	h.file.set.letGo(h.file)
}
