package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
	"golang.org/x/term"

	"dlfs/listfile"
)

// checkSink refuses, before anything is fetched, a file that a flag names to be
// written and that must not be: a directory, a link to nothing, or one of the files
// that are read, also under another name. What cannot be looked at yet may be there
// at the end.
func checkSink(flag, path string, inputs ...string) error {
	if path == "" {
		return nil
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(path); err == nil {
			return usageError("%s %s is a link to a file that does not exist; give that file's name", flag, path)
		}
		return nil
	}
	if err != nil {
		return nil
	}
	if info.IsDir() {
		return usageError("%s %s is a directory; give the name of a file", flag, path)
	}
	for _, input := range inputs {
		if other, err := os.Stat(input); err == nil && info.Mode().IsRegular() && os.SameFile(info, other) {
			return usageError("%s %s is the same file as %s, which is read; give another one", flag, path, input)
		}
	}
	return nil
}

// checkSinks is checkSink of each file that the flags name, and of --save-failed.
func (f *workFlags) checkSinks(list, saveFailed string) error {
	inputs := f.inputs(list)
	for _, err := range []error{
		checkSink("--save-failed", saveFailed, inputs...),
		checkSink("--log-file", f.LogFile, inputs...),
		checkSink("--metrics-file", f.MetricsFile, inputs...),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSinks refuses files that flags name to be written and that would take the place of
// an entry in the output directory, or of a file of its state.
func (w *work) checkSinks(dir string, entries []listfile.Entry) error {
	for _, sink := range []struct{ flag, path string }{
		{"--save-failed", w.saveFailed}, {"--log-file", w.flags.LogFile}, {"--metrics-file", w.flags.MetricsFile},
	} {
		name, inside := nameIn(dir, sink.path)
		if !inside {
			continue
		}
		if strings.HasPrefix(name, ".dlfs/") && name != ".dlfs/log" {
			return usageError("%s %s is among the files of the state; give another one", sink.flag, sink.path)
		}
		for i := range entries {
			if e := entries[i].Name; e == name || strings.HasPrefix(e, name+"/") {
				return usageError("%s %s is where %s of the list is to be; give another one", sink.flag, sink.path, e)
			}
		}
	}
	return nil
}

// nameIn returns the name that a file has in a directory, and whether it lies in there. What
// cannot be looked at does not.
func nameIn(dir, path string) (name string, inside bool) {
	if path == "" {
		return "", false
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return "", false
	}
	name, err = filepath.Rel(dir, path)
	return name, err == nil && filepath.IsLocal(name)
}

// writeSink has write fill the file that a user named. A regular file is there whole
// or not at all: it is written beside and renamed, keeps the mode that it had, and
// else may be read by its user only; a link to it stays a link. A device or a pipe is
// written to.
func writeSink(path string, write func(w io.Writer) error) error {
	mode := fs.FileMode(0o600)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case info.IsDir():
		return fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular() || isDescriptor(path):
		return writeThrough(path, write)
	default:
		mode = info.Mode().Perm()
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	err = errors.Join(f.Chmod(mode), write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// isDescriptor reports whether a path leads to an open file of this process, such
// as /dev/stdout. To replace that file would not reach who reads it.
func isDescriptor(path string) bool {
	abs, err := filepath.Abs(path)
	return err == nil && (strings.HasPrefix(abs, "/dev/") || strings.HasPrefix(abs, "/proc/"))
}

// writeThrough writes to what stands under path. A pipe that has no reader is an
// error at once.
func writeThrough(path string, write func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENXIO) {
		return fmt.Errorf("%s is a pipe that has no reader, or a socket", path)
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

// judge returns how the program ends: with err, and where standard output could not
// be written, not well. A reader of standard output that has left wants no more, which
// is no failure.
func (a *answers) judge(err error) error {
	failed := a.failed.Load()
	if failed == nil {
		return err
	}
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
