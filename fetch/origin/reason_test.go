package origin

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

// selfSigned returns a certificate for a name, and what trusts it.
func selfSigned(t *testing.T, name string, from, until time.Time) (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: from, NotAfter: until, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A certificate that is not good is named in a line, and not asked for twice.
func TestCertificateReasons(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	now := time.Now()
	tests := []struct {
		name        string
		from, until time.Time
		trusted     bool
		want        string
	}{
		{"origin.test", now.Add(-2 * time.Hour), now.Add(-time.Hour), true, "certificate of origin.test is expired or not yet valid"},
		{"other.test", now.Add(-time.Hour), now.Add(time.Hour), true, "certificate of origin.test is for another name"},
		{"origin.test", now.Add(-time.Hour), now.Add(time.Hour), false, "certificate of origin.test is of an unknown authority; --cacert"},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			cert, pool := selfSigned(t, tt.name, tt.from, tt.until)
			s := httptest.NewUnstartedServer(http.HandlerFunc(serveRange))
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
			s.Config.ErrorLog = log.New(io.Discard, "", 0)
			s.StartTLS()
			t.Cleanup(s.Close)
			dials := 0
			c := New(Options{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				dials++
				return new(net.Dialer).DialContext(ctx, network, s.Listener.Addr().String())
			}})
			t.Cleanup(c.Close)
			trust := x509.NewCertPool()
			if tt.trusted {
				trust = pool
			}
			c.http.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: trust}
			r := c.Resource("https://user:"+canary+"@origin.test/a.tar?sig="+canary, ResourceOptions{})
			_, err := r.Get(t.Context(), nil, 0, 10)
			wantKind(t, err, Permanent)
			want := "https://origin.test/a.tar?…: " + tt.want
			if got := err.Error(); !strings.HasPrefix(got, want) || strings.Contains(got, "\n") || strings.Contains(got, canary) {
				t.Errorf("got %s", got)
			}
			if dials != 1 {
				t.Errorf("%d connections", dials)
			}
		})
	}
}

// A connection that ends before an answer must not look like the end of a body.
func TestConnectionClosedWithoutAnAnswer(t *testing.T) {
	for _, err := range []error{io.EOF, &url.Error{Op: "Get", URL: canary, Err: io.EOF}} {
		if e := explain("origin", err); errors.Is(e, io.EOF) || e.Kind != Transient || e.Error() != "connection was closed without an answer" {
			t.Errorf("got %v", e)
		}
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.Down()
		_, _, err := x.get(nil, 0, 12)
		wantKind(t, err, Transient)
		if errors.Is(err, io.EOF) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLookupReasons(t *testing.T) {
	tests := []struct {
		err   *net.DNSError
		want  string
		dials int
	}{
		{&net.DNSError{Err: "no such host", Name: "origin", IsNotFound: true}, "host origin is not known", 4},
		{&net.DNSError{Err: "server misbehaving", Name: "origin", IsTemporary: true}, "host origin cannot be looked up: server misbehaving", 12},
		{&net.DNSError{Err: "i/o timeout", Name: "origin", IsTimeout: true}, "host origin cannot be looked up: i/o timeout", 12},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			dials := 0
			x.dial(func(dialer) dialer {
				return func(context.Context, string, string) (net.Conn, error) {
					dials++
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: tt.err}
				}
			})
			_, _, err := x.get(nil, 0, 12)
			wantKind(t, err, Transient)
			if want := x.url + ": " + tt.want; err.Error() != want || dials != tt.dials {
				t.Errorf("got %v after %d connections, want %s", err, dials, want)
			}
		})
	}
}
