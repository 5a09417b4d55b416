package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/lockorder"
)

// UnknownSize is the size of a version whose origin does not tell it.
const UnknownSize = -1

// Stream is the local copy of a file of unknown size. It grows at its end until
// the origin says that it is over; then it is a blob. Nothing of an unfinished
// stream survives a restart: no record names its file, so Open sweeps it.
//
// All methods are safe for concurrent use; one Append goes after another.
type Stream struct {
	// Constant data
	store   *Store
	name    string
	gen     uint64
	version Version // of unknown size
	file    *os.File

	// Readable without a lock, written under appends.
	size atomic.Int64 // bytes so far
	over atomic.Bool  // size is final

	// Held over each write; comes before mu.
	appends struct {
		lockorder.Mutex[lockorder.Appends]
		abandoned bool
		counted   int64 // what the file takes on disk, as the bound counts it; in bytes
		blob      *Blob // what Finish returned
	}

	mu struct {
		lockorder.Mutex[lockorder.Copy]
		refs    int
		ended   bool  // finished or abandoned: the file is closed when refs is 0
		counted int64 // by the bound, of an abandoned stream
	}
}

// Stream returns an empty stream for a version of name, which is of UnknownSize.
// If anything stands under that name in the output directory, the error is an
// *InTheWayError: whether it is whole cannot be told. Where other processes publish, too
// (see IsShared), that is told when the stream is published: then the bytes are compared.
func (s *Store) Stream(name string, v Version) (*Stream, error) {
	if v.Size != UnknownSize {
		return nil, fmt.Errorf("stream %q: its size is known, %d bytes", name, v.Size)
	}
	if _, err := s.adoptable(name, v); !errors.Is(err, fs.ErrNotExist) && !s.mayBeTwin(err) {
		return nil, err
	}
	st := &Stream{store: s, name: name, gen: newGeneration(), version: v}
	f, err := s.openBlob(st.gen, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if isFull(err) {
		return nil, s.noSpace(err)
	}
	if err != nil {
		return nil, fmt.Errorf("stream %q: %w", name, err)
	}
	st.file = f
	step("stream made")
	return st, nil
}

// Version returns the version the stream is a copy of. Its size is that of the
// bytes so far.
func (st *Stream) Version() Version {
	v := st.version
	v.Size = st.Present()
	return v
}

// ModTime is the time that the origin gave the version, zero if it gave none.
func (st *Stream) ModTime() time.Time { return st.version.ModTime() }

// Generation is a number no other stream or blob of the store has, but the blob
// this stream becomes.
func (st *Stream) Generation() uint64 { return st.gen }

// Published is false: what is published is the blob a stream becomes.
func (st *Stream) Published() bool { return false }

// Present returns the bytes so far. It takes no lock.
func (st *Stream) Present() int64 { return st.size.Load() }

// Acquire keeps the stream's file open until the matching Release. After the end of
// the stream and the last Release the error is fs.ErrClosed: its bytes are a blob then.
func (st *Stream) Acquire() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.mu.ended && st.mu.refs == 0 {
		return fmt.Errorf("stream %q has ended: %w", st.name, fs.ErrClosed)
	}
	st.mu.refs++
	return nil
}

// Release undoes one Acquire.
func (st *Stream) Release() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.mu.refs--; st.mu.refs == 0 && st.mu.ended {
		st.closeLocked()
	}
}

// Append adds p at the end: all of it, or nothing and an error, which is
// ErrNoSpace when the disk is full or below the store's floor. When it returns
// nil, the bytes are readable. The caller keeps p.
func (st *Stream) Append(p []byte) error {
	st.appends.Lock()
	defer st.appends.Unlock()
	err := st.growLocked(p)
	if errors.Is(err, ErrBound) {
		return err
	}
	if isFull(err) {
		return st.store.noSpace(err)
	}
	if err != nil {
		return fmt.Errorf("append to %q at %d: %w", st.name, st.Present(), err)
	}
	return nil
}

