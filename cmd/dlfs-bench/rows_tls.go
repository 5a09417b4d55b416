package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"path/filepath"
	"time"
)

// tlsRows fetch over TLS 1.3, which has each byte decrypted.
func tlsRows(z sizes) []row {
	return []row{
		tlsRow(z.secure, "HTTPS", nil, nil,
			goal{metric: wall, than: "aria2c", bound: atMost(0.7)}, goal{metric: cpu, than: "curl", bound: atMost(0.9)}),
		tlsRow(z.secure, "HTTP/2", []string{"--http2"}, []string{"--http2"},
			goal{metric: wall, than: "curl", bound: atMost(1.2)}, goal{metric: cpu, than: "curl", bound: atMost(1.2)}),
	}
}

// tlsRow fetches from nginx over TLS, dlfs and curl with flags of their own. aria2c knows
// no HTTP/2, and is asked only where no flag wants that.
func tlsRow(l load, protocol string, flags, curlFlags []string, goals ...goal) row {
	return row{
		name:  fmt.Sprintf("fetch %v to tmpfs over %s", l, protocol),
		needs: []need{needNginx},
		goals: append(goals, goal{metric: traffic, bound: atMost(1.05)}),
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			if _, err := s.serve(ctx, l); err != nil {
				return nil, err
			}
			base, authority := s.web.secure, filepath.Join(s.web.dir, authorityFile)
			mine := s.dlfsFetch(l, base, s.mem, append(flags, "--cacert="+authority)...)
			all := []contestant{
				s.countedByNginx(mine, l),
				s.curlFetch(l, base, s.mem, append(curlFlags, "--cacert", authority)...),
			}
			if len(flags) == 0 {
				all = append(all, s.aria2cFetch(l, base, s.mem, "--ca-certificate="+authority))
			}
			return all, nil
		},
	}
}

// authorityFile has the certificate of nginx, which is its own authority, and keyFile its
// key. Both are in the directory of nginx.
const (
	authorityFile = "cert.pem"
	keyFile       = "key.pem"
)

// certify writes a certificate for an address without its port, and the key, into dir.
func certify(dir, ip string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dlfs-bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.ParseIP(ip)},
		IsCA:        true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(writePEM(dir, authorityFile, "CERTIFICATE", der), writePEM(dir, keyFile, "PRIVATE KEY", private))
}

// writePEM writes one block of PEM (RFC 7468) as the file name in dir.
func writePEM(dir, name, kind string, der []byte) error {
	var failed error
	_, err := write(dir, name, func(w io.Writer) { failed = pem.Encode(w, &pem.Block{Type: kind, Bytes: der}) })
	return errors.Join(failed, err)
}
