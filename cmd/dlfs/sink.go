package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// writeSink has write fill the file that a user named. A regular file is there whole
// or not at all: it is written beside and renamed, and keeps the mode that it had; a
// new one has mode, less the umask. A link to it stays a link. A device or a pipe is
// written to.
func writeSink(path string, mode fs.FileMode, write func(w io.Writer) error) error {
	info, err := os.Stat(path)
	there := err == nil
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory; give the name of a file", path)
	case !info.Mode().IsRegular() || isDescriptor(path):
		return writeThrough(path, write)
	default:
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	// A rename replaces a file only within one filesystem, so the new one is made in its directory.
	beside := filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%08x", filepath.Base(path), rand.Uint32()))
	f, err := os.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if there {
		err = f.Chmod(mode) // whatever the umask is
	}
	err = errors.Join(err, write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// isDescriptor reports whether a path leads to an open file of this process, such
// as /dev/stdout. To replace that file would not reach its reader.
func isDescriptor(path string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(abs, "/dev/std") || strings.HasPrefix(abs, "/dev/fd/") || strings.HasPrefix(abs, "/proc/"))
}

// writeThrough writes to what stands under path. A pipe that has no reader is an
// error at once.
func writeThrough(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%s is a pipe that has no reader, or a socket; begin to read first, or give a file", path)
	}
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

// answers is standard output. It remembers the first write that failed, so that no
// command ends well whose answer did not arrive.
type answers struct {
	w      io.Writer
	failed atomic.Pointer[error]
}

// Write writes p, and remembers a failure.
func (a *answers) Write(p []byte) (int, error) { return a.write(a.w, p) }

// write keeps the first error, which decides about the exit code when the command ends.
func (a *answers) write(w io.Writer, p []byte) (int, error) {
	n, err := w.Write(p)
	if err != nil {
		a.failed.CompareAndSwap(nil, &err)
	}
	return n, err
}

// contents is standard output for the bytes of a file, which are not escaped unless a
// terminal would obey them.
type contents struct{ *answers }

// Write writes p as it is.
func (c contents) Write(p []byte) (int, error) {
	if f := fileOf(c.answers); f != nil && term.IsTerminal(int(f.Fd())) {
		return c.answers.Write(p)
	}
	return c.write(raw(c.w), p)
}

// contents returns standard output for the bytes of a file.
func (s stdio) contents() io.Writer {
	if a, ok := s.out.(*answers); ok {
		return contents{a}
	}
	return s.out
}

// judge returns the error that the program ends with: err, the command's, or if standard output
// could not be written an exit with exitFailed at least. A reader of standard output that has left
// (EPIPE) wants no more, which is no failure.
func (a *answers) judge(err error) error {
	failed := a.failed.Load()
	if failed == nil {
		return err
	}
	// "dlfs ls LIST | head" closes the pipe when it has seen enough.
	if errors.Is(*failed, unix.EPIPE) {
		if errors.Is(err, *failed) { // the help was not written, which the parser calls a mistake
			return nil
		}
		return err
	}
	told := fmt.Errorf("standard output cannot be written: %w", unwrapPath(*failed))
	if e := new(exitError); errors.As(err, &e) && !errors.Is(err, *failed) {
		return alsoTell(err, told)
	}
	return &exitError{exitFailed, told}
}

// unwrapPath is what failed, without the file's name.
func unwrapPath(err error) error {
	if e := new(fs.PathError); errors.As(err, &e) {
		return e.Err
	}
	return err
}
