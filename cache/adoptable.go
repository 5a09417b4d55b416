package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptable reports whether a finished copy of version stands under name: a
// regular file of the right size, whole. os.ErrNotExist means the place is
// free; an *InTheWayError that something else has it.
func (s *Store) adoptable(name string, version Version) (fs.FileInfo, error) {
	info, err := s.fits(name, version)
	if err != nil {
		return nil, err
	}
	// aria2 makes files of their full size at once, and removes its control file when one is whole.
	if _, err := s.root.Lstat(name + ".aria2"); err == nil && !s.isListed(name+".aria2") {
		return nil, &InTheWayError{name, "is an unfinished file of aria2"}
	}
	// A hole in a file of the right size was left by a program that fills files out of order.
	if hole, err := s.hasHole(name, info.Size()); err != nil {
		return nil, err
	} else if hole {
		return nil, &UnfinishedError{&InTheWayError{name, "has holes, so it was never finished"}}
	}
	return info, nil
}

// SetListed tells which names the list has: a file that the list has is no control file
// of another program. listed is called from any goroutine.
func (s *Store) SetListed(listed func(name string) bool) { s.listed.Store(&listed) }

// isListed reports whether the list has a name, false before SetListed.
func (s *Store) isListed(name string) bool {
	listed := s.listed.Load()
	return listed != nil && (*listed)(name)
}

// fits is adoptable without the signs that a file is not whole. It returns the file under the name
// if that is a regular one of the version's size and spelling. Otherwise the error is
// fs.ErrNotExist if nothing is there; an UnfinishedError if the file is shorter, which may be the
// beginning of the version; or an InTheWayError, which says what stands there.
func (s *Store) fits(name string, version Version) (fs.FileInfo, error) {
	info, err := s.lstat(name)
	if errors.Is(err, syscall.ENOTDIR) {
		return nil, &InTheWayError{name, "cannot be made: a file stands where its directory belongs"}
	}
	if errors.Is(err, fs.ErrNotExist) {
		// The place is free, but a finished file could not be moved there.
		if away := s.reaches(name); away != nil {
			return nil, away
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &InTheWayError{name, "is not a regular file"}
	}
	if version.Size == UnknownSize {
		return nil, &InTheWayError{name, sizeUnknown}
	}
	if info.Size() != version.Size {
		err := &InTheWayError{name, fmt.Sprintf("has %d bytes where the origin has %d", info.Size(), version.Size)}
		if info.Size() > version.Size {
			return nil, err
		}
		return nil, &UnfinishedError{err}
	}
	// A filesystem that ignores case finds "A" under "a", and then the name is not the list's.
	if called, err := s.spelled(name); err != nil {
		return nil, err
	} else if !called {
		return nil, &InTheWayError{name, otherSpelling}
	}
	return info, nil
}

// hasHole reports whether the file was never wholly written. A filesystem that
// knows of no holes reports none.
func (s *Store) hasHole(name string, size int64) (bool, error) {
	f, err := s.openFinished(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	// SEEK_HOLE of an empty file is an error (ENXIO, lseek(2)).
	if size == 0 {
		return false, nil
	}
	// The end of a file counts as a hole, so one at size means that there is none before it.
	hole, err := f.Seek(0, unix.SEEK_HOLE)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.EINVAL) {
		return false, nil
	}
	return err == nil && hole < size, err
}
