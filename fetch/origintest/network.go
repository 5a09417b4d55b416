package origintest

import (
	"maps"
	"net"
	"slices"
	"sync"
)

// network is the way between an Origin and its clients. Every connection of
// Serve, ServePipe, ServeTLS and ServePipeTLS passes it.
type network struct {
	mu struct {
		sync.Mutex
		down  bool
		hole  chan struct{} // closed when the black hole ends; nil if there is none
		conns map[*conn]bool
	}
}

// Down makes the host of o die: connections are reset where they are TCP and
// closed where not, those that are open and those yet to come, until Up.
func (o *Origin) Down() {
	o.network.set(true, nil)
	o.network.abort()
}

// Blackhole makes the host of o fall silent: connections are accepted and
// requests are read and counted, but nothing of any answer arrives until Up,
// not even of answers under way and of TLS handshakes. What was held back then
// goes on.
func (o *Origin) Blackhole() { o.network.set(false, make(chan struct{})) }

// Up ends Down and Blackhole. Connections that were reset stay so. The end of
// the test is Up, too.
func (o *Origin) Up() { o.network.set(false, nil) }

// set ends the former state.
func (n *network) set(down bool, hole chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.hole != nil {
		close(n.mu.hole)
	}
	n.mu.down, n.mu.hole = down, hole
}

// abort ends the connections that are open.
func (n *network) abort() {
	n.mu.Lock()
	conns := slices.Collect(maps.Keys(n.mu.conns))
	n.mu.Unlock()
	for _, c := range conns {
		abort(c)
	}
}

// end is for the end of a test. Without it two sides of a Pipe that close TLS
// at the same time would wait for each other.
func (n *network) end() {
	n.set(false, nil)
	n.abort()
}

// admit returns inner as a connection of this network, nil if it is down.
func (n *network) admit(inner net.Conn) *conn {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.mu.down {
		return nil
	}
	c := &conn{Conn: inner, network: n, closed: make(chan struct{})}
	if n.mu.conns == nil {
		n.mu.conns = make(map[*conn]bool)
	}
	n.mu.conns[c] = true
	return c
}

func (n *network) forget(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.mu.conns, c)
}

func (n *network) blackhole() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.hole
}

// gate is a net.Listener behind a network.
type gate struct {
	net.Listener
	network *network
}

func (g gate) Accept() (net.Conn, error) {
	for {
		inner, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := g.network.admit(inner); c != nil {
			return c, nil
		}
		abort(inner)
	}
}

// conn is a server's end of a connection.
type conn struct {
	net.Conn
	network *network
	once    sync.Once // closes closed
	closed  chan struct{}
}

// NetConn returns the connection below.
func (c *conn) NetConn() net.Conn { return c.Conn }

func (c *conn) Write(p []byte) (int, error) {
	if hole := c.network.blackhole(); hole != nil {
		select {
		case <-hole:
		case <-c.closed:
			return 0, net.ErrClosed
		}
	}
	return c.Conn.Write(p)
}

func (c *conn) Close() error {
	c.once.Do(func() {
		close(c.closed)
		c.network.forget(c)
	})
	return c.Conn.Close()
}

// abort closes the lowest connection below c, with RST where it is TCP.
func abort(c net.Conn) {
	for {
		if t, ok := c.(*net.TCPConn); ok {
			t.SetLinger(0)
		}
		above, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			c.Close()
			return
		}
		c = above.NetConn()
	}
}
