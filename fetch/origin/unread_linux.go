package origin

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unread is how many bytes the kernel has received and this process has not read; 0 where
// the kernel does not tell (tcp(7), SIOCINQ).
func unread(c net.Conn) int64 {
	sock, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0
	}
	n := 0
	err = raw.Control(func(fd uintptr) {
		if waiting, err := unix.IoctlGetInt(int(fd), unix.SIOCINQ); err == nil {
			n = waiting
		}
	})
	if err != nil { // the connection is closed already
		return 0
	}
	return int64(n)
}
