package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

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
	resp, err := ask(ctx, point, "POST", "/stop")
	if err != nil {
		return fs.Unmount(point) // not ours to ask: the kernel decides
	}
	defer resp.Body.Close()
	var pid int
	if _, err := fmt.Fscan(resp.Body, &pid); err != nil {
		return fmt.Errorf("unexpected answer to stop: %w", err)
	}
	return waitGone(ctx, pid)
}

// waitGone waits for the process to end: then the mount is gone and the
// directory free.
func waitGone(ctx context.Context, pid int) error {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("process %d was asked to stop and has not within %v; look at its log", pid, stopTimeout)
		}
	}
}
