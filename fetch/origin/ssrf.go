package origin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
)

// A public origin must not send this program into networks it cannot reach
// itself: to a service of this machine, the routers and disks of this network,
// the metadata of a cloud. A URL of a list may be of any host, for its user
// wrote it. But once its host was seen at a public address, what it redirects to
// is asked over connections that are made to public addresses alone. The address
// is looked at when it is connected to, for a name can be looked up twice with
// two answers; and those connections are kept apart from all others, for one that
// is open already is not made.

// clientFor returns who makes a request of r to u. look is called with the connection that
// the request is sent over.
func (r *Resource) clientFor(req *http.Request, u *url.URL) (client *http.Client, look func(net.Conn)) {
	proxied := r.c.isProxied(req)
	switch {
	case r.public.Load():
		if u != r.list && !proxied {
			return r.c.public, func(net.Conn) {}
		}
	case u == r.list && proxied: // a proxy reaches beyond this network
		r.public.Store(true)
	case u == r.list:
		return r.c.http, r.lookAt
	}
	return r.c.http, func(net.Conn) {}
}

// lookAt notes whether a connection to the URL's host is one to a public address.
func (r *Resource) lookAt(conn net.Conn) {
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil && isPublic(at.Addr()) {
		r.public.Store(true)
	}
}

// isProxied reports whether a request goes to a proxy, whose address says
// nothing of the host's.
func (c *Client) isProxied(req *http.Request) bool {
	u, err := c.proxyOf(req)
	return u != nil || err != nil // which is for the request to meet
}

// publicOnly refuses to connect to addresses that are not public.
func publicOnly(connect func(ctx context.Context, network, addr string) (net.Conn, error)) func(ctx context.Context, network, addr string) (net.Conn, error) {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return nil, err
		}
		if !isPublic(at.Addr()) {
			return nil, refuse("redirect from a public host to %s, which is no public address, refused; if it is meant, list that URL", at.Addr())
		}
		return connect(ctx, network, addr)
	}
}

var (
	// notPublic is what IsGlobalUnicast and IsPrivate leave of the special
	// purpose registries (RFC 6890) that leads to, or may lead to, machines nearby.
	notPublic = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),      // this network; Linux takes it for this machine
		netip.MustParsePrefix("100.64.0.0/10"),  // shared with the provider
		netip.MustParsePrefix("192.0.0.0/24"),   // protocol assignments
		netip.MustParsePrefix("198.18.0.0/15"),  // benchmarks
		netip.MustParsePrefix("240.0.0.0/4"),    // reserved
		netip.MustParsePrefix("::/96"),          // IPv4-compatible, deprecated
		netip.MustParsePrefix("64:ff9b:1::/48"), // translation within a network
		netip.MustParsePrefix("fec0::/10"),      // site-local, deprecated
	}

	translated = netip.MustParsePrefix("64:ff9b::/96") // holds an IPv4 address (RFC 6052)
	sixToFour  = netip.MustParsePrefix("2002::/16")    // holds one, too (RFC 3056)
)

// isPublic reports whether an address is one of the internet at large.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	b := a.As16()
	switch {
	case translated.Contains(a):
		return isPublic(netip.AddrFrom4([4]byte(b[12:])))
	case sixToFour.Contains(a):
		return isPublic(netip.AddrFrom4([4]byte(b[2:])))
	case !a.IsGlobalUnicast(), a.IsPrivate():
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
