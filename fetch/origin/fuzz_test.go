package origin

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// FuzzRetryAfter: whatever is asked for is a wait, and none is without end.
func FuzzRetryAfter(f *testing.F) {
	for _, v := range []string{"", "0", "120", "-1", "2147483647", "9223372036854775807", "1e9", "Wed, 21 Oct 2015 07:28:00 GMT",
		"Fri, 31 Dec 9999 23:59:59 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", " 5", "5 ", "٣"} {
		f.Add(v, int64(1_700_000_000))
	}
	f.Fuzz(func(t *testing.T, v string, now int64) {
		at := time.Unix(now%(1<<34), 0)
		d := retryAfter(v, at)
		if d < 0 {
			t.Fatalf("%q: %v", v, d)
		}
		if d > 0 && d > retryAfter(v, at.Add(-time.Second)) {
			t.Errorf("%q: %v, more than a second before", v, d)
		}
	})
}

var schemeForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*$`) // RFC 3986 section 3.1

// FuzzRedact: what is secret in a URL is not in what may be shown of it, nor is
// what a terminal obeys.
func FuzzRedact(f *testing.F) {
	f.Add("http", "user", "pass", "h:80", "/a/b.tar", "sig=x", "frag")
	f.Add("https", "", "a/b@c", "[::1]", "", "", "")
	f.Add("http", "%00", "?", "h", "//x?y#z", "%zz&;", "#")
	f.Add("HTTP", "\x1b[2J", "\u202e", "h", "/\x9b", "\n", "\x7f")
	f.Fuzz(func(t *testing.T, scheme, user, password, host, path, query, fragment string) {
		const secret = "CANARY7f3a"
		for _, part := range []string{scheme, host, path} {
			if strings.Contains(part, secret[:2]) {
				return
			}
		}
		if !schemeForm.MatchString(scheme) {
			return
		}
		// A password with a slash in it makes what follows the path: net/url and
		// every program after it take it so, and refuse it for its port, if at all.
		if strings.ContainsAny(user+password, "/?#\\") || strings.ContainsAny(scheme+host+path, "?#@") {
			return
		}
		raw := scheme + "://" + user + secret + ":" + secret + password + "@" + host + path + "?" + query + secret + "#" + secret + fragment
		got := Redact(raw)
		if strings.Contains(got, secret) {
			t.Fatalf("%q shows as %q", raw, got)
		}
		for _, c := range got {
			if c < ' ' || c == 0x7f {
				t.Errorf("%q shows %U", raw, c)
			}
		}
	})
}

// FuzzRedirect: what a Location leads to is a URL of HTTP with a host, and no
// step down from https.
func FuzzRedirect(f *testing.F) {
	for _, to := range []string{"", "/b", "//cdn/b", "http://cdn/b", "https://cdn/b?x=%2F", "ftp://x", "javascript:alert(1)", "http:///x",
		"http://u:p@h/", "\x1b", "http://[::1", "?", "#", "http://h:99999/", "http:opaque", "\\\\h\\x", "http://h/ a?b c"} {
		f.Add("http://origin/a.tar", to)
		f.Add("https://origin/a.tar", to)
	}
	f.Fuzz(func(t *testing.T, from, to string) {
		u, err := parse(from)
		if err != nil {
			return
		}
		x := &exchange{resp: &http.Response{StatusCode: 302, Header: http.Header{"Location": {to}}}, url: u}
		next, err := x.next()
		if err != nil {
			wantKind(t, err, Permanent)
			return
		}
		if next == nil {
			return
		}
		if next.Scheme != "http" && next.Scheme != "https" || next.Hostname() == "" || u.Scheme == "https" && next.Scheme != "https" {
			t.Errorf("%q leads from %q to %q", to, from, next)
		}
		if strings.Contains(next.RawQuery, " ") {
			t.Errorf("query %q", next.RawQuery)
		}
	})
}