// growLocked writes p at the end of the stream and moves the end. After an error the end is
// where it was. The caller holds the lock of appends.
func (st *Stream) growLocked(p []byte) error {
	off, n := st.Present(), int64(len(p))
	switch {
	case st.appends.abandoned:
		return errAbandoned
	case st.appends.blob != nil:
		return errors.New("it is finished")
	case n > MaxSize-off:
		return errors.New("no file may have more bytes here")
	}
	if err := st.store.room(n); err != nil {
		return err
	}
	var g Grant
	defer g.Free()
	if err := g.need(st.store, n+diskBlock); err != nil { // the last disk block is begun anew
		return err
	}
	_, err := st.file.WriteAt(p, off)
	g.spend(st.store, n+diskBlock, st.growthLocked())
	if err != nil {
		return err // what was written of it is written over, or cut off by Finish
	}
	step("stream written")
	st.size.Store(off + n)
	return nil
}

// growthLocked looks what the file takes on disk, and returns how much more that is than when it
// was last looked at.
func (st *Stream) growthLocked() int64 {
	if !st.store.account.on.Load() {
		return 0
	}
	now, err := fileBytes(st.file)
	if err != nil {
		return 0 // stat of an open file does not fail
	}
	more := now - st.appends.counted
	st.appends.counted = now
	return more
}

// ReadAt reads len(p) bytes at off. Beyond the bytes so far, the error is
// ErrMissing. Once the stream is finished, it reads like a blob: fewer bytes at
// the end, then with io.EOF. It takes no lock. The caller holds an Acquire.
func (st *Stream) ReadAt(p []byte, off int64) (int, error) {
	over := st.over.Load() // before the size, which is final only then
	size, n := st.Present(), int64(len(p))
	if over {
		if off >= size {
			return 0, io.EOF
		}
		n = min(n, size-off)
	}
	if n > size-off {
		return 0, ErrMissing
	}
	if k, err := st.file.ReadAt(p[:n], off); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // another program has cut the file short
		}
		return k, fmt.Errorf("read %q [%d +%d): %w", st.name, off, n, err)
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Finish says that there is no more. It returns the blob of the size that is
// known now: the same file, of the same generation, with every block present and
// none durable before the next sync. Holders of the stream may go on reading. A second
// Finish returns the same blob.
func (st *Stream) Finish() (*Blob, error) {
	st.appends.Lock()
	defer st.appends.Unlock()
	if st.appends.blob != nil {
		return st.appends.blob, nil
	}
	b, err := st.blobLocked()
	if err != nil {
		return nil, fmt.Errorf("finish %q: %w", st.name, err)
	}
	st.appends.blob = b
	st.over.Store(true)
	st.end(0)
	st.store.put(b)
	st.store.wrote(b, b.version.Size)
	step("stream finished")
	return b, nil
}

// blobLocked returns the blob of all bytes so far. It gets a descriptor of the
// same open file: the kernel reports a lost write to who had the file open then.
func (st *Stream) blobLocked() (*Blob, error) {
	if st.appends.abandoned {
		return nil, errAbandoned
	}
	v := st.Version()
	if err := st.file.Truncate(v.Size); err != nil {
		return nil, err
	}
	step("stream cut")
	b := st.store.blob(st.name, st.gen, v, Note{})
	if v.Size == 0 {
		return b, nil
	}
	fd, err := unix.FcntlInt(st.file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	b.file.Store(os.NewFile(uintptr(fd), st.file.Name()))
	b.fileShared = true // a holder of the stream reads the same file
	b.mu.counted, st.appends.counted = st.appends.counted, 0
	b.mark(0, v.Size, 0)
	return b, nil
}

// Abandon gives the stream up: its room on the disk is freed after the last Release.
// A finished stream is a blob, and Blob.Abandon is for that.
func (st *Stream) Abandon() {
	st.appends.Lock()
	defer st.appends.Unlock()
	if st.appends.abandoned || st.appends.blob != nil {
		return
	}
	st.appends.abandoned = true
	if err := st.store.blobs.Remove(blobID(st.gen)); err != nil {
		st.store.log.Warn("bytes of a stream that was given up are not removed", "name", st.name, "err", err)
	}
	step("stream removed")
	st.end(st.appends.counted)
}

// end has the file closed after the last Release. The bound is given back what it counted for
// the file then.
func (st *Stream) end(counted int64) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.mu.counted = counted
	if st.mu.ended = true; st.mu.refs == 0 {
		st.closeLocked()
	}
}

// closeLocked closes the file of the stream and takes its bytes out of the account. The
// caller holds st.mu.
func (st *Stream) closeLocked() {
	st.file.Close() // a finished stream's bytes are the blob's to sync
	st.store.account.counted(-st.mu.counted)
}
