package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Unfinished is a regular file of the output directory in which another program has
// left a part of a version: its beginning, or all of it but for holes. It is not
// changed. It is for one goroutine at a time, and its user closes it.
type Unfinished struct {
	// Constant data
	store   *Store
	name    string
	version Version
	at      standing
	file    *os.File
	data    []Extent
}

// OpenUnfinished opens what Create found in the way of a version, where the error of
// Create says that it is Unfinished. It blocks for the disk.
func (s *Store) OpenUnfinished(name string, v Version) (*Unfinished, error) {
	if called, err := s.spelled(name); err != nil {
		return nil, err
	} else if !called {
		return nil, &InTheWayError{name, otherSpelling}
	}
	f, err := s.openFinished(name)
	if err != nil {
		return nil, err
	}
	u := &Unfinished{store: s, name: name, version: v, file: f}
	if u.at, err = standingOf(f); err == nil && u.at.size > v.Size {
		err = &InTheWayError{name, "was changed"}
	}
	if err == nil {
		u.data, err = dataOf(f, u.at.size)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return u, nil
}

// standingOf identifies an open regular file.
func standingOf(f *os.File) (standing, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return standing{}, &os.PathError{Op: "stat", Path: f.Name(), Err: err}
	}
	return standingFrom(&st), nil
}

// Size is the length of the file in bytes, holes included.
func (u *Unfinished) Size() int64 { return u.at.size }

// Data returns the extents of the file that have data, in order. Outside of them the
// file has zeros, and these say nothing of the version.
func (u *Unfinished) Data() []Extent { return u.data }

// ReadAt reads the file as io.ReaderAt.
func (u *Unfinished) ReadAt(p []byte, off int64) (int, error) { return u.file.ReadAt(p, off) }

// Close closes the file.
func (u *Unfinished) Close() error { return u.file.Close() }

// dataOf returns the extents of a file of size bytes that are no holes, less the zeros
// at their ends: a hole begins with a page, and the data before it may end earlier.
func dataOf(f *os.File, size int64) (data []Extent, err error) {
	for off := int64(0); off < size; {
		start, err := f.Seek(off, unix.SEEK_DATA)
		if errors.Is(err, syscall.ENXIO) { // no data from there on
			break
		}
		if errors.Is(err, syscall.EINVAL) { // a filesystem that knows of no holes
			start, err = off, nil
		}
		if err != nil {
			return nil, err
		}
		end, err := f.Seek(start, unix.SEEK_HOLE)
		if errors.Is(err, io.EOF) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENXIO) {
			end, err = size, nil
		}
		if err != nil {
			return nil, err
		}
		end = min(end, size)
		kept, err := withoutZeros(f, start, end)
		if err != nil {
			return nil, err
		}
		if kept > start {
			data = append(data, Extent{start, kept - start})
		}
		off = end
	}
	return data, nil
}

// withoutZeros returns where the zeros at the end of [start, end) begin, as far as they
// are in its last block.
func withoutZeros(f *os.File, start, end int64) (int64, error) {
	tail := make([]byte, min(BlockSize, end-start))
	if _, err := f.ReadAt(tail, end-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	return end - int64(len(tail)-len(bytes.TrimRight(tail, "\x00"))), nil
}

// TakeOver returns a blob of the version that has the whole blocks of the file's data,
// copied. Once the blob is published it takes the file's place; until then the file
// stays as it is. Blocks of zeros are left out: a program that preallocates leaves them.
// The caller has reason to believe that the data is the version's, and calls Covers
// before Publish.
//
// When ctx ends or the disk is full, the blob has what was copied until then. TakeOver
// blocks for the disk.
func (u *Unfinished) TakeOver(ctx context.Context) (*Blob, error) {
	s := u.store
	b := s.blob(u.name, newGeneration(), u.version, Note{})
	b.mu.replaces, b.mu.extends = u.at, true // b is not shared yet
	err := u.copyTo(ctx, b)
	if err == nil && !s.stands(u.at, u.name) {
		err = &InTheWayError{u.name, "is being changed by another program"}
	}
	if err != nil {
		b.giveUp()
		return nil, err
	}
	s.put(b)
	return b, nil
}

// copyTo puts the blocks of the file that have data into b.
func (u *Unfinished) copyTo(ctx context.Context, b *Blob) error {
	if err := b.Acquire(); err != nil {
		return err
	}
	defer b.Release()
	err := u.eachBlock(func(off int64, p []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !b.geo.whole(off, int64(len(p))) {
			return nil
		}
		return b.Put(off, p)
	})
	if errors.Is(err, ErrNoSpace) || ctx.Err() != nil {
		return nil
	}
	return err
}

// eachBlock calls f with the data of each block, where that is not zeros alone. p is
// f's until it returns.
func (u *Unfinished) eachBlock(f func(off int64, p []byte) error) error {
	buf := make([]byte, BlockSize)
	for _, e := range u.data {
		for off, end := e.Off, e.Off+e.N; off < end; {
			p := buf[:min(BlockSize-off%BlockSize, end-off)]
			if _, err := u.file.ReadAt(p, off); err != nil {
				return fmt.Errorf("read %q: %w", u.name, err)
			}
			if len(bytes.TrimLeft(p, "\x00")) > 0 {
				if err := f(off, p); err != nil {
					return err
				}
			}
			off += int64(len(p))
		}
	}
	return nil
}

// Extends reports whether the blob is to take the place of an unfinished file.
func (b *Blob) Extends() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.extends
}

// Covers compares a complete blob that extends an unfinished file with the data of that
// file, so that no byte of another program is lost when the blob takes its place. What
// differs is an *InTheWayError. It is nil where the file is not there any more. It
// blocks for the disk, until ctx ends.
func (b *Blob) Covers(ctx context.Context) error {
	s, old := b.store, b.toReplace()
	if !b.Extends() || !s.stands(old, b.name) {
		return nil
	}
	u, err := s.OpenUnfinished(b.name, b.version)
	if err != nil {
		return err
	}
	defer u.Close()
	if u.at != old {
		return &InTheWayError{b.name, "was changed while it was being fetched"}
	}
	if err := b.Acquire(); err != nil {
		return err
	}
	defer b.Release()
	have := make([]byte, BlockSize)
	return u.eachBlock(func(off int64, p []byte) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if n, err := b.ReadAt(have[:len(p)], off); n < len(p) {
			return err
		}
		if !bytes.Equal(have[:len(p)], p) {
			return &InTheWayError{b.name, "is an unfinished file with other bytes than the complete one, which is ready"}
		}
		return nil
	})
}

// lostExtension reports whether a record is of a blob that extends an unfinished file
// and has no file of its own any more. What it had is to be taken over anew, else its
// bytes would not be those of that file.
func (s *Store) lostExtension(r record) bool {
	if !r.extends || r.replaces.isAt(s.blobsDir, blobID(r.gen)) {
		return false
	}
	info, err := s.blobs.Lstat(blobID(r.gen))
	return err != nil || info.Size() != r.version.Size
}

// findExtended has a blob that extends an unfinished file take the place of the file
// that has the name now: it may have been written to, or copied with the directory.
// Covers tells whether the blob has all of it.
func (s *Store) findExtended(b *Blob) {
	if !b.mu.extends {
		return
	}
	now, err := s.standingNamed(b.name)
	if err == nil && now.size <= b.version.Size && now != b.mu.replaces {
		b.mu.replaces = now // b is not shared yet
		s.put(b)            // before the exchange: after a crash the record tells the two apart
	}
}
