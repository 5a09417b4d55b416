//go:build linux

package fs

import (
	"context"
	"errors"
	iofs "io/fs"
	"syscall"
	"time"

	"dlfs/cache/lockorder"
	"dlfs/fetch"
	"dlfs/fetch/origin"
)

// errno is the one table from errors to what an application is told. go-fuse
// has one too, which makes ENOTSUP of a cancelled context and of a wrapped
// fs.ErrNotExist. ENOSPC is no answer to a read.
func errno(err error) syscall.Errno {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return syscall.EINTR // the reader was interrupted, or everything stops
	case errors.Is(err, context.DeadlineExceeded):
		return syscall.EIO // the read timeout; the log says so
	case errors.Is(err, fetch.ErrStale):
		return syscall.ESTALE
	case errors.Is(err, syscall.ENOSPC):
		return syscall.EIO
	case origin.OutOfFiles(err):
		return syscall.EMFILE
	case errors.Is(err, iofs.ErrNotExist):
		return syscall.ENOENT
	}
	switch origin.KindOf(err) {
	case origin.NotFound:
		return syscall.ENOENT
	case origin.NeedsURL:
		return syscall.EACCES
	case origin.Changed:
		return syscall.ESTALE
	}
	return syscall.EIO // fetch.ErrMismatch, too
}

// timedOut reports whether err is the end of the read timeout. It is not looked
// for in err's tree: the timeouts of package net say that they are
// context.DeadlineExceeded too.
func timedOut(err error) bool { return err == context.DeadlineExceeded }

// failures are the files whose last lookup, open or read that waited has failed, and why. It
// is safe for concurrent use.
type failures struct {
	lockorder.Mutex[lockorder.Leaf]
	why    map[*fetch.File]string
	gaveUp map[*fetch.File]time.Time // when a lookup last timed out, if it was the file's last
}

// note remembers why, or that it did not fail if that is "".
func (fs *failures) note(f *fetch.File, why string) {
	fs.Lock()
	defer fs.Unlock()
	switch {
	case why == "":
		delete(fs.why, f)
	case fs.why == nil:
		fs.why = map[*fetch.File]string{f: why}
	default:
		fs.why[f] = why
	}
}

// of returns why the last read of the file failed, "" if it did not.
func (fs *failures) of(f *fetch.File) string {
	fs.Lock()
	defer fs.Unlock()
	return fs.why[f]
}

// lookedUp notes how a lookup ended.
func (fs *failures) lookedUp(f *fetch.File, timedOut bool) {
	fs.Lock()
	defer fs.Unlock()
	switch {
	case !timedOut:
		delete(fs.gaveUp, f)
	case fs.gaveUp == nil:
		fs.gaveUp = map[*fetch.File]time.Time{f: time.Now()}
	default:
		fs.gaveUp[f] = time.Now()
	}
}

// timedOut reports whether the last lookup of the file that ended has timed out, and whether
// it did so within timeoutMemory. The kernel has those who look up one name wait in line, out
// of the reach of Ctrl-C, and opens a name after the lookup: those who come next must not wait
// as long again, one after the other.
func (fs *failures) timedOut(f *fetch.File) (did, justNow bool) {
	fs.Lock()
	defer fs.Unlock()
	at, did := fs.gaveUp[f]
	return did, did && time.Since(at) < timeoutMemory
}
