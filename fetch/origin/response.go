package origin

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxOffset is beyond any file.
const maxOffset = 1 << 62

// What a response to a GET means. examine follows this table from the top, verdictOf where
// it says so. "As Tries" is Options.Tries attempts in a row without progress.
//
//	status             header                     verdict               attempts
//	200, 206           Content-Encoding           Permanent             1 (or decoded: coding.go)
//	200                no Content-Range           the whole file
//	200, 206           a Content-Range that       the range
//	                   begins where it was asked
//	200, 206           any other Content-Range    NoRanges              1 + fewRetries
//	416                bytes */N, beyond N        there are no bytes
//	416                bytes */N, N has changed   Changed               confirmed first
//	416                bytes */N, inside N        Transient             1 + fewRetries
//	416                no length                  Permanent             1
//	verdictOf:
//	202, 403           Retry-After                Transient, waits      as Tries
//	401                WWW-Authenticate           NeedsURL              1 (Digest: digestauth.go)
//	403, 410                                      NeedsURL              1
//	404                                           NotFound              1
//	408, 425, 429                                 Transient, waits      as Tries
//	501, 505                                      Permanent             1
//	other 5xx                                     Transient, waits      as Tries
//	any other                                     Permanent             1
//
// Three things are asked for after a refusal by this table: the URL itself, if a target that
// it redirected to refuses (expired.go); a shorter range after 400, 416 and 501 (shorten);
// and the file without a range (plain.go).

// verdict is what a status means that brings no part of the file.
type verdict struct {
	kind  Kind
	waits bool // as long as Retry-After says
}

// verdictOf returns the verdict of a status that is none of 200, 206 and 416.
func verdictOf(status int, retryAfter bool) verdict {
	switch {
	case (status == http.StatusAccepted || status == http.StatusForbidden) && retryAfter:
		return verdict{Transient, true}
	case status == http.StatusUnauthorized, status == http.StatusForbidden, status == http.StatusGone:
		return verdict{NeedsURL, false}
	case status == http.StatusNotFound:
		return verdict{NotFound, false}
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return verdict{Transient, true}
	case status == http.StatusNotImplemented, status == http.StatusHTTPVersionNotSupported:
		return verdict{Permanent, false}
	case status >= 500:
		return verdict{Transient, true}
	}
	return verdict{Permanent, false}
}

// statusError is the error of a response whose status is none of 200, 206 and 416.
func statusError(resp *http.Response) *Error {
	code, wait := resp.StatusCode, after(resp)
	e := &Error{Kind: verdictOf(code, wait > 0).kind, Status: code, After: wait, Err: fmt.Errorf("origin answers %s", statusText(code))}
	switch code {
	case http.StatusUnauthorized:
		e.Err = fmt.Errorf("%w%s", e.Err, asksFor(resp))
	case http.StatusProxyAuthRequired:
		e.Err = fmt.Errorf("proxy answers %s; %s", statusText(code), proxyLogin)
	}
	return e
}

// statusText returns a status code with its standard phrase, as "404 Not Found", or the
// code alone if it has none.
func statusText(code int) string {
	return strings.TrimSpace(strconv.Itoa(code) + " " + http.StatusText(code))
}

// after is for how long the origin asks to be left alone, 0 if it does not or if that is of
// no use after its status.
func after(resp *http.Response) time.Duration {
	d := retryAfter(resp.Header.Get("Retry-After"), time.Now())
	if !verdictOf(resp.StatusCode, d > 0).waits {
		return 0
	}
	return d
}

