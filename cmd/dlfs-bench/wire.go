package main

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// wire is a listener whose connections the kernel paces, and which knows how
// much of what was written to them never arrived: a client that closes a connection
// in the middle of an answer leaves a lot of it in the origin's buffers.
type wire struct {
	net.Listener
	rate int // bytes a second, 0 for no limit
	lost atomic.Int64
}

// Accept returns the next connection, which the kernel paces if the wire has a rate.
func (w *wire) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err != nil {
		return nil, err
	}
	conn := &wireConn{TCPConn: c.(*net.TCPConn), wire: w}
	if w.rate > 0 {
		conn.control(func(fd int) error {
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, w.rate)
		})
	}
	return conn, nil
}

// wireConn is a connection of a wire.
type wireConn struct {
	*net.TCPConn
	wire    *wire
	written atomic.Int64
	once    sync.Once // of what Close counts
}

// Write writes to the connection and counts what the kernel has taken.
func (c *wireConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// Close asks the kernel how much of what was written has arrived, counts the rest as lost, and
// closes the connection. Later calls only close.
func (c *wireConn) Close() error {
	c.once.Do(func() {
		c.control(func(fd int) error {
			info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
			if err == nil {
				c.wire.lost.Add(max(0, c.written.Load()-int64(info.Bytes_acked)))
			}
			return err
		})
	})
	return c.TCPConn.Close()
}

// control calls f with the descriptor of the connection. Every Linux since 4.1 can do
// what f asks, so a failure is a mistake of this program and panics.
func (c *wireConn) control(f func(fd int) error) {
	raw, err := c.SyscallConn()
	if err == nil {
		var failed error
		err = raw.Control(func(fd uintptr) { failed = f(int(fd)) })
		err = errors.Join(err, failed)
	}
	if err != nil {
		panic(err)
	}
}
