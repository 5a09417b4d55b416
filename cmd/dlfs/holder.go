package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// ending returns the process that has dir open though it does not answer, because it is
// about to end or has just begun; 0 if there is none. That is a process which the lock
// names and which has the file name of the state open. The second condition is needed
// because the lock of a killed process stays, and the system may have used its number
// again.
func ending(ctx context.Context, dir, name string) (pid int) {
	state, err := openState(ctx, dir)
	if err != nil {
		return 0
	}
	defer state.Close()
	lock, err := openIn(state, "lock")
	if err != nil {
		return 0
	}
	defer lock.Close()
	// The store writes "process N (OWNER)" into the lock.
	text, err := io.ReadAll(io.LimitReader(lock, 200))
	if err != nil {
		return 0
	}
	if n, _ := fmt.Sscanf(string(text), "process %d ", &pid); n != 1 {
		return 0
	}
	file, err := openIn(state, name)
	if err != nil {
		return 0
	}
	defer file.Close()
	if !hasOpen(pid, file) {
		return 0
	}
	return pid
}

// openIn opens a regular file of a state directory for reading, also by a link, since a
// mount has a link for the log. A pipe or a device is an error at once, and does not
// block.
func openIn(state *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat(int(state.Fd()), name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), name)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(errors.New("it is not a regular file"), err, f.Close())
	}
	return f, nil
}

// hasOpen reports whether a process has a file open, by the descriptors in /proc
// (proc(5)). It is false for a process of another user, whose descriptors cannot be
// read.
func hasOpen(pid int, file *os.File) bool {
	want, err := file.Stat()
	if err != nil {
		return false
	}
	fds := fmt.Sprintf("/proc/%d/fd", pid)
	list, err := os.ReadDir(fds)
	if err != nil {
		return false // the process has ended, or is another user's
	}
	for _, fd := range list {
		if info, err := os.Stat(fds + "/" + fd.Name()); err == nil && os.SameFile(info, want) {
			return true
		}
	}
	return false
}
