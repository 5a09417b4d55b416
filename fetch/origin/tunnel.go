package origin

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"

	"golang.org/x/net/proxy"
)

// tunnel makes connections through a proxy, for answers that have to be mended: what
// net/http says to the proxy must not pass through the mending.
type tunnel struct {
	t     *http.Transport // whose dialer and TLS settings lead to the proxy
	proxy *url.URL
}

// isSOCKS reports whether a proxy speaks SOCKS 5 (RFC 1928).
func isSOCKS(proxy *url.URL) bool { return proxy.Scheme == "socks5" || proxy.Scheme == "socks5h" }

// DialContext connects to addr through the proxy.
func (t tunnel) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	if isSOCKS(t.proxy) {
		dialer, err := proxy.FromURL(t.proxy, direct(t.t.DialContext))
		if err != nil {
			return nil, err
		}
		return dialer.(proxy.ContextDialer).DialContext(ctx, network, addr) // of package socks, which has it
	}
	conn, err := t.toProxy(ctx, network)
	if err != nil {
		return nil, err
	}
	if err := t.connect(ctx, conn, addr); err != nil {
		conn.Close() // nothing to be lost
		return nil, err
	}
	return conn, nil
}

// toProxy connects to an HTTP proxy.
func (t tunnel) toProxy(ctx context.Context, network string) (net.Conn, error) {
	port := t.proxy.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[t.proxy.Scheme]
	}
	addr := net.JoinHostPort(t.proxy.Hostname(), port)
	conn, err := t.t.DialContext(ctx, network, addr)
	if err != nil || t.proxy.Scheme != "https" {
		return conn, err
	}
	return overTLS(ctx, conn, t.t.TLSClientConfig, addr)
}

// connect asks an HTTP proxy for a tunnel (RFC 9110 section 9.3.6). It ends with ctx.
func (t tunnel) connect(ctx context.Context, conn net.Conn, addr string) error {
	stop := context.AfterFunc(ctx, func() { conn.Close() }) // which ends what blocks below
	defer stop()
	req := &http.Request{Method: http.MethodConnect, URL: &url.URL{Opaque: addr}, Host: addr, Header: http.Header{}}
	if user := t.proxy.User; user != nil {
		password, _ := user.Password() // none is the empty one
		req.Header.Set("Proxy-Authorization", basic(user.Username(), password))
	}
	err := req.Write(conn)
	if err != nil {
		return err
	}
	from := bufio.NewReader(conn)
	resp, err := http.ReadResponse(from, req)
	if err != nil {
		return err
	}
	if err := refusedByProxy(ctx, t.proxy, req, resp); err != nil {
		return err
	}
	if from.Buffered() > 0 { // a TLS server waits for its client
		return errors.New("proxy sent data before the origin was asked")
	}
	return nil
}

// direct is a dialer as package proxy wants it.
type direct func(ctx context.Context, network, addr string) (net.Conn, error)

// Dial connects without a context, which package proxy asks for.
func (d direct) Dial(network, addr string) (net.Conn, error) {
	return d(context.Background(), network, addr)
}

// DialContext connects.
func (d direct) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	return d(ctx, network, addr)
}

// overTLS makes a TLS connection of conn, to the host of addr, for HTTP/1. It closes conn
// if that fails.
func overTLS(ctx context.Context, conn net.Conn, config *tls.Config, addr string) (*tls.Conn, error) {
	config = config.Clone()
	if config == nil {
		config = &tls.Config{}
	}
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(addr) // of a dial it always parses
	}
	config.NextProtos = nil
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}
