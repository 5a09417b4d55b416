package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// logMost is how long a log file may get, in bytes. Then it becomes FILE.1, in
// place of the one before, and another begins.
const logMost = 10 << 20

// logFile is a log on a disk, of bounded length. What is no regular file is
// written as it is.
type logFile struct {
	// Constant data
	dir    *os.File // where it is, also after a mount over that path; nil if it is not to be replaced
	name   string   // in dir
	most   int64
	follow []int     // descriptors that are to be the file, too
	notes  io.Writer // is told once that the file cannot be written

	mu     sync.Mutex
	file   *os.File // guarded by mu
	length int64    // guarded by mu
	failed bool     // guarded by mu
}

// logFileFlags open a log. What is put in its place is never followed, and a pipe
// that has no reader is an error at once.
const logFileFlags = unix.O_WRONLY | unix.O_APPEND | unix.O_NONBLOCK | unix.O_CLOEXEC

// openLog opens the log that a user named, where a symbolic link is the user's.
func openLog(path string, notes io.Writer) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_CREATE|logFileFlags, 0o600)
	if errors.Is(err, unix.ENXIO) {
		return nil, fmt.Errorf("log file %s is a pipe that has no reader, or a socket; give another file", path)
	}
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log file: %w", err), f.Close())
	}
	dir, err := os.Open(filepath.Dir(real))
	if err != nil {
		dir = nil // the file is cut instead of replaced
	}
	return newLogFile(dir, filepath.Base(real), f, notes), nil
}

// logPath is where other processes find the log of this one, "" if it is not in a file.
// named is --log-file, which is the standard error of a daemon.
func logPath(named string) string {
	if named != "" && !isDaemon() {
		path, err := filepath.Abs(named)
		if err != nil {
			return ""
		}
		return path
	}
	var st unix.Stat_t
	if unix.Fstat(2, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return ""
	}
	return fmt.Sprintf("/proc/%d/fd/2", os.Getpid())
}

// newLogFile returns the log that f is, called name in dir. Both are its own.
func newLogFile(dir *os.File, name string, f *os.File, notes io.Writer) *logFile {
	l := &logFile{dir: dir, name: name, most: logMost, notes: notes, file: f}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		l.most = 0 // a device or a pipe has no length
	} else {
		l.length = info.Size()
	}
	return l
}

// Write appends a line.
func (l *logFile) Write(p []byte) (n int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.most > 0 && l.length > 0 && l.length+int64(len(p)) > l.most {
		err = l.replaceLocked()
	}
	if err == nil {
		n, err = l.file.Write(p)
		l.length += int64(n)
	}
	if err != nil && !l.failed {
		l.failed = true
		fmt.Fprintf(l.notes, "dlfs: log file %s cannot be written, and lines are lost: %v\n", printable(l.name), err)
	}
	return n, err
}

// reopen goes on in the file that has the log's name now, which is another one if the log
// was moved away, and made if there is none. Where that fails, the log stays what it was.
func (l *logFile) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dir == nil || l.most == 0 {
		return nil // the log has no name, or is no file
	}
	next, err := unix.Openat(int(l.dir.Fd()), l.name, unix.O_CREAT|unix.O_NOFOLLOW|logFileFlags, 0o600)
	if err != nil {
		return fmt.Errorf("log file %s cannot be opened anew: %w", l.name, err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(next, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return errors.Join(fmt.Errorf("log file %s cannot be opened anew: it is not a regular file", l.name), err, unix.Close(next))
	}
	return l.goOnLocked(next, st.Size)
}

// close lets the log go, in a process that has handed it on.
func (l *logFile) close() {
	l.file.Close() // nothing was written here
	if l.dir != nil {
		l.dir.Close()
	}
}

// replaceLocked begins another file. Where no file can be made in the directory, the file is
// emptied.
func (l *logFile) replaceLocked() error {
	l.length = 0 // also after an error, so that the next line does not try again
	if l.dir == nil {
		return l.file.Truncate(0)
	}
	fd := int(l.dir.Fd())
	if unix.Renameat(fd, l.name, fd, l.name+".1") != nil {
		return l.file.Truncate(0)
	}
	next, err := unix.Openat(fd, l.name, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|logFileFlags, 0o600)
	if err != nil {
		return fmt.Errorf("begin another: %w", err)
	}
	return l.goOnLocked(next, 0)
}

// goOnLocked has the log go on in an open file of that length.
func (l *logFile) goOnLocked(next int, length int64) error {
	for _, other := range l.follow {
		if err := dupTo(next, other); err != nil {
			return errors.Join(fmt.Errorf("begin another: %w", err), unix.Close(next))
		}
	}
	err := l.file.Close()
	l.file, l.length = os.NewFile(uintptr(next), l.name), length
	return err
}
