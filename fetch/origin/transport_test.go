package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
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
	hosttest.Need(t, hosttest.Loopback())
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
	hosttest.Need(t, hosttest.Loopback())
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
	hosttest.Need(t, hosttest.Loopback())
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

// A connection serves one request after the other, however the body is framed.
func TestKeepAlive(t *testing.T) {
	tests := map[string]*origintest.Fault{
		"length":      nil,
		"chunked":     origintest.Chunked(),
		"short":       origintest.ShortRange(5000),
		"end of file": nil,
	}
	for name, fault := range tests {
		t.Run(name, func(t *testing.T) {
			x := overTCP(t)
			want := x.pin()
			if fault != nil {
				x.Inject(fault)
				defer wantHit(t, fault)
			}
			for i := range int64(200) {
				off := i * 500
				if name == "end of file" {
					off = size - i - 1
				}
				_, p, err := x.get(want, off, 10_000)
				x.wantBytes(p, min(10_000, size-off), err)
			}
			if got := x.Counts().Conns; got > 3 {
				t.Errorf("%d connections", got)
			}
			if log := x.log.String(); log != "" {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// RST overtakes data in the kernel, so what arrives before it varies; what is
// delivered does not.
func TestTCPResets(t *testing.T) {
	for _, n := range []int64{-1, 0, 1, 5000, 90_000} {
		for _, fault := range []*origintest.Fault{origintest.ResetAfter(n).Times(2), origintest.CutAfter(n).Times(2)} {
			t.Run(fmt.Sprint(fault), func(t *testing.T) {
				x := overTCP(t)
				x.c.opts.RetryWait = time.Millisecond
				x.Inject(fault)
				_, p, err := x.get(x.pin(), 1000, 100_000)
				x.wantBytes(p, 100_000, err)
				_, p, err = x.getWhole(nil)
				x.wantBytes(p, size, err)
				wantHit(t, fault)
			})
		}
	}
}

// Everything at once, from many sides.
func TestStorm(t *testing.T) {
	x := overTCP(t)
	want := x.pin()
	x.c.opts.RetryWait, x.c.opts.Tries = time.Millisecond, 50
	faults := []*origintest.Fault{
		origintest.Status(503).Chance(.1, 1),
		origintest.ShortRange(7000).Chance(.2, 2),
		origintest.ShiftRange(8).Chance(.02, 3),
		origintest.WideRange(8, 8).Chance(.02, 4),
		origintest.RangeAs200().Chance(.1, 6),
		origintest.Multipart().Chance(.02, 5), // not if 200: nothing would tell
		origintest.LongBody(100).Chance(.1, 7),
		origintest.Chunked().Chance(.1, 8),
		origintest.WrongContentRange("x").Chance(.02, 9),
		origintest.WeakETag().Chance(.2, 10),
		origintest.CutAfter(3000).Chance(.2, 11),
		origintest.ResetAfter(2000).Chance(.1, 12),
		origintest.EndAfter(1000).Chance(.1, 13),
		origintest.CutAfter(-1).Chance(.05, 14),
	}
	x.Inject(faults...)
	var readers sync.WaitGroup
	for i := range int64(8) {
		readers.Go(func() { // awaited below
			for k := range int64(20) {
				off := (i*20 + k) * 1117
				_, p, err := x.get(want, off, 15_000)
				x.wantBytes(p, min(15_000, size-off), err)
			}
		})
	}
	readers.Wait()
	wantHit(t, faults...)
}

// overH2 is a bubble whose origin speaks HTTP/2, and whose client may.
func overH2(t *testing.T, f func(t *testing.T, x *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := origintest.New()
		pipe, tls := o.ServePipeTLS(t, origintest.TLS{HTTP2: true})
		f(t, newFixture(t, o, "https://origin", Options{DialContext: pipe.DialContext, TLS: tls, HTTP2: true}))
	})
}

func TestStreamsThatEndEarlyAreResumed(t *testing.T) {
	for name, fault := range map[string]*origintest.Fault{
		"GOAWAY":     origintest.GoAwayAfter(50_000).Times(3),
		"RST_STREAM": origintest.StreamResetAfter(50_000).Times(3),
		"cut":        origintest.CutAfter(50_000).Times(3),
	} {
		overH2(t, func(t *testing.T, x *fixture) {
			x.Inject(fault)
			_, p, err := x.get(nil, 0, size)
			x.wantBytes(p, size, err)
			wantHit(t, fault)
			for _, r := range x.Log() {
				if r.Status != 0 && r.Status != 206 {
					t.Errorf("%s: %v", name, r)
				}
			}
		})
	}
}
