package origin

import (
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Times before and after these are taken for something else than an expiry.
var (
	firstExpiry = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
	lastExpiry  = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC).Unix()
)

// LastExpiry returns when the last of the URLs of one file stops being good, as
// [Expires] reads each; false if one of them does not say, or if there is none. The
// file can be fetched until then, because each URL stands in for the others.
func LastExpiry(urls []string) (last time.Time, ok bool) {
	for _, url := range urls {
		at, ok := Expires(url)
		if !ok {
			return time.Time{}, false
		}
		if at.After(last) {
			last = at
		}
	}
	return last, len(urls) > 0
}

// Expires returns when a signed URL stops being good, as its query says in one
// of the ways in use; false if it does not say. Where it says several times, the
// earliest counts. Nothing is asked of anyone, and a URL without a query costs
// next to nothing.
func Expires(rawURL string) (time.Time, bool) {
	_, query, ok := strings.Cut(rawURL, "?")
	if !ok {
		return time.Time{}, false
	}
	query, _, _ = strings.Cut(query, "#")
	var earliest int64
	believe := func(unix int64) {
		if unix >= firstExpiry && unix < lastExpiry && (earliest == 0 || unix < earliest) {
			earliest = unix
		}
	}
	var amz, goog signedFor
	for query != "" {
		var param string
		param, query, _ = strings.Cut(query, "&")
		name, value, _ := strings.Cut(param, "=")
		if amz.take("X-Amz-", name, value) || goog.take("X-Goog-", name, value) {
			continue
		}
		if parse := expiryParser(name); parse != nil {
			believe(parse(unescaped(value)))
		}
	}
	believe(amz.end())
	believe(goog.end())
	if earliest == 0 {
		return time.Time{}, false
	}
	return time.Unix(earliest, 0).UTC(), true
}

// expiryParser returns how to read the parameter's value as Unix seconds, which
// are 0 when it cannot be read so; nil if the name says nothing of expiry.
func expiryParser(name string) func(string) int64 {
	switch name {
	case "oe": // fbcdn
		return func(v string) int64 { return parseUnix(v, 16) }
	case "Expires": // CloudFront; S3 and Google before their version 4
		return func(v string) int64 { return parseUnix(v, 10) }
	case "se": // Azure: signed expiry
		return parseISO
	case "exp", "hdnts", "hdntl", "hdnea", "__token__": // Akamai
		return parseToken
	}
	return nil
}

// parseUnix reads seconds since 1970 in the given base, 0 for what is no such number.
func parseUnix(v string, base int) int64 {
	n, err := strconv.ParseUint(v, base, 40)
	if err != nil {
		return 0
	}
	return int64(n)
}

// parseISO reads the forms of ISO 8601 that Azure takes, in UTC.
func parseISO(v string) int64 {
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, v); err == nil {
			return t.Unix()
		}
	}
	return 0
}

// parseToken reads "st=1~exp=2~acl=/*~hmac=…", or what of it follows "exp=".
func parseToken(v string) int64 {
	first, _, _ := strings.Cut(v, "~")
	if n := parseUnix(first, 10); n != 0 {
		return n
	}
	for field := range strings.SplitSeq(v, "~") {
		if exp, ok := strings.CutPrefix(field, "exp="); ok {
			return parseUnix(exp, 10)
		}
	}
	return 0
}

// signedFor is a date of signing and for how many seconds from then on the
// signature is good.
type signedFor struct{ date, seconds string }

// take keeps the parameter if it is one of the two.
func (s *signedFor) take(prefix, name, value string) bool {
	if len(name) <= len(prefix) || !strings.EqualFold(name[:len(prefix)], prefix) {
		return false
	}
	switch name = name[len(prefix):]; {
	case strings.EqualFold(name, "Date"):
		s.date = value
	case strings.EqualFold(name, "Expires"):
		s.seconds = value
	}
	return true
}

// end returns when the signature ends, in seconds since 1970; 0 if the URL does not say so in
// a form that is understood.
func (s *signedFor) end() int64 {
	if s.date == "" || s.seconds == "" {
		return 0
	}
	date, err1 := time.Parse("20060102T150405Z", unescaped(s.date))
	seconds, err2 := strconv.ParseUint(unescaped(s.seconds), 10, 32)
	if err1 != nil || err2 != nil {
		return 0
	}
	return date.Unix() + int64(seconds)
}

// unescaped returns v as it is if it is escaped wrongly.
func unescaped(v string) string {
	if !strings.Contains(v, "%") {
		return v
	}
	if u, err := url.PathUnescape(v); err == nil {
		return u
	}
	return v
}
