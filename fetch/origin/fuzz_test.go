package origin

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
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
		next, err := x.next(false)
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

// FuzzCookies: a cookie goes to the host that its line names, to those below it if
// the line says so, and to no other host; what is wrong with a file is said without
// what is in it.
func FuzzCookies(f *testing.F) {
	f.Add("# c\nh.example\tFALSE\t/\tFALSE\t0\ta\t1\r\n#HttpOnly_.h.example\tTRUE\t/\tTRUE\t4102444800.5\tb\t2", "sub.h.example")
	f.Add("192.0.2.1\tFALSE\t/\tFALSE\t0\ta\t", "192.0.2.1")
	f.Add("[::1]:80\tTRUE\t/\tFALSE\t1e300\ta\t{\"b\": 1}\n.uk\tTRUE\t/\tFALSE\tNaN\ta\t1", "h.uk")
	f.Fuzz(func(t *testing.T, text, host string) {
		const secret = "CANARY7f3a"
		if _, _, err := LoadCookies(strings.NewReader(strings.ReplaceAll(text, "\t", "\t"+secret))); err != nil &&
			(strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("quotes the file: %q", err)
		}
		jar, _, err := LoadCookies(strings.NewReader(text))
		u, wrong := url.Parse("https://" + host + "/")
		if err != nil || wrong != nil || u.Hostname() != host || !isASCII(host) {
			return
		}
		for _, c := range jar.Cookies(u) {
			if !slices.ContainsFunc(strings.Split(text, "\n"), func(line string) bool { return mayGo(line, c, host) }) {
				t.Errorf("%s gets %s=%q of %q", host, c.Name, c.Value, text)
			}
		}
	})
}

// mayGo reports whether the cookie may be of this line of a cookies.txt, and go to
// the host.
func mayGo(line string, c *http.Cookie, host string) bool {
	f := strings.Split(strings.TrimPrefix(strings.TrimRight(line, "\r"), "#HttpOnly_"), "\t")
	if len(f) < 6 || f[5] != c.Name || len(f) == 7 && f[6] != c.Value {
		return false
	}
	u := url.URL{Host: f[0]}
	named := strings.Trim(strings.ToLower(u.Hostname()), ".")
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	return !isASCII(named) || // it is written otherwise in a URL
		host == named || strings.EqualFold(f[1], "TRUE") && strings.HasSuffix(host, "."+named)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

// FuzzFilename: what an origin calls a file is no path, and a name that needs no
// care arrives as it was sent. Browsers decode %XX and =?...?= in any name.
func FuzzFilename(f *testing.F) {
	for _, header := range []string{"", "attachment", "attachment; filename=\"a b.tar\"", "attachment; filename*=UTF-8''g%C3%BC; filename=g", "inline; filename=\"..\\\\..\\\\x\"",
		"attachment; filename*0=a; filename*1=b", "attachment; filename*=UTF-8''%2e%2e%2fx%00"} {
		f.Add(header, "x.tar")
	}
	f.Fuzz(func(t *testing.T, header, name string) {
		if got := fileNameOf(header); strings.ContainsAny(got, `/\`) {
			t.Errorf("%q is called %q", header, got)
		}
		if sent := mime.FormatMediaType("attachment", map[string]string{"filename": name}); sent != "" && !strings.ContainsAny(name, `/\%`) && !strings.Contains(name, "=?") && utf8.ValidString(name) {
			if got := fileNameOf(sent); got != name {
				t.Errorf("%q is called %q, want %q", sent, got, name)
			}
		}
	})
}

// FuzzAnswer has the origin answer with any bytes: first those, and then, asked
// again, what is right. Whatever is delivered of a file that is known must be
// its bytes, unless the answer's own header says that the bytes are these.
func FuzzAnswer(f *testing.F) {
	whole := string(content.Bytes()[:1000])
	for _, answer := range []string{
		"", "\r\n", okay, okay + "\r\n", okay + "Content-Length: 1000\r\n\r\n" + whole,
		partial + "Content-Range: bytes 0-999/1000\r\nETag: \"a\"\r\n\r\n" + whole,
		partial + "Content-Range: bytes 0-4/1000\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n" + whole[:5],
		partial + "Content-Range: bytes 100-999/1000\r\nETag: \"a\"\r\n\r\n" + whole[100:],
		okay + "Transfer-Encoding: chunked\r\n\r\n3e8\r\n" + whole + "\r\n0\r\nX: y\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: /b\r\nSet-Cookie: a=b\r\n\r\n", "HTTP/1.1 416 No\r\nContent-Range: bytes */5\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: " + strings.Repeat("a", 5000) + ":b\r\n\r\n",
		"HTTP/1.1 302 Found\r\nLocation: //" + strings.Repeat("a", 5000) + "/b\r\n\r\n",
		"HTTP/1.1 503 Busy\r\nRetry-After: 99999999999\r\n\r\n", "HTTP/1.1 103 Hints\r\n\r\nHTTP/1.0 200 OK\r\n\r\nabc",
		okay + "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(answer), true)
		f.Add([]byte(answer), false)
	}
	f.Fuzz(func(t *testing.T, answer []byte, pinned bool) {
		synctest.Test(t, func(t *testing.T) {
			o := new(rawOrigin)
			o.write = func(req *http.Request, w io.Writer) {
				if o.requests.Load()%3 != 0 {
					w.Write(answer)
					return
				}
				var first, last int
				if _, err := fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-%d", &first, &last); err != nil || first < 0 || last < first || last >= len(whole) {
					fmt.Fprintf(w, "%sETag: \"a\"\r\nContent-Length: %d\r\n\r\n%s", okay, len(whole), whole)
					return
				}
				fmt.Fprintf(w, "%sETag: \"a\"\r\nContent-Range: bytes %d-%d/%d\r\nContent-Length: %d\r\n\r\n%s", partial, first, last, len(whole), last-first+1, whole[first:last+1])
			}
			start := time.Now()
			var want *Version
			if pinned {
				want = &Version{Size: int64(len(whole)), ETag: `"a"`}
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			b, err := o.resource(t).Get(ctx, want, 0, 1000)
			var p []byte
			if err == nil {
				p, err = io.ReadAll(io.LimitReader(b, 1<<20))
				b.Close()
			}
			if ctx.Err() == nil {
				checkHostile(t, o, start, err)
			}
			if pinned && len(p) > len(whole) {
				t.Errorf("%d bytes of a file of %d", len(p), len(whole))
			}
			// Bytes that the answer brings itself are the origin's word; all others
			// must be right.
			if pinned && !bytes.Contains(bytes.ToLower(answer), []byte("http/")) && err == nil && string(p) != whole {
				t.Errorf("delivered %d bytes that are not the file's", len(p))
			}
		})
	})
}
