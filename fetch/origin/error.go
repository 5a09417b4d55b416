package origin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// Kind is what an error means for whoever asked.
type Kind int

const (
	Transient Kind = iota // may pass: retried Options.Tries times before it is returned
	Permanent             // the origin will not give these bytes, or not provably
	NotFound              // 404: there is no such file
	NeedsURL              // 401, 403, 410: the URL is not, or no longer, good
	Changed               // the origin has another version than the pinned one
	NoRanges              // the origin sends only whole files: use GetWhole
	NoLength              // the origin does not say how long the file is
)

// Error is why an origin could not be asked, or what was wrong with its answer.
// Its text holds no secret of the URL.
type Error struct {
	Kind   Kind
	URL    string        // redacted
	Status int           // 0 if there was no response
	After  time.Duration // what Retry-After asked for, else 0
	Err    error         // what was wrong
}

func (e *Error) Error() string {
	if e.URL == "" {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.URL, e.Err)
}

// Unwrap also yields what the retry library looks for to wait as long as the
// origin asked.
func (e *Error) Unwrap() []error {
	if e.After > 0 {
		return []error{e.Err, &backoff.RetryAfterError{Duration: min(e.After, maxRetryAfter)}}
	}
	return []error{e.Err}
}

// Is makes errors.Is(err, &Error{Kind: k}) a test for the kind alone.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Err == nil && t.Kind == e.Kind
}

// KindOf returns the kind of the first *Error in err's tree; any other error is
// Transient.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Transient
}

// transient reports whether err may pass by itself. It is not asked about the
// end of the caller's context, and does not look for it in err: the timeouts of
// package net say that they are context.DeadlineExceeded too.
func transient(err error) bool {
	var verify *tls.CertificateVerificationError
	return !errors.As(err, &verify) && KindOf(err) == Transient
}

// statusError says what a status means that is neither 200 nor 206.
func statusError(resp *http.Response) *Error {
	e := &Error{Status: resp.StatusCode, Err: fmt.Errorf("origin answers %s", statusText(resp.StatusCode))}
	switch code := resp.StatusCode; {
	case code == http.StatusNotFound:
		e.Kind = NotFound
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusGone:
		e.Kind = NeedsURL
	case code == http.StatusRequestTimeout || code == http.StatusTooEarly || code == http.StatusTooManyRequests,
		code >= 500 && code != http.StatusNotImplemented && code != http.StatusHTTPVersionNotSupported:
		e.After = retryAfter(resp.Header.Get("Retry-After"), time.Now())
	default:
		e.Kind = Permanent
	}
	return e
}

func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// retryAfter parses a Retry-After value, seconds or a date (RFC 9110 section
// 10.2.3); 0 if there is none, or it does not parse, or is past.
func retryAfter(v string, now time.Time) time.Duration {
	if s, err := strconv.ParseInt(v, 10, 32); err == nil {
		return max(0, time.Duration(s)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// withoutURL strips the URL that net/http and net/url print in their errors.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	if strings.HasPrefix(err.Error(), "failed to parse Location header") { // and quotes it
		return errors.New("redirect to a URL that does not parse")
	}
	return err
}

// Redact returns a URL that may be shown: without credentials, and with its
// query, where signatures stand, replaced by an ellipsis.
func Redact(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil || u.Opaque != "" { // "http:user:password@host" is opaque
		return "(unreadable URL)"
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" || u.ForceQuery {
		u.RawQuery, u.ForceQuery = "", false
		return u.String() + "?…"
	}
	return u.String()
}
