package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fs"
)

type umountCmd struct {
	Mountpoint string `arg:"" help:"Where the list is mounted."`
}

// stopTimeout is how long umount waits for the process it asked to stop.
const stopTimeout = 15 * time.Second

// Run asks the process that serves the mount to stop, which it does cleanly. A
// mount whose process is dead is just taken away.
func (c *umountCmd) Run(ctx context.Context) error {
	point, err := filepath.Abs(c.Mountpoint)
	if err != nil {
		return err
	}
	cleared, err := fs.ClearDead(point)
	if cleared || err != nil && !errors.Is(err, fs.ErrMounted) {
		return err
	}
	if err == nil {
		return fmt.Errorf("%s is not a mount of dlfs", c.Mountpoint)
	}
	answer, err := ask(ctx, point, "POST", "/stop", nil)
	if err != nil {
		return fs.Unmount(point) // not ours to ask: the kernel decides
	}
	defer answer.close()
	text, err := answer.text()
	if err != nil {
		return fmt.Errorf("unexpected answer to stop: %w", err)
	}
	pid, err := strconv.Atoi(text)
	if err != nil {
		return fmt.Errorf("unexpected answer to stop: %w", err)
	}
	return waitGone(ctx, pid)
}

// waitGone waits for the process to end: then the mount is gone and the
// directory free. A pidfd says so even of a process nobody has reaped.
func waitGone(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	deadline := time.Now().Add(stopTimeout)
	for ctx.Err() == nil {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("process %d was asked to stop and has not within %v; look at its log", pid, stopTimeout)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch process %d: %w", pid, err)
		}
		if n > 0 {
			return nil
		}
	}
	return context.Cause(ctx)
}
