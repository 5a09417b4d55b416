package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
)

// errForeign says that another user answers on a control socket.
var errForeign = errors.New("another user answers on the control socket there, who neither owns the directory nor is root; that user is not asked")

// peerOf returns the user at the other end of a unix socket, as it was when the other
// end connected or listened. A process that has changed its user since then is told by
// the old one.
func peerOf(c net.Conn) (uid int, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("control socket: %T has no peer", c)
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("control socket: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) { uid, failed = socketPeer(int(fd)) })
	if err := errors.Join(err, failed); err != nil {
		return 0, fmt.Errorf("control socket: %w", err)
	}
	return uid, nil
}

// checkPeer returns errForeign unless the process at the other end runs as root, as
// this user, or as owner, who has the directory.
func checkPeer(c net.Conn, owner int) error {
	uid, err := peerOf(c)
	if err == nil && !slices.Contains([]int{0, os.Geteuid(), owner}, uid) {
		err = errForeign
	}
	return err
}

// ownListener takes connections of this user and of root alone. The mode of the
// socket says the same, where a filesystem keeps it.
type ownListener struct {
	net.Listener
	log *slog.Logger
}

// Accept returns the next connection of this user or of root. Others are closed and
// logged, and do not end the wait.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if err = checkPeer(c, os.Geteuid()); err == nil {
			return c, nil
		}
		l.log.Warn("another user was refused on the control socket", "err", err)
		c.Close()
	}
}
