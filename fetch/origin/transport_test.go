package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// transportTo returns one that trusts the server and has all hosts be it.
func transportTo(t *testing.T, s *httptest.Server, o transportOptions) *http.Transport {
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	o.TLS = &tls.Config{RootCAs: roots, ServerName: "example.com"}
	o.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
	}
	transport := newTransport(o)
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestProtocolOfATransport(t *testing.T) {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Header.Get("Accept-Encoding"))
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for http2, want := range map[bool]string{false: "HTTP/1.1 ", true: "HTTP/2.0 "} {
		c := http.Client{Transport: transportTo(t, s, transportOptions{HTTP2: http2})}
		resp, err := c.Get("https://origin/")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(body) != want || err != nil {
			t.Errorf("got %q, %v; want %q", body, err, want)
		}
	}
}

func TestHeadersOfAResponseAreBounded(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 2*maxHeaderBytes))
	}))
	defer s.Close()
	c := http.Client{Transport: transportTo(t, s, transportOptions{})}
	if resp, err := c.Get("https://origin/"); err == nil {
		resp.Body.Close()
		t.Error("taken")
	}
}

func TestProxyOfATransport(t *testing.T) {
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "by proxy: "+r.URL.String())
	}))
	defer proxy.Close()
	u, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport := newTransport(transportOptions{Proxy: http.ProxyURL(u)})
	defer transport.CloseIdleConnections()
	c := http.Client{Transport: transport}
	resp, err := c.Get("http://host.invalid/a")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "by proxy: http://host.invalid/a" || err != nil {
		t.Errorf("got %q, %v", body, err)
	}
}

func TestTransportDefaults(t *testing.T) {
	tr := newTransport(transportOptions{})
	if tr.TLSHandshakeTimeout != 20*time.Second || tr.MaxIdleConnsPerHost != 16 || tr.TLSClientConfig != nil || tr.ResponseHeaderTimeout != 0 {
		t.Errorf("defaults %+v", tr)
	}
}
