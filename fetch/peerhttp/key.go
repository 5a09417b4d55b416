package peerhttp

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// minKey is how many bytes a key must have at least.
const minKey = 16

// Key is a secret that all machines of a group have. A process that has it may ask and answer.
type Key struct {
	cert   tls.Certificate
	public ed25519.PublicKey
	mac    []byte
}

// NewKey makes a key of the bytes of a secret, 16 at least. The same bytes make the same
// key on every machine.
func NewKey(secret []byte) (*Key, error) {
	if len(secret) < minKey {
		return nil, fmt.Errorf("the key has %d bytes and needs %d at least; make a longer one", len(secret), minKey)
	}
	seed, err := hkdf.Key(sha256.New, secret, nil, "dlfs peer certificate", ed25519.SeedSize)
	if err != nil {
		return nil, fmt.Errorf("derive the key of a certificate: %w", err)
	}
	mac, err := hkdf.Key(sha256.New, secret, nil, "dlfs peer request", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key of requests: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	k := &Key{public: private.Public().(ed25519.PublicKey), mac: mac}
	// Only the public key is looked at, so the certificate says nothing else and is
	// valid for as long as the format can say.
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dlfs peer"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.public, private)
	if err != nil {
		return nil, fmt.Errorf("make a certificate: %w", err)
	}
	k.cert = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
	return k, nil
}

// TLS returns how connections of both directions are secured: TLS 1.3, in which either
// side shows a certificate of this key and accepts no other.
func (k *Key) TLS() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{k.cert},
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true, // VerifyConnection does: there is no authority, and names do not matter
		VerifyConnection:   k.verify,
	}
}

var errOtherKey = errors.New("peer has another key; give all machines the same --peer-key file")

// verify refuses a machine whose certificate does not have the key of the group. Names and
// dates of the certificate do not matter.
func (k *Key) verify(state tls.ConnectionState) error {
	if len(state.PeerCertificates) == 0 {
		return errOtherKey
	}
	public, ok := state.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
	if !ok || !public.Equal(k.public) {
		return errOtherKey
	}
	return nil
}

const (
	signScheme = "Dlfs-Peer "

	// signedFor is how far the clocks of two machines may be apart.
	signedFor = 5 * time.Minute
)

// sign signs a request that goes over a connection that is not secured.
func (k *Key) sign(r *http.Request, now time.Time) {
	at := strconv.FormatInt(now.Unix(), 10)
	r.Header.Set("Authorization", signScheme+at+":"+k.macOf(r, at))
}

// Signed reports whether a request was signed with the key, lately.
func (k *Key) Signed(r *http.Request, now time.Time) bool {
	text, ok := strings.CutPrefix(r.Header.Get("Authorization"), signScheme)
	at, mac, ok2 := strings.Cut(text, ":")
	seconds, err := strconv.ParseInt(at, 10, 64)
	return ok && ok2 && err == nil && now.Sub(time.Unix(seconds, 0)).Abs() < signedFor && hmac.Equal([]byte(mac), []byte(k.macOf(r, at)))
}

// macOf is the code of what a request asks for.
func (k *Key) macOf(r *http.Request, at string) string {
	h := hmac.New(sha256.New, k.mac)
	for _, part := range []string{at, r.Method, r.URL.EscapedPath(), r.Header.Get("Range"), r.Header.Get("Cache-Control"), r.Header.Get(peerField), r.Header.Get(throughField)} {
		fmt.Fprintf(h, "%d:%s", len(part), part) // never fails (package hash)
	}
	return hex.EncodeToString(h.Sum(nil))
}
