package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// The end of a TLS stream is said by a close_notify alert (RFC 8446 section 6.1). A
// connection that is closed without one may have been cut by anyone on the way, and
// then a body without a length looks complete. Package crypto/tls takes such a close
// for an end if it falls between two records, so it is looked for below it.

// wire is a connection that notes that the other side has closed it.
type wire struct {
	net.Conn
	received *atomic.Int64
	closed   atomic.Bool
}

// Close counts what has come over the connection and is not read any more.
func (w *wire) Close() error {
	w.received.Add(unread(w.Conn))
	return w.Conn.Close()
}

// Read notes that the peer has closed the connection, which tells a body that was cut from
// one that is whole.
func (w *wire) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	if errors.Is(err, io.EOF) {
		w.closed.Store(true)
	}
	return n, err
}

// dialFunc opens a connection, as net.Dialer.DialContext does.
type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// wired has connections note that they were closed, and count as received what was not
// read from them.
func wired(dial dialFunc, received *atomic.Int64) dialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &wire{Conn: conn, received: received}, nil
	}
}

// seeWire returns a context for the request of w, which learns the connection that
// the request is sent over, if that is a TLS connection. look is called with any.
func (w *watched) seeWire(ctx context.Context, look func(net.Conn)) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		look(info.Conn)
		if secure, ok := info.Conn.(*tls.Conn); ok {
			below, _ := secure.NetConn().(*wire)
			w.wire.Store(below)
		}
	}})
}

// cut reports whether the connection was closed without a close_notify before the
// body, which was read to its end, came to it.
func (w *watched) cut() bool {
	below := w.wire.Load()
	return below != nil && below.closed.Load()
}
