package origin

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// transportOptions are for newTransport. Those that are zero are as in Options.
type transportOptions struct {
	// ConnectTimeout bounds the making of a connection, and its TLS handshake
	// once more.
	ConnectTimeout time.Duration

	// MaxPerHost is how many idle connections are kept for each host.
	MaxPerHost int

	// MaxIdle is how many idle connections are kept in all.
	MaxIdle int

	// DialContext makes connections. If nil, a hostDialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)

	// PublicOnly has the hostDialer connect to public addresses alone.
	PublicOnly bool

	// Proxy returns the proxy to send a request to. If nil, there is none.
	Proxy func(*http.Request) (*url.URL, error)

	// TLS says whom to trust. It is not changed. If nil, what the system trusts.
	TLS *tls.Config

	// Received counts what came over connections that were closed before it was read. If
	// nil, nothing is counted.
	Received *atomic.Int64

	// HTTP2 allows HTTP/2 with hosts that offer it. Not by default: one HTTP/2
	// connection is one TCP stream, and all ranges share its congestion window.
	HTTP2 bool
}

// readBuffer is the buffer of a connection, in bytes: a header and a small file come with
// one read(2). More than that is read past it.
const readBuffer = 8 << 10

// newTransport returns a transport that asks for no compression, and that has
// no timeout on headers and bodies, which the watchdog sees to.
func newTransport(o transportOptions) *http.Transport {
	o.ConnectTimeout = orDefault(o.ConnectTimeout, DefaultConnectTimeout)
	o.MaxPerHost = orDefault(o.MaxPerHost, defaultMaxPerHost)
	o.MaxIdle = orDefault(o.MaxIdle, defaultMaxOpen/4)
	if o.Received == nil {
		o.Received = new(atomic.Int64)
	}
	if o.DialContext == nil {
		d := newHostDialer(o.ConnectTimeout)
		if o.PublicOnly {
			d.connect = publicOnly(d.connect)
		}
		o.DialContext = d.DialContext
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(o.HTTP2)
	return &http.Transport{
		Proxy:                  o.Proxy,
		OnProxyConnectResponse: refusedByProxy,
		DialContext:            wired(o.DialContext, o.Received),
		TLSClientConfig:        o.TLS.Clone(), // nil stays nil
		Protocols:              &protocols,
		TLSHandshakeTimeout:    o.ConnectTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           o.MaxIdle,
		MaxIdleConnsPerHost:    o.MaxPerHost,
		ReadBufferSize:         readBuffer,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true,
	}
}
