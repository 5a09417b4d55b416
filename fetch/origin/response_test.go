package origin

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestParseContentRange(t *testing.T) {
	good := []struct {
		s                  string
		first, last, total int64
	}{
		{"bytes 0-0/1", 0, 0, 1},
		{"bytes 0-99/100", 0, 99, 100},
		{"bytes 10-19/100", 10, 19, 100},
		{"bytes 10-19/*", 10, 19, -1},
		{"BYTES 10-19/20", 10, 19, 20},
		{"bytes 007-08/10", 7, 8, 10},
		{"bytes 0-4611686018427387902/4611686018427387903", 0, 1<<62 - 2, 1<<62 - 1},
	}
	for _, tt := range good {
		first, last, total, err := ParseContentRange(tt.s)
		if first != tt.first || last != tt.last || total != tt.total || err != nil {
			t.Errorf("%q: %d, %d, %d, %v", tt.s, first, last, total, err)
		}
	}
	bad := []string{
		"", " ", "bytes", "bytes ", "bytes */100", "bytes */*", "bytes 0-/1", "bytes -0/1", "bytes -/1", "bytes 0/1",
		"bytes 0-0", "bytes 0-0/", "bytes 0-0/ 1", "bytes 0 -0/1", "bytes 0- 0/1", "bytes  0-0/1", " bytes 0-0/1",
		"bytes 0-0/1 ", "bytes 1-0/2", "bytes 0-1/1", "bytes 5-5/5", "bytes 0-0/0", "bytes +0-0/1", "bytes 0-+0/1",
		"bytes -1-0/1", "bytes 0-0/-1", "bytes 0-0/+1", "bytes 0x0-0x0/1", "bytes 1_0-1_1/100", "bytes 0-0/1/1",
		"bytes 0-0-0/1", "bytes=0-0/1", "lines 0-0/1", "bytes 0-0/**", "bytes 0-1e3/10000", "bytes 0-0/1.5",
		"bytes 0-18446744073709551616/*", "bytes 0-9223372036854775807/*", "bytes 4611686018427387904-4611686018427387904/*",
		"bytes ٠-٠/١", "bytes 0-0/1, bytes 1-1/2", "bytes 0-0\x00/1",
	}
	for _, s := range bad {
		if first, last, total, err := ParseContentRange(s); err == nil {
			t.Errorf("%q: %d, %d, %d", s, first, last, total)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"", "bytes 0-0/1", "bytes 10-19/*", "bytes */5", "bytes 1-0/2", "bytes 0-18446744073709551615/*", "bytes=0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := ParseContentRange(s)
		if err != nil {
			if first != 0 || last != 0 || total != 0 {
				t.Errorf("%q: %d, %d, %d with %v", s, first, last, total, err)
			}
			return
		}
		if first < 0 || last < first || total != -1 && last >= total || last+1 <= last {
			t.Fatalf("%q: %d, %d, %d", s, first, last, total)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, total)
		if total == -1 {
			again = fmt.Sprintf("bytes %d-%d/*", first, last)
		}
		if a, b, c, err := ParseContentRange(again); a != first || b != last || c != total || err != nil {
			t.Errorf("%q, again as %q: %d, %d, %d, %v", s, again, a, b, c, err)
		}
	})
}

