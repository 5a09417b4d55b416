package origin

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// isHandshake reports whether a TLS handshake failed in a way that will be the
// same each time. Of most of these errors crypto/tls exports nothing but the text.
func isHandshake(err error) bool {
	text := err.Error()
	if errors.As(err, new(*tls.CertificateVerificationError)) || errors.As(err, new(tls.RecordHeaderError)) {
		return false // explained elsewhere
	}
	return !strings.Contains(text, "bad record MAC") && !strings.Contains(text, "handshake timeout") &&
		(strings.HasPrefix(text, "tls: ") || strings.Contains(text, "remote error: tls: "))
}

// handshakeError says what of a handshake that failed can be known.
func handshakeError(u *url.URL, err error, offer string) *Error {
	text := err.Error()
	_, alert, _ := strings.Cut(text, "remote error: tls: ")
	var why string
	switch {
	case strings.Contains(alert, "certificate required"), strings.Contains(alert, "bad certificate"), strings.Contains(alert, "unknown certificate authority"):
		why = "wants a client certificate that it trusts; --cert and --key show one"
	case offer != "":
		why = "offers " + offer + ", which is no longer secure and dlfs does not speak; a proxy that does (--proxy), or an http:// URL, would help"
	case strings.Contains(alert, "unrecognized name"):
		why = "does not know that name; another host or port would help"
	default:
		why = "and dlfs agree on no way to speak TLS (" + text + "); a proxy that can (--proxy), or an http:// URL, would help"
	}
	return &Error{Err: &reason{"host " + u.Host + " " + why, err}, retry: retry{most: 1, lasting: Permanent}}
}

// wantsHTTPS is what servers answer to HTTP on a port that is for HTTPS.
var wantsHTTPS = regexp.MustCompile(`(?i)to (an )?HTTPS (server|port)|to an SSL-enabled server port`)

// speaksHTTPS returns the error for a host that answers plain HTTP with a TLS alert or
// a page about HTTPS. It is permanent: the list has to change.
func speaksHTTPS(host string) *Error {
	return refuse("host %s speaks HTTPS where HTTP was asked for; list its URL with https://", host)
}

// offerTimeout is how long a host may take to show what it offers.
const offerTimeout = 5 * time.Second

// offer returns what a host speaks that this program does not speak for being
// insecure, "" if that is not known. It makes one connection, over which nothing
// is asked.
func offer(ctx context.Context, t *http.Transport, u *url.URL) string {
	ctx, cancel := context.WithTimeout(ctx, offerTimeout)
	defer cancel()
	port := u.Port()
	if port == "" {
		port = "443"
	}
	conn, err := t.DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return ""
	}
	defer conn.Close()                                                                                      // nothing was written that matters
	config := &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS10, InsecureSkipVerify: true} // nothing is sent or believed
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		config.CipherSuites = append(config.CipherSuites, suite.ID)
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		return ""
	}
	state := secure.ConnectionState()
	return fmt.Sprintf("%s with %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
}
