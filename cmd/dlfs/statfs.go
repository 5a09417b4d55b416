package main

import (
	"context"
	"fmt"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"
)

// statfsCmd asks a mount in a process of its own. A process that serves a mount must not
// ask it: were it killed before it has answered itself, it would never end, and neither
// would those who use the mount.
type statfsCmd struct {
	Mountpoint string `arg:"" help:"Where the list is mounted."`
}

// Run asks, and tells nothing but that it was answered.
func (c *statfsCmd) Run() error {
	if err := unix.Statfs(c.Mountpoint, new(unix.Statfs_t)); err != nil {
		return fmt.Errorf("statfs %s: %w", c.Mountpoint, err)
	}
	return nil
}

// answers has another process ask the mount at point for its figures. It blocks until the
// mount has answered, or ctx ends and the process with it.
func (e *engine) answers(ctx context.Context, point string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "statfs", "--", point)
	cmd.Args[0] = "dlfs"
	said, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		e.log.Warn("mount does not answer, and the watchdog is told nothing", "mountpoint", point, "err", err, "said", strings.TrimSpace(string(said)))
	}
	return err
}
