package origin

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"dlfs/fetch/origintest"
)

// atAddr is a connection that says it is to an address.
type atAddr struct {
	net.Conn
	addr string
}

func (c atAddr) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.addr))
}

// internet is an origin at every address, and a name service whose answers may
// change from one lookup to the next.
type internet struct {
	*fixture
	names map[string][]string // answers, one a lookup; the last one stays

	mu     sync.Mutex
	dialed []string // guarded by mu
}

// onInternet runs f in fake time. What the origin serves is at every address.
func onInternet(t *testing.T, f func(t *testing.T, n *internet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := origintest.New()
		pipe := o.ServePipe(t)
		n := &internet{names: map[string][]string{}}
		n.fixture = newFixture(t, o, "http://public.example", Options{DialContext: pipe.DialContext})
		lookup := func(_ context.Context, host string) ([]netip.Addr, error) {
			answers := n.names[host]
			if len(answers) == 0 {
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			}
			if len(answers) > 1 {
				n.names[host] = answers[1:]
			}
			return addrs(strings.Split(answers[0], " ")...), nil
		}
		connect := func(ctx context.Context, network, addr string) (net.Conn, error) {
			n.mu.Lock()
			n.dialed = append(n.dialed, addr)
			n.mu.Unlock()
			c, err := pipe.DialContext(ctx, network, addr)
			return atAddr{c, addr}, err
		}
		for c, wrap := range map[*http.Client]func(dialer) dialer{
			n.c.http:   func(connect dialer) dialer { return connect },
			n.c.public: publicOnly,
		} {
			d := newHostDialer(n.c.opts.ConnectTimeout)
			d.lookup, d.connect = lookup, wrap(connect)
			c.Transport.(*http.Transport).DialContext = d.DialContext
		}
		f(t, n)
	})
}

// A public origin redirects to a place that only this machine can reach.
func TestRedirectIntoThisNetwork(t *testing.T) {
	for _, to := range []string{
		"http://127.0.0.1/a.tar", "http://127.8.9.10:631/a.tar", "http://[::1]/a.tar", "http://0.0.0.0/a.tar", "http://[::]/a.tar",
		"http://10.0.0.1/a.tar", "http://172.16.3.4/a.tar", "http://192.168.1.1/a.tar", "http://100.100.100.200/a.tar",
		"http://169.254.169.254/a.tar", "http://[fe80::1]/a.tar", "http://[fd00:ec2::254]/a.tar", "http://[::ffff:10.0.0.1]/a.tar",
		"http://[64:ff9b::7f00:1]/a.tar", "http://[2002:a00:1::]/a.tar", "http://inner.example/a.tar", "http://both.example:8080/a.tar",
	} {
		t.Run(to, func(t *testing.T) {
			onInternet(t, func(t *testing.T, n *internet) {
				n.names["public.example"] = []string{"203.0.113.1"}
				n.names["inner.example"] = []string{"10.1.2.3"}
				n.names["both.example"] = []string{"192.168.0.1 fd00::1"}
				n.Inject(origintest.Redirect(302, to).When(func(r *http.Request) bool { return r.Host == "public.example" }))
				_, _, err := n.get(nil, 0, 1000)
				if wantKind(t, err, Permanent); err != nil && !strings.Contains(err.Error(), "is no public address, refused") {
					t.Error(err)
				}
				if len(n.dialed) != 1 {
					t.Errorf("connected to %q", n.dialed)
				}
				n.wantRequests(1)
			})
		})
	}
}

// What may be asked is asked.
func TestRedirectsThatAreAllowed(t *testing.T) {
	for name, tt := range map[string]struct{ list, to string }{
		"public to public":            {"http://public.example/a.tar", "http://203.0.113.77/b"},
		"one address is public":       {"http://public.example/a.tar", "http://some.example/b"},
		"the list's host is private":  {"http://inner.example/a.tar", "http://10.0.0.9/b"},
		"the list's host is loopback": {"http://127.0.0.1/a.tar", "http://[::1]:8080/b"},
		"it redirects to itself":      {"http://inner.example/a.tar", "http://inner.example/b"},
	} {
		t.Run(name, func(t *testing.T) {
			onInternet(t, func(t *testing.T, n *internet) {
				n.names["public.example"] = []string{"203.0.113.1"}
				n.names["inner.example"] = []string{"10.1.2.3"}
				n.names["some.example"] = []string{"10.0.0.1 203.0.113.5"}
				n.Put("/b", origintest.File{Content: content})
				n.url = tt.list
				n.Inject(origintest.Redirect(302, tt.to).On("/a.tar"))
				_, p, err := n.get(nil, 0, 1000)
				n.wantBytes(p, 1000, err)
			})
		})
	}
}

