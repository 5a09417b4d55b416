package origin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
)

// describe makes of any error one that callers may see: ctx's cause if ctx has
// ended, else an *Error of this Resource. host is who was asked.
func (r *Resource) describe(ctx context.Context, host string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var e *Error
	if !errors.As(err, &e) {
		e = explain(host, err)
	}
	if e.URL == "" {
		e.URL = r.URL()
	}
	return e
}

// explain says in one line why a request to host got no response, without the URL, and decides
// whether and how often trying again is of use. An error that it does not know is Transient, with
// the text it has.
func explain(host string, err error) *Error {
	var (
		in     *url.Error
		dns    *net.DNSError
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
	)
	if errors.As(err, &in) {
		err = in.Err // net/http and net/url print the URL
	}
	switch {
	case errors.As(err, &verify):
		return &Error{Kind: Permanent, Err: &reason{"certificate of " + host + " " + whyUntrusted(verify), err}}
	case errors.As(err, &dns) && outOfFiles(dns.Err) != nil:
		return &Error{Err: fmt.Errorf("host %s cannot be looked up: %w", dns.Name, outOfFiles(dns.Err))}
	case errors.As(err, &dns) && dns.IsNotFound:
		// Said of a name that does not exist, but also when the network is down.
		return &Error{Err: &reason{"host " + dns.Name + " is not known", err}, retry: retry{most: fewRetries}}
	case errors.As(err, &dns):
		return &Error{Err: &reason{"host " + dns.Name + " cannot be looked up: " + dns.Err, err}}
	case errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/":
		return &Error{Kind: Permanent, Err: &reason{"host " + host + " speaks HTTP where HTTPS was asked for; list its URL with http://", err}}
	case strings.Contains(err.Error(), `malformed HTTP response "\x15\x03`): // an alert of TLS
		return speaksHTTPS(host)
	case errors.As(err, &record):
		return &Error{Err: &reason{"host " + host + " does not speak TLS on that port", err}, retry: retry{most: 1, lasting: Permanent}}
	case strings.Contains(err.Error(), "response headers exceeded"):
		return &Error{Err: &reason{fmt.Sprintf("header of the answer of %s exceeded %d bytes, which is the limit", host, maxHeaderBytes), err}, retry: retry{most: 1, lasting: Permanent}}
	case isMalformed(err), strings.Contains(err.Error(), "malformed HTTP"):
		return &Error{Err: &reason{"answer of " + host + " is not HTTP: " + lastPart(err), err}, retry: retry{most: 1, lasting: Permanent}}
	case errors.Is(err, io.EOF): // which must never look like the end of a body
		return &Error{Err: &reason{"connection was closed without an answer", io.ErrUnexpectedEOF}}
	}
	return &Error{Err: err}
}

// lastPart is what an error of net/http says of an answer, cut short.
func lastPart(err error) string {
	text := err.Error()
	if _, after, ok := strings.Cut(text, "connection broken: "); ok {
		text = after
	}
	return fmt.Sprintf("%.100s", text)
}

var errBadLocation = errors.New("redirect to a URL that does not parse")

// whyUntrusted says in words why a certificate is not trusted, and what to do where a flag
// helps.
func whyUntrusted(err *tls.CertificateVerificationError) string {
	var (
		invalid x509.CertificateInvalidError
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
	)
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "is expired or not yet valid" // the package has one reason for both
	case errors.As(err, &name):
		return "is for another name"
	case errors.As(err, &unknown):
		return "is of an unknown authority; --cacert names one to trust"
	}
	return fmt.Sprintf("is not valid: %v", err.Err)
}

// reason is an error in other words.
type reason struct {
	text string
	err  error
}

func (r *reason) Error() string { return r.text }
func (r *reason) Unwrap() error { return r.err }
