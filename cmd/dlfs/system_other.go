//go:build !linux

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// What takes the place of system_linux.go and place_linux.go on macOS and FreeBSD.

// socketPeer returns the user at the other end of a unix socket (LOCAL_PEERCRED, unix(4)).
func socketPeer(fd int) (uid int, err error) {
	const solLocal = 0
	cred, err := unix.GetsockoptXucred(fd, solLocal, unix.LOCAL_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

func dupTo(fd, other int) error { return unix.Dup2(fd, other) }

// waitEnd waits for a process to end, or for ctx.
func waitEnd(ctx context.Context, pid int) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		err := unix.Kill(pid, 0) // no signal, only the answer whether there is such a process
		if errors.Is(err, unix.ESRCH) {
			return nil
		}
		if err != nil && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("watch process %d: %w", pid, err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func isAutomount(st *unix.Statfs_t) bool { return diskKind(st) == "autofs" }

// unfitDisk names a filesystem that does not keep the state, because several machines may
// have it mounted at once; "" for any other.
func unfitDisk(st *unix.Statfs_t) string {
	switch kind := diskKind(st); kind {
	case "nfs", "smbfs", "afpfs", "webdav", "p9fs", "virtiofs":
		return kind
	case "fusefs", "macfuse", "osxfuse":
		return "FUSE"
	}
	return ""
}

func diskKind(st *unix.Statfs_t) string { return unix.ByteSliceToString(st.Fstypename[:]) }
