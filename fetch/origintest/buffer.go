package origintest

import (
	"net"
	"sync"
	"time"
)

// buffered is a connection whose Write does not wait for the other side, as
// long as there is room. TLS needs that: both sides may write at once, to
// refuse a certificate or to close.
type buffered struct {
	net.Conn
	queue  chan []byte
	once   sync.Once // closes closed
	closed chan struct{}
}

// bufferedWrites is the room: in TLS records, so 256 KiB at most.
const bufferedWrites = 16

func newBuffered(c net.Conn) *buffered {
	b := &buffered{Conn: c, queue: make(chan []byte, bufferedWrites), closed: make(chan struct{})}
	go b.drain() // ended by Close, or by the end of the connection
	return b
}

// NetConn returns the connection below.
func (b *buffered) NetConn() net.Conn { return b.Conn }

func (b *buffered) Write(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	default:
	}
	select {
	case b.queue <- append([]byte(nil), p...):
		return len(p), nil
	case <-b.closed:
		return 0, net.ErrClosed
	}
}

// Close closes the connection once everything is written. It does not wait.
func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return nil
}

// SetWriteDeadline does nothing: TLS sets one in the past after its last
// Write, which may not be written yet.
func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

// SetDeadline sets that of Read.
func (b *buffered) SetDeadline(t time.Time) error { return b.SetReadDeadline(t) }

// drain owns the writing side of the connection below.
func (b *buffered) drain() {
	defer b.Conn.Close()
	defer b.Close()
	for {
		select {
		case p := <-b.queue:
			if _, err := b.Conn.Write(p); err != nil {
				return
			}
		case <-b.closed:
			if len(b.queue) == 0 {
				return
			}
		}
	}
}
