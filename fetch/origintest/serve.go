package origintest

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"dlfs/cache/hosttest"
)

// Serve serves o on a local TCP port until the test ends, and returns its URL
// without a slash at the end.
func (o *Origin) Serve(t testing.TB) string {
	t.Helper()
	hosttest.Need(t, hosttest.Loopback())
	url, stop := o.Start()
	t.Cleanup(stop)
	return url
}

// Start is Serve for a program: until stop is called, which waits for the
// answers under way. It panics if no port is free.
func (o *Origin) Start() (url string, stop func()) {
	s := o.server()
	s.Start()
	return s.URL, func() { o.stop(s) }
}

// server returns a server that is not yet started.
func (o *Origin) server() *httptest.Server {
	s := httptest.NewUnstartedServer(o)
	o.configure(s.Config, false)
	s.Listener = gate{s.Listener, &o.network}
	return s
}

func (o *Origin) stop(s *httptest.Server) {
	o.network.end()
	s.CloseClientConnections()
	s.Close()
}

// ServePipe serves o on a new Pipe until the test ends. Any http URL reaches
// it through the DialContext of the Pipe; Client has that done already.
//
// Inside a synctest bubble call it from the bubble, with the bubble's t.
func (o *Origin) ServePipe(t testing.TB) *Pipe {
	t.Helper()
	p := NewPipe()
	o.servePipe(t, gate{p, &o.network}, false)
	return p
}

func (o *Origin) servePipe(t testing.TB, l net.Listener, http2 bool) {
	s := &http.Server{Handler: o}
	o.configure(s, http2)
	done := make(chan struct{})
	go func() { // ended by the Close in Cleanup, which waits for it
		defer close(done)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		o.network.end()
		s.Close()
		<-done
	})
}

// configure makes s count its connections. HTTP/2 is unencrypted to s, because
// a tlsListener has done that.
func (o *Origin) configure(s *http.Server, http2 bool) {
	s.ConnState = o.countConn
	s.ConnContext = withConn
	s.Protocols = new(http.Protocols)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(http2)
}

func (o *Origin) countConn(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		o.tally.addConn()
	}
}

// Pipe is a net.Listener in memory. Each connection is a net.Pipe, so a write
// blocks until the other side reads it. It needs no network and blocks only in
// ways that testing/synctest sees through.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once // closes closed
}

// NewPipe returns a Pipe that is open.
func NewPipe() *Pipe {
	return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for a DialContext and returns the other side of its connection.
// After Close it fails with net.ErrClosed.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// DialContext connects to the Pipe, whatever the network and the address. It
// blocks until Accept takes the connection, ctx ends, or the Pipe is closed;
// then it fails as a closed port does.
func (p *Pipe) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	client, server := net.Pipe()
	var err error
	select {
	case p.conns <- server:
		return client, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-p.closed:
		err = net.ErrClosed
	}
	client.Close()
	server.Close()
	return nil, &net.OpError{Op: "dial", Net: network, Addr: p.Addr(), Err: err}
}

// Client returns a new client whose every connection is one to the Pipe.
func (p *Pipe) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: p.DialContext}}
}

// Close ends Accept and DialContext. Connections stay.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr returns an address that names no place.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