// retryAfter parses a Retry-After value, seconds or a date (RFC 9110 section
// 10.2.3); 0 if there is none, or it does not parse, or is past. More seconds than 31 bits hold
// are as many as they do (RFC 9111 section 1.2.2).
func retryAfter(v string, now time.Time) time.Duration {
	if v == "" {
		return 0
	}
	if s, err := strconv.ParseInt(v, 10, 32); err == nil || errors.Is(err, strconv.ErrRange) {
		return max(0, time.Duration(s)*time.Second)
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// answer is what a response to a GET was found to be: the bytes [off, end) of
// version follow.
type answer struct {
	version  Version
	weak     string // weak entity tag; "" if there is none
	off, end int64
	whole    bool // a 200 without a range: the origin may not do ranges
}

// examine decides what a response to a GET of [off, end) is. end is exclusive;
// size is that of the pinned version, or UnknownSize. Whether the version is the
// pinned one is for check to say, except that a 416 may tell that it is not.
func examine(resp *http.Response, off, end, size int64) (a answer, err error) {
	h := resp.Header
	if isEncoded(resp) {
		return a, encodedError(resp)
	}
	a.version, a.weak = validators(h), weakTag(h)
	switch code := resp.StatusCode; {
	case code == http.StatusOK && h.Get("Content-Range") == "":
		a.version.Size, a.end, a.whole = resp.ContentLength, resp.ContentLength, true
		if resp.ContentLength < 0 {
			a.version.Size, a.end = UnknownSize, maxOffset
		}
	case code == http.StatusOK, code == http.StatusPartialContent: // some say 200 and send a range
		if err := a.partial(resp, off, end, size); err != nil {
			return a, &Error{Status: resp.StatusCode, Err: err, retry: retry{most: fewRetries, lasting: NoRanges}}
		}
	case code == http.StatusRequestedRangeNotSatisfiable:
		return a, a.unsatisfiable(h, off, size)
	default:
		return a, statusError(resp)
	}
	return a, nil
}

// partial reads the Content-Range of a 206, or of a 200 that has one. Only a
// body that starts exactly where it was asked to is data; it may be shorter than
// asked (RFC 9110 section 15.3.7), and what it has beyond is not read.
func (a *answer) partial(resp *http.Response, off, end, size int64) error {
	if t := resp.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(t), "multipart/byteranges") {
		return fmt.Errorf("answer to a single range is %q", t)
	}
	first, last, total, err := parseContentRange(resp.Header.Get("Content-Range"))
	if err != nil {
		return err
	}
	if total < 0 {
		if size == UnknownSize {
			return errors.New("answer does not say how long the file is")
		}
		total = size
	}
	if first != off {
		return fmt.Errorf("answer starts at byte %d where %d was asked for", first, off)
	}
	if n := resp.ContentLength; n >= 0 && n != last-first+1 {
		return fmt.Errorf("answer has %d bytes for a range of %d", n, last-first+1)
	}
	a.version.Size, a.off, a.end = total, first, min(last+1, end)
	return nil
}

// unsatisfiable makes sense of a 416, which carries the size: nothing is to be
// had of an empty file or beyond the end, and a file that got shorter has changed.
func (a *answer) unsatisfiable(h http.Header, off, size int64) error {
	text, ok := strings.CutPrefix(h.Get("Content-Range"), "bytes */")
	n, err := strconv.ParseUint(text, 10, 63)
	if !ok || err != nil {
		return &Error{Kind: Permanent, Status: http.StatusRequestedRangeNotSatisfiable, Err: errors.New("origin refuses the range and does not say how long the file is")}
	}
	a.version.Size = int64(n)
	if size != UnknownSize && size != a.version.Size {
		return changed("size", size, a.version.Size, a.version)
	}
	if off >= a.version.Size {
		return nil // on first contact, that is: pinned, nothing is asked there
	}
	return &Error{Status: http.StatusRequestedRangeNotSatisfiable, Err: fmt.Errorf("origin refuses a range inside the file's %d bytes", n), retry: retry{most: fewRetries}}
}

// parseContentRange parses the Content-Range of a 206: "bytes first-last/total"
// with 0 <= first <= last < total, where last is inclusive (RFC 9110 section
// 14.4). An unknown total, "*", is -1.
func parseContentRange(s string) (first, last, total int64, err error) {
	fail := func() (int64, int64, int64, error) {
		return 0, 0, 0, fmt.Errorf("answer has no usable Content-Range: %.80q", s)
	}
	unit, rest, ok := strings.Cut(s, " ")
	if !ok || !strings.EqualFold(unit, "bytes") {
		return fail()
	}
	span, size, ok := strings.Cut(rest, "/")
	if !ok {
		return fail()
	}
	a, b, ok := strings.Cut(span, "-")
	if !ok {
		return fail()
	}
	total = -1
	f, err1 := strconv.ParseUint(a, 10, 62)
	l, err2 := strconv.ParseUint(b, 10, 62)
	if err1 != nil || err2 != nil || f > l {
		return fail()
	}
	if size != "*" {
		t, err := strconv.ParseUint(size, 10, 62)
		if err != nil || l >= t {
			return fail()
		}
		total = int64(t)
	}
	return int64(f), int64(l), total, nil
}

// rangeHeader asks for [off, end), end exclusive. It is the one place where the
// inclusive ends of HTTP are made. An end beyond any file is not said.
func rangeHeader(off, end int64) string {
	if end >= maxOffset {
		return fmt.Sprintf("bytes=%d-", off)
	}
	return fmt.Sprintf("bytes=%d-%d", off, end-1)
}
