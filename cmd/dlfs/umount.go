package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"dlfs/fs"
)

// umountCmd ends a mount. The help of each field is what a user reads.
type umountCmd struct {
	Mountpoint string `arg:"" help:"Where the list is mounted."`
	stateFlag
}

// stopCmd ends a fetch or a mount. The help of each field is what a user reads.
type stopCmd struct {
	Dir string `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	stateFlag
}

// stopTimeout is how long umount and stop wait for the process they asked to stop.
const stopTimeout = 15 * time.Second

// errStopped is why a run ends that was asked to.
var errStopped = errors.New("stopped by \"dlfs stop\" or \"dlfs umount\"")

// Run asks the process that serves the mount to stop, and waits until it has ended. A
// mount whose process is dead is unmounted here. Where the process cannot be asked,
// such as that of another user, the kernel decides whether this user may unmount.
func (c *umountCmd) Run(ctx context.Context, std stdio) error {
	point, err := filepath.Abs(c.Mountpoint)
	if err != nil {
		return err
	}
	// ErrMounted is the usual case: the mount is live, and its process is asked below.
	cleared, err := fs.ClearDead(point)
	if cleared || err != nil && !errors.Is(err, fs.ErrMounted) {
		return err
	}
	if err == nil {
		return fmt.Errorf("%s is not a mount of dlfs; \"findmnt -t fuse.dlfs\" shows where there are some", c.Mountpoint)
	}
	answer, err := ask(ctx, c.or(point), "POST", "/stop?wait", nil)
	if err != nil {
		return fs.Unmount(point) // not ours to ask: the kernel decides
	}
	defer answer.close()
	return stopped(ctx, c.Mountpoint, answer, std.err)
}

// Run asks the process that has the directory, a mount or a fetch, to stop. A mount whose
// process is dead is unmounted here.
func (c *stopCmd) Run(ctx context.Context, std stdio) error {
	cleared, err := fs.ClearDead(c.Dir)
	if cleared || err != nil && !errors.Is(err, fs.ErrMounted) {
		return err
	}
	answer, err := order(ctx, c.or(c.Dir), "POST", "/stop?wait", nil)
	if err != nil {
		return err
	}
	defer answer.close()
	return stopped(ctx, c.Dir, answer, std.err)
}

// stopped reads the answer of a process that was asked to stop: its process id, and the
// programs that used the mount. It tells these to the user, and waits for the process
// to end.
func stopped(ctx context.Context, dir string, answer *answer, notes io.Writer) error {
	text, err := answer.text()
	if err != nil {
		return fmt.Errorf("answer to stop of the process on %s: %w", dir, err)
	}
	// The answer has the process id on its first line, and a program on each of the others.
	first, held, _ := strings.Cut(text, "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 0 {
		return fmt.Errorf("%s: %w", dir, errNoDlfs)
	}
	if held != "" {
		fmt.Fprintf(notes, "dlfs: %s was in use by %s; it is unmounted now, and their reads fail\n",
			printable(dir), printable(strings.ReplaceAll(held, "\n", ", ")))
	}
	return waitGone(ctx, pid)
}

// waitGone waits for a process that was asked to stop, for stopTimeout at most. When it
// has ended, the mount is gone and the directory can be used by another process.
func waitGone(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stopTimeout,
		fmt.Errorf("process %d was asked to stop and has not within %v; look at its log", pid, stopTimeout))
	defer cancel()
	return waitEnd(ctx, pid)
}

// lookEvery is how often waitEnd looks whether its context has ended.
const lookEvery = 100 * time.Millisecond
