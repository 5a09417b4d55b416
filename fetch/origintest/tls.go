package origintest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

// TLS says how an Origin is served over TLS. The zero value is HTTP/1.1 with a
// good certificate.
type TLS struct {
	Certificate Certificate

	// HTTP2 offers HTTP/2 to clients that want it.
	HTTP2 bool
}

// Certificate is what is wrong with a certificate.
type Certificate int

const (
	Good             Certificate = iota // for 127.0.0.1, ::1, localhost and origin
	Expired                             // in 1999, so in a synctest bubble too
	OtherName                           // for other.example only
	UnknownAuthority                    // of an authority the client does not know
)

// ServeTLS is Serve over TLS. It returns an https URL and what a client needs
// to trust it, which the caller owns.
func (o *Origin) ServeTLS(t testing.TB, opts TLS) (string, *tls.Config) {
	t.Helper()
	hosttest.Need(t, hosttest.Loopback())
	server, client := opts.configs(t)
	s := o.server()
	s.Listener = tlsListener{s.Listener, server, false}
	s.Config.Protocols.SetUnencryptedHTTP2(opts.HTTP2)
	s.Start()
	t.Cleanup(func() { o.stop(s) })
	return "https://" + s.Listener.Addr().String(), client
}

// ServePipeTLS is ServePipe over TLS. Use the name origin in URLs: the good
// certificate is for it.
func (o *Origin) ServePipeTLS(t testing.TB, opts TLS) (*Pipe, *tls.Config) {
	t.Helper()
	server, client := opts.configs(t)
	p := NewPipe()
	o.servePipe(t, tlsListener{gate{p, &o.network}, server, true}, opts.HTTP2)
	return p, client
}

// configs returns the two sides of a new authority.
func (opts TLS) configs(t testing.TB) (server, client *tls.Config) {
	t.Helper()
	authority := newAuthority(t)
	leaf := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "origin"},
		NotBefore:   year(1990),
		NotAfter:    year(2100),
		DNSNames:    []string{"origin", "localhost"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	trusted := authority.Leaf
	switch opts.Certificate {
	case Expired:
		leaf.NotAfter = year(1999)
	case OtherName:
		leaf.DNSNames, leaf.IPAddresses = []string{"other.example"}, nil
	case UnknownAuthority:
		trusted = newAuthority(t).Leaf
	}
	server = &tls.Config{
		Certificates: []tls.Certificate{issue(t, leaf, authority)},
		NextProtos:   []string{"http/1.1"},
	}
	if opts.HTTP2 {
		server.NextProtos = []string{"h2", "http/1.1"}
	}
	client = &tls.Config{RootCAs: x509.NewCertPool()}
	client.RootCAs.AddCert(trusted)
	return server, client
}

func newAuthority(t testing.TB) tls.Certificate {
	t.Helper()
	return issue(t, &x509.Certificate{
		Subject:               pkix.Name{CommonName: "origintest authority"},
		NotBefore:             year(1990),
		NotAfter:              year(2100),
		KeyUsage:              x509.KeyUsageCertSign,
		IsCA:                  true,
		BasicConstraintsValid: true,
	}, tls.Certificate{})
}

// issue signs template with a new key of its own and the authority's name, or
// its own if there is none.
func issue(t testing.TB, template *x509.Certificate, authority tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	parent, signer := authority.Leaf, authority.PrivateKey
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func year(y int) time.Time { return time.Date(y, 1, 1, 0, 0, 0, 0, time.UTC) }
