package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

// UnknownSize is the size of a version whose origin does not say it.
const UnknownSize = -1

// Stream is the local copy of a file whose length nobody knows. It grows at its
// end, until its origin says that that was all: then it becomes a Blob. Nothing
// of an unfinished one outlives the Store, since what is lost of it can only be
// had from the start.
//
// All methods are safe for concurrent use, but appending is for one goroutine.
type Stream struct {
	// Constant data
	store   *Store
	name    string
	gen     uint64
	version Version
	file    *os.File

	size     atomic.Int64
	finished atomic.Bool

	mu struct {
		sync.Mutex
		refs      int
		abandoned bool // the file goes when refs is 0
		closed    bool
	}
}

// Stream returns an empty stream for name; v.Size is of no matter. If something
// stands under name in the output directory, the error is an *InTheWayError. The
// stream's own hold on its file ends with Finish or Abandon.
func (s *Store) Stream(name string, v Version) (*Stream, error) {
	if _, err := s.root.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
		return nil, &InTheWayError{name, "stands where a file of unknown length belongs"}
	}
	st := &Stream{store: s, name: name, gen: newGeneration(), version: v}
	f, err := s.blobs.OpenFile(blobID(st.gen), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	st.file, st.mu.refs = f, 1
	return st, nil
}

// Version returns the version, its size being the bytes so far.
func (st *Stream) Version() Version {
	v := st.version
	v.Size = st.size.Load()
	return v
}

// Generation is a number no blob and no other stream of the store has.
func (st *Stream) Generation() uint64 { return st.gen }

// Present returns the bytes so far.
func (st *Stream) Present() int64 { return st.size.Load() }

// Published is false: what is published is the blob a stream becomes.
func (st *Stream) Published() bool { return false }

// Append puts p at the end, readable at once. The caller keeps p.
func (st *Stream) Append(p []byte) error {
	size := st.size.Load()
	if size+int64(len(p)) > MaxSize {
		return fmt.Errorf("%q grows beyond the %d bytes a file may have here", st.name, int64(MaxSize))
	}
	err := st.store.room(int64(len(p)))
	if err == nil {
		_, err = st.file.WriteAt(p, size)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrNoSpace
	}
	if err != nil {
		return fmt.Errorf("append to %q: %w", st.name, err)
	}
	st.size.Add(int64(len(p)))
	return nil
}

// ReadAt reads len(p) bytes at off. The error is ErrMissing if they have not all
// come yet; once the stream is finished it reads fewer at its end, then with
// io.EOF. The caller holds an Acquire.
func (st *Stream) ReadAt(p []byte, off int64) (int, error) {
	finished := st.finished.Load() // before the size, which is then final
	size := st.size.Load()
	if n := max(size-off, 0); int64(len(p)) > n {
		if !finished {
			return 0, ErrMissing
		}
		k, err := st.file.ReadAt(p[:n], off)
		if err == nil {
			err = io.EOF
		}
		return k, err
	}
	return st.file.ReadAt(p, off)
}

// Acquire keeps the stream's file until the matching Release.
func (st *Stream) Acquire() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.mu.closed {
		return fs.ErrClosed
	}
	st.mu.refs++
	return nil
}

// Release undoes one Acquire.
func (st *Stream) Release() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.mu.refs--; st.mu.refs > 0 {
		return
	}
	st.mu.closed = true
	if st.mu.abandoned {
		if err := st.store.blobs.Remove(blobID(st.gen)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			st.store.log.Warn("bytes of a file that has to start again are not removed", "name", st.name, "err", err)
		}
	}
	st.file.Close() // its bytes are either the blob's, which syncs them, or nobody's
}

// Abandon says that what came is of no use. Who has acquired the stream can still
// read it.
func (st *Stream) Abandon() {
	st.mu.Lock()
	st.mu.abandoned = true
	st.mu.Unlock()
	st.Release()
}

// Finish says that that was all. It returns the complete blob the stream has
// become, whose bytes and bits the next sync makes durable.
func (st *Stream) Finish() (*Blob, error) {
	v := st.Version()
	b := st.store.blob(st.name, newGeneration(), v)
	if err := st.store.blobs.Rename(blobID(st.gen), b.id()); err != nil {
		return nil, fmt.Errorf("finish %q: %w", st.name, err)
	}
	f, err := st.store.blobs.OpenFile(b.id(), os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("finish %q: %w", st.name, err)
	}
	b.file.Store(f)
	b.markAllBut(newBitmap(b.geo.blocks()))
	st.finished.Store(true)
	st.store.put(b)
	st.store.touch(b)
	st.Release()
	return b, nil
}
