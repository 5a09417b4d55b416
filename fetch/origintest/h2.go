package origintest

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/http"
	"sync"
	"time"
)

// Faults of HTTP/2 (RFC 9113). They do not apply to HTTP/1.1.

// GoAwayAfter says GOAWAY after n bytes of the body, without an error, and then
// closes the connection: a server that restarts and does not wait. Other
// streams of the connection end with it.
func GoAwayAfter(n int64) *Fault {
	return h2Fault(stop{at: n, end: goAway}, "GoAwayAfter(%d)", n)
}

// StreamResetAfter ends the stream after n bytes of the body with RST_STREAM
// and the code INTERNAL_ERROR. The connection stays.
func StreamResetAfter(n int64) *Fault {
	return h2Fault(stop{at: n, end: streamReset}, "StreamResetAfter(%d)", n)
}

func h2Fault(s stop, format string, args ...any) *Fault {
	f := stopFault(s, format, args...)
	longer := f.ready
	f.ready = func(p *plan) bool { return p.req.ProtoMajor == 2 && longer(p) }
	return f
}

// tlsListener does TLS itself and hands the server what it takes for a plain
// connection, because only so frames can be put between those of net/http.
type tlsListener struct {
	net.Listener
	config *tls.Config
	buffer bool // the connections have none of their own
}

func (l tlsListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.buffer {
		c = newBuffered(c)
	}
	inner := tls.Server(c, l.config)
	return &tlsConn{Conn: inner, tls: inner, changed: make(chan struct{}, 1)}, nil
}

// tlsConn is a connection that counts the frames of HTTP/2 as they are
// written, and can end between two of them.
type tlsConn struct {
	net.Conn // tls without what tells that it is that
	tls      *tls.Conn
	changed  chan struct{} // has an element after a Write

	mu struct {
		sync.Mutex
		header [frameHeader]byte
		have   int    // bytes of header
		left   int    // payload bytes of the frame under way
		stream uint32 // the highest with an answer
		handed int64  // body bytes the player gave to net/http
		data   int64  // those that were written here
		ending ending // wanted at the end of the frame; goOn for none
		ended  bool
	}
}

// Frame layout and types (RFC 9113, sections 4.1 and 6).
const (
	frameHeader  = 9
	frameData    = 0
	frameHeaders = 1
	frameGoAway  = 7
)

type tlsConnKey struct{}

// withConn is the ConnContext of every server.
func withConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, tlsConnKey{}, c)
}

// h2Conn returns the connection of r if it speaks HTTP/2, else nil.
func h2Conn(r *http.Request) *tlsConn {
	c, ok := r.Context().Value(tlsConnKey{}).(*tlsConn)
	if !ok || r.ProtoMajor != 2 {
		return nil
	}
	return c
}

// NetConn returns the connection below.
func (c *tlsConn) NetConn() net.Conn { return c.tls.NetConn() }

// Write writes whole frames for as long as no end is wanted.
func (c *tlsConn) Write(p []byte) (int, error) {
	defer func() {
		select {
		case c.changed <- struct{}{}:
		default:
		}
	}()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for n < len(p) && !(c.mu.ending != goOn && c.atBoundary()) {
		n += c.follow(p[n:])
	}
	if c.mu.ended {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Write(p[:n])
	if err == nil && c.mu.ending != goOn && c.atBoundary() {
		c.finish()
	}
	if err == nil && n < len(p) {
		err = net.ErrClosed
	}
	return n, err
}

// atBoundary needs c.mu.
func (c *tlsConn) atBoundary() bool { return c.mu.have == 0 && c.mu.left == 0 }

// follow takes what p has of one frame's header or payload, and returns how
// much that is. It needs c.mu.
func (c *tlsConn) follow(p []byte) int {
	h := &c.mu.header
	if c.mu.left > 0 {
		n := min(len(p), c.mu.left)
		c.mu.left -= n
		if h[3] == frameData {
			c.mu.data += int64(n)
		}
		return n
	}
	n := copy(h[c.mu.have:], p)
	c.mu.have += n
	if c.mu.have == frameHeader {
		c.mu.have = 0
		c.mu.left = int(h[0])<<16 | int(h[1])<<8 | int(h[2])
		if h[3] == frameHeaders {
			c.mu.stream = max(c.mu.stream, binary.BigEndian.Uint32(h[5:])&^(1<<31))
		}
	}
	return n
}

// hand counts body bytes on their way to Write.
func (c *tlsConn) hand(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.handed += int64(n)
}

// end ends the connection as e says once what was handed is written, or after
// a second if other streams do not let it.
func (c *tlsConn) end(ctx context.Context, e ending) {
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	for !c.drained() {
		select {
		case <-c.changed:
			continue
		case <-ctx.Done():
		case <-patience.C:
		}
		break
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ending = e
	if c.atBoundary() {
		c.finish()
	}
}

func (c *tlsConn) drained() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.data >= c.mu.handed
}

// finish writes the last of c and leaves the reading side to the client, or
// else a RST could overtake it. It needs c.mu. The errors are the client's.
func (c *tlsConn) finish() {
	if c.mu.ended {
		return
	}
	c.mu.ended = true
	if c.mu.ending == goAway {
		frame := []byte{0, 0, 8, frameGoAway, 0, 0, 0, 0, 0}
		frame = binary.BigEndian.AppendUint32(frame, c.mu.stream)
		frame = binary.BigEndian.AppendUint32(frame, uint32(0)) // NO_ERROR
		c.Conn.Write(frame)
	}
	c.tls.CloseWrite()
}
