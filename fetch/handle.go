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

// Handle is an open file: one version of it, for as long as the handle lives. If no byte of that
// version was ever shown, and another of the same size takes its place, the handle goes on with
// that: HEAD may have told another version than GET. It is safe for concurrent use.
type Handle struct {
	file *File
	cur  localCopy            // that was opened
	fill *fill                // cur, nil for a file of unknown length
	next atomic.Pointer[fill] // that the handle has gone on with, nil if it has not

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

// now returns what the handle reads: a fill twice, or what grows and nil.
func (h *Handle) now() (localCopy, *fill) {
	if next := h.next.Load(); next != nil {
		return next, next
	}
	return h.cur, h.fill
}

// Copy is the version the handle reads.
func (h *Handle) Copy() Copy {
	cur, _ := h.now()
	return cur.copy()
}

// Has reports whether [off +n) can be read without waiting.
func (h *Handle) Has(off, n int64) bool {
	cur, _ := h.now()
	return cur.has(off, n)
}

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
		return h.fill.show()
	case r == nil || !r.hold(h.fill):
		return false
	}
	h.held.Store(true)
	return h.fill.show()
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
	for {
		cur, fi := h.now()
		n, err := h.readOf(ctx, cur, fi, p, off)
		again, err := h.follow(ctx, fi, err)
		if !again {
			h.file.set.readBytes.Add(int64(n))
			return n, err
		}
	}
}

// readOf is ReadAt of one version: cur, and fi as of now.
func (h *Handle) readOf(ctx context.Context, cur localCopy, fi *fill, p []byte, off int64) (int, error) {
	if fi != nil && !fi.blob.Complete() {
		if off >= fi.blob.Version().Size {
			return 0, io.EOF
		}
		h.file.lastRead.Store(off + int64(len(p)))
		h.ahead.note(fi, off, int64(len(p)))
	}
	if r := h.file.set.room; r != nil && fi != nil {
		r.read(h, fi, off, int64(len(p)))
	}
	n, err := cur.readAt(ctx, p, off)
	if n > 0 && fi != nil && !fi.show() {
		return 0, ErrStale
	}
	return n, err
}

// follow has the handle go on with another version if err is that fi, which was read, is no longer
// the file's, no byte of it was shown, and the other is as long. It reports whether the handle
// has: then what failed with err is to be done again. It blocks for the network, until ctx ends.
func (h *Handle) follow(ctx context.Context, fi *fill, err error) (again bool, _ error) {
	if !errors.Is(err, ErrStale) || fi == nil || fi.shown() {
		return false, err
	}
	if next := h.next.Load(); next != nil {
		return fi != next, err // a handle goes on once: HEAD is not asked again
	}
	next, unknown := h.file.openFill(ctx)
	if unknown != nil {
		return false, unknown
	}
	if next == nil {
		return false, err
	}
	defer next.release()
	next = h.fill.succeed(next)
	if next == nil || next.acquire() != nil {
		return false, err
	}
	if !h.next.CompareAndSwap(nil, next) { // another read of the handle was first
		next.release()
	}
	return true, nil
}

// openFill probes for the version of the file and returns the fill of it, kept open until its
// release; nil if there is none, or none any more. It blocks for the network, until ctx ends.
func (f *File) openFill(ctx context.Context) (*fill, error) {
	if _, err := f.Probe(ctx); err != nil {
		return nil, err
	}
	f.mu.Lock()
	err := f.loadLocked(nil)
	fi := f.fill()
	f.mu.Unlock()
	if err != nil || fi == nil || fi.acquire() != nil {
		return nil, err
	}
	return fi, nil
}

// show notes that bytes of the version are shown. It is false if another version has taken its
// place for all readers, so that they must not be. It takes no lock.
func (fi *fill) show() bool { return fi.shown() || fi.successor.CompareAndSwap(nil, fi) }

// shown reports whether bytes of the version were shown.
func (fi *fill) shown() bool { return fi.successor.Load() == fi }

// succeed has next take the place of a version for all its readers, if no byte of it was shown and
// the size is the same. It returns what has taken the place, nil if nothing may. All readers go
// on with the same version: they share pages of the kernel.
func (fi *fill) succeed(next *fill) *fill {
	if next.blob.Version().Size == fi.blob.Version().Size {
		fi.successor.CompareAndSwap(nil, next)
	}
	if s := fi.successor.Load(); s != fi {
		return s
	}
	return nil
}

// Ensure fetches what is missing of [off +n), as for a reader, and returns when all of it
// is present, as far as the file goes. It blocks until the origin proves unable to give it,
// or until ctx ends. Of a file of unknown length nothing is fetched.
func (h *Handle) Ensure(ctx context.Context, off, n int64) error {
	if h.fill == nil || n <= 0 {
		return nil
	}
	for {
		_, fi := h.now()
		again, err := h.follow(ctx, fi, fi.ensure(ctx, off, n))
		if !again {
			return err
		}
	}
}

// Close ends the handle. No read may be in progress.
func (h *Handle) Close() {
	h.ahead.drop(0)
	if h.held.Load() {
		h.file.set.room.unhold(h.fill)
	}
	h.cur.release()
	if next := h.next.Load(); next != nil {
		next.release()
	}
	h.file.set.letGo(h.file)
}