// Whatever the header says, an answer without an error is one that says it
// starts where it was asked to, and is of the pinned version.
func FuzzExamine(f *testing.F) {
	add := func(status int, contentRange string, length, off, n int64) {
		f.Add(status, length, contentRange, `"a"`, "date", "", "", off, n, true, int64(100), `"a"`, "date")
		f.Add(status, length, contentRange, `W/"a"`, "", "identity", "text/html", off, n, false, int64(0), "", "")
	}
	add(200, "", 100, 0, 100)
	add(200, "", -1, 0, 100)
	add(200, "bytes 10-19/100", 10, 10, 10)
	add(206, "bytes 10-19/100", 10, 10, 10)
	add(206, "bytes 10-99/100", 90, 10, 10)
	add(206, "bytes 10-19/*", -1, 10, 90)
	add(206, "bytes 0-99/100", 100, 10, 10)
	add(416, "bytes */100", 10, 100, 10)
	add(416, "bytes */0", 10, 0, 10)
	add(503, "", 10, 0, 10)
	f.Fuzz(func(t *testing.T, status int, length int64, contentRange, etag, date, encoding, kind string, off, n int64,
		pinned bool, size int64, wasTag, wasDate string) {
		if off < 0 || n <= 0 || off+n < 0 || size < 0 {
			return
		}
		end := off + n
		resp := &http.Response{StatusCode: status, ContentLength: max(length, -1), Header: http.Header{}}
		for key, value := range map[string]string{"Content-Range": contentRange, "ETag": etag, "Last-Modified": date,
			"Content-Encoding": encoding, "Content-Type": kind} {
			if value != "" {
				resp.Header.Set(key, value)
			}
		}
		var want *Version
		if pinned {
			want = &Version{Size: size, ETag: wasTag, LastModified: wasDate}
			if off >= size {
				return // never asked
			}
			end = min(end, size)
		}
		known := int64(UnknownSize)
		if pinned {
			known = size
		}
		a, err := examine(resp, off, end, known)
		if err == nil && pinned {
			err = want.check(a.version)
		}
		if err != nil {
			wantKind(t, err, KindOf(err))
			return
		}
		switch v := a.version; {
		case a.whole && (status != 200 || contentRange != "" || a.off != 0 || v.Size != resp.ContentLength || v.Size >= 0 && a.end != v.Size):
			t.Errorf("whole: %+v", a)
		case status == 416 && off < v.Size:
			t.Errorf("416: %+v", a)
		case !a.whole && status != 416 && (a.off != off || a.end <= off || a.end > end):
			t.Errorf("asked for [%d, %d), got %+v", off, end, a)
		case v.Size < 0 && !a.whole, status != 416 && !pinned && v.Size >= 0 && a.end > v.Size:
			t.Errorf("size: %+v", a)
		case encoding != "" && http.CanonicalHeaderKey(encoding) != "Identity":
			t.Errorf("encoded with %q", encoding)
		case pinned && v.Size >= 0 && v.Size != size,
			pinned && v.Size < 0 && wasTag+wasDate == "",
			pinned && validators(resp.Header).ETag != "" && wasTag != "" && etag != wasTag,
			pinned && v.ETag == "" && v.LastModified == "" && wasTag+wasDate != "":
			t.Errorf("pinned %+v, got %+v", want, a)
		}
		if want != nil {
			if m := want.merge(a.version); wasTag != "" && m.ETag != wasTag || wasDate != "" && m.LastModified != wasDate {
				t.Errorf("the pin drifts from %+v to %+v", want, m)
			}
		}
	})
}

func TestRedact(t *testing.T) {
	tests := map[string]string{
		"http://host/a.tar":                      "http://host/a.tar",
		"https://host:8443/a%20b":                "https://host:8443/a%20b",
		"http://user@host/a":                     "http://host/a",
		"http://user:password@host/a?sig=1#frag": "http://host/a?…",
		"http://host/a?":                         "http://host/a?…",
		"http://host/a?x=1&y=2":                  "http://host/a?…",
		"http://host/a#frag%20ment":              "http://host/a",
		"http://host?x":                          "http://host?…",
		"http://[::1]:80/":                       "http://[::1]:80/",
		"http:user:password@host/a":              "(unreadable URL)",
		"http://user:pass/word@host/":            "(unreadable URL)",
		"http://host/%zz?sig":                    "http://host/%25zz?…",
		"\x00":                                   "%00",
		"":                                       "",
	}
	for in, want := range tests {
		if got := Redact(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestHost(t *testing.T) {
	tests := map[string]string{
		"http://host/a":             "host",
		"http://user:pw@host:80/?x": "host:80",
		"https://[::1]:443/":        "[::1]:443",
		"http://host/%zz":           "host",
		"/path":                     "",
		"":                          "",
	}
	for in, want := range tests {
		if got := Host(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestRetryAfterValues(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                                0,
		"0":                               0,
		"1":                               time.Second,
		"-1":                              0,
		"1.5":                             0,
		" 1":                              0,
		"2147483647":                      2147483647 * time.Second,
		"2147483648":                      0,
		"Fri, 02 Jan 2026 03:04:15 GMT":   10 * time.Second,
		"Friday, 02-Jan-26 03:04:15 GMT":  10 * time.Second,
		"Fri Jan  2 03:04:15 2026":        10 * time.Second,
		"Fri, 02 Jan 2026 03:04:04 GMT":   0,
		"Fri, 02 Jan 2026 03:04:15 +0100": 0,
	}
	for in, want := range tests {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: got %v, want %v", in, got, want)
		}
	}
}