// A name is public when the list's URL is asked, and private when it is
// redirected to; and an open connection to it, made for another URL of the list,
// is of no use either.
func TestRedirectToANameThatMoves(t *testing.T) {
	onInternet(t, func(t *testing.T, n *internet) {
		n.names["public.example"] = []string{"203.0.113.1", "127.0.0.1"}
		n.Inject(origintest.Redirect(302, "http://public.example/latest/meta-data").On("/a.tar"))
		n.Put("/latest/meta-data", origintest.File{Content: content})
		_, _, err := n.get(nil, 0, 1000)
		wantKind(t, err, Permanent)
		n.wantRequests(1)
	})
	onInternet(t, func(t *testing.T, n *internet) {
		n.names["public.example"] = []string{"203.0.113.1"}
		n.names["inner.example"] = []string{"10.1.2.3"}
		n.Put("/b", origintest.File{Content: content})
		n.Inject(origintest.Redirect(302, "http://inner.example/b").On("/a.tar"))
		n.url = "http://inner.example/b"
		_, p, err := n.get(nil, 0, size)
		n.wantBytes(p, size, err)
		n.url = "http://public.example/a.tar"
		_, _, err = n.get(nil, 0, 1000)
		wantKind(t, err, Permanent)
		n.wantRequests(2)
	})
}

// A target that was good is asked by itself, and its name may move meanwhile.
func TestTargetThatMovesIntoThisNetwork(t *testing.T) {
	onInternet(t, func(t *testing.T, n *internet) {
		n.names["public.example"] = []string{"203.0.113.1"}
		n.names["cdn.example"] = []string{"203.0.113.2", "10.1.2.3"}
		n.Put("/b", origintest.File{Content: content})
		n.Inject(origintest.Redirect(302, "http://cdn.example/b").On("/a.tar"))
		b, p, err := n.get(nil, 0, 1000)
		n.wantBytes(p, 1000, err)
		want := b.Version()
		n.c.Close() // connections end, and addresses are looked up again
		pass(2 * addrsFresh)
		_, _, err = n.get(&want, 1000, 1000)
		wantKind(t, err, Permanent)
		for _, addr := range n.dialed {
			if strings.HasPrefix(addr, "10.") {
				t.Errorf("connected to %q", n.dialed)
			}
		}
	})
}

// Behind a proxy, whose own address is most often private, the proxy sees to
// what is asked of it; but what would be asked past it must be public.
func TestProxyAndRedirectsIntoThisNetwork(t *testing.T) {
	onInternet(t, func(t *testing.T, n *internet) {
		proxy := func(req *http.Request) (*url.URL, error) {
			if req.URL.Hostname() == "127.0.0.1" {
				return nil, nil
			}
			return url.Parse("http://10.0.0.1:3128")
		}
		for _, c := range []*http.Client{n.c.http, n.c.public} {
			c.Transport.(*http.Transport).Proxy = proxy
		}
		n.Put("/b", origintest.File{Content: content})
		n.Inject(origintest.Redirect(302, "http://cdn.example/b").On("/a.tar"))
		_, p, err := n.get(nil, 0, 1000)
		n.wantBytes(p, 1000, err)
		n.Clear()
		n.Put("/c.tar", origintest.File{Content: content})
		n.Inject(origintest.Redirect(302, "http://127.0.0.1/b").On("/c.tar"))
		n.url = n.base + "/c.tar"
		_, _, err = n.get(nil, 0, 1000)
		wantKind(t, err, Permanent)
	})
}

func TestIsPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"8.8.8.8": true, "203.0.113.1": true, "100.63.255.255": true, "100.128.0.0": true, "172.32.0.1": true, "2001:4860:4860::8888": true,
		"64:ff9b::808:808": true, "2002:808:808::1": true, "::ffff:8.8.8.8": true, "198.20.0.0": true,
		"127.0.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "10.255.255.255": false, "172.31.255.255": false, "192.168.0.0": false,
		"100.64.0.1": false, "169.254.169.254": false, "192.0.0.192": false, "198.19.255.255": false, "224.0.0.1": false, "240.0.0.1": false,
		"255.255.255.255": false, "::": false, "::1": false, "::7f00:1": false, "fe80::1%eth0": false, "fec0::1": false, "fc00::1": false,
		"fd00:ec2::254": false, "ff02::1": false, "::ffff:127.0.0.1": false, "64:ff9b::a00:1": false, "64:ff9b:1::1": false,
		"2002:7f00:1::": false, "2002:c0a8:101::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
}
