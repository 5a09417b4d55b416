package main

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// The system calls of Linux that other systems have in another form; see system_other.go.

// socketPeer returns the user at the other end of a unix socket (SO_PEERCRED, unix(7)).
func socketPeer(fd int) (uid int, err error) {
	cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return 0, err
	}
	return int(cred.Uid), nil
}

// dupTo makes the descriptor other refer to the open file of fd (dup3(2)). What other
// referred to before is closed.
func dupTo(fd, other int) error { return unix.Dup3(fd, other, 0) }

// waitEnd waits for a process to end, or for ctx. A pidfd tells the end even of a process
// that its parent has not waited for.
func waitEnd(ctx context.Context, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(lookEvery.Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("watch process %d: %w", pid, err)
		}
		if n > 0 {
			return nil
		}
	}
	return context.Cause(ctx)
}
