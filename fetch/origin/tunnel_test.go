package origin

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// sloppyTLS is a server over TLS whose header net/http refuses.
func sloppyTLS(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "http/1.1 200 ok\r\nContent-Length: 5, 5\r\nTransfer-Encoding: identity\r\n\r\nhello") // the client reports what is missing
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// httpProxy is a proxy that makes tunnels and wants a login.
func httpProxy(t *testing.T) *url.URL {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("Proxy-Authorization") != basic("ann", "secret") {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		to, err := net.Dial("tcp", req.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer to.Close()
		w.WriteHeader(http.StatusOK)
		conn, from, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		join(conn, from, to)
	}))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("ann", "secret")
	return u
}

// socksProxy is a proxy of SOCKS 5 (RFC 1928) that asks for no login.
func socksProxy(t *testing.T) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { // awaited by the cleanup
		defer close(ended)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serveSOCKS(conn)
		}
	}()
	t.Cleanup(func() { l.Close(); <-ended })
	return &url.URL{Scheme: "socks5", Host: l.Addr().String()}
}

// serveSOCKS serves one connection to an IPv4 address.
func serveSOCKS(conn net.Conn) {
	defer conn.Close()
	from := bufio.NewReader(conn)
	greeting := make([]byte, 2)
	if _, err := io.ReadFull(from, greeting); err != nil {
		return
	}
	from.Discard(int(greeting[1])) // the next read meets an error
	conn.Write([]byte{5, 0})
	request := make([]byte, 10)
	if _, err := io.ReadFull(from, request); err != nil || request[3] != 1 {
		return
	}
	at := &net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])}
	to, err := net.DialTCP("tcp", nil, at)
	if err != nil {
		return
	}
	defer to.Close()
	conn.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	join(conn, from, to)
}

// join passes bytes on in both directions, until the origin has said all.
func join(conn net.Conn, from io.Reader, to net.Conn) {
	asked := make(chan struct{})
	go func() { // ends with conn
		defer close(asked)
		io.Copy(to, from)
	}()
	io.Copy(conn, to) // what breaks off, the client reports
	conn.Close()
	<-asked
}

// Headers are mended behind a proxy, too, in plain text and over TLS.
func TestHeadersAreMendedBehindAProxy(t *testing.T) {
	plain, _ := answering(t, func(string) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"
	})
	secure := sloppyTLS(t)
	for _, proxy := range []*url.URL{httpProxy(t), socksProxy(t)} {
		for _, base := range []string{plain, secure.URL} {
			if proxy.Scheme == "http" && base == plain {
				continue // there the proxy's own answer is mended: TestHeadersOfAProxyAreMended
			}
			x := overTCP(t)
			trusted := x509.NewCertPool()
			trusted.AddCert(secure.Certificate())
			c := New(Options{Proxy: http.ProxyURL(proxy), TLS: &tls.Config{RootCAs: trusted}})
			t.Cleanup(c.Close)
			x.c = c
			for range 2 { // the second time it is known
				if got, err := fetchOnce(t, x, base+"/a.bin"); got != "hello" || err != nil {
					t.Errorf("%s through %s: %q, %v", base, proxy.Scheme, got, err)
				}
			}
		}
	}
}

// A request without TLS goes to the proxy as it is, and the proxy's answer is mended.
func TestHeadersOfAProxyAreMended(t *testing.T) {
	base, _ := answering(t, func(string) string {
		return "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello"
	})
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	x := overTCP(t)
	x.c = New(Options{Proxy: http.ProxyURL(u)})
	t.Cleanup(x.c.Close)
	if got, err := fetchOnce(t, x, "http://far.example/a.bin"); got != "hello" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}

// A proxy that wants another login is named, also where headers are mended.
func TestTunnelThatIsRefused(t *testing.T) {
	proxy := httpProxy(t)
	proxy.User = nil
	secure := sloppyTLS(t)
	x := overTCP(t)
	x.c = New(Options{Proxy: http.ProxyURL(proxy)})
	t.Cleanup(x.c.Close)
	x.c.noteSloppy(strings.TrimPrefix(secure.URL, "https://"))
	_, err := fetchOnce(t, x, secure.URL+"/a.bin")
	if wantKind(t, err, Permanent); err != nil && !strings.Contains(err.Error(), "proxy "+proxy.Host+" answers 407") {
		t.Error(err)
	}
}
