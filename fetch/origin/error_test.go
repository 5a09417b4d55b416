package origin

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

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
		"2147483648":                      2147483647 * time.Second,
		"99999999999999999999999":         2147483647 * time.Second,
		"-99999999999999999999999":        0,
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

const canary = "CANARY"

// Neither an error nor the log tells what a URL keeps secret.
func TestSecrets(t *testing.T) {
	const secretURL = "http://user" + canary + ":pass" + canary + "@origin/a.tar?sig=" + canary + "#" + canary
	to := func(location string) *origintest.Fault { return origintest.Redirect(302, location) }
	tests := []struct {
		url   string
		fault *origintest.Fault
	}{
		{secretURL, origintest.Status(403)},
		{secretURL, origintest.Status(404)},
		{secretURL, origintest.Status(500)},
		{secretURL, origintest.Status(429, "Retry-After", "1")},
		{secretURL, origintest.Status(416)},
		{secretURL, origintest.CutAfter(-1)},
		{secretURL, origintest.CutAfter(0)},
		{secretURL, origintest.StallAfter(-1)},
		{secretURL, origintest.StallAfter(0)},
		{secretURL, origintest.WrongContentRange("bytes 1-2/3")},
		{secretURL, origintest.Gzip()},
		{secretURL, origintest.Multipart()},
		{secretURL, origintest.NoLength()},
		{secretURL, origintest.RotateETag()},
		{secretURL, origintest.RedirectLoop()},
		{secretURL, to("http://u:" + canary + "@cdn/b.tar?" + canary)},
		{secretURL, to("ftp://u:" + canary + "@cdn/b.tar?" + canary)},
		{secretURL, to("http://cdn/%zz?" + canary)},
		{secretURL, to("http://cdn:" + canary + "/b.tar")},
		{secretURL, to("http://u:" + canary + "/x@cdn/b.tar")},
		{secretURL, to("http:///b.tar?" + canary)},
		{secretURL, to("//u:" + canary + "@[::1/b.tar")},
		{"http://user:" + canary + "/word@origin/a.tar", nil}, // a password with a slash
		{"http:user:" + canary + "@origin/a.tar", nil},        // opaque
		{"user:" + canary + "@origin/a.tar", nil},
		{"http://origin/%zz?sig=" + canary, nil},
		{"http://[::1/a.tar?sig=" + canary, nil},
		{"http://origin:port/a.tar?sig=" + canary, nil},
		{"http://ori gin/?sig=" + canary, nil},
		{"http:///a.tar?sig=" + canary, nil},
		{"ftp://user:" + canary + "@origin/a.tar?" + canary, nil},
		{"http://user:" + canary + "@origin/\x7f", nil},
		{"\x00http://" + canary, nil},
		{"", nil},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.url, tt.fault), func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.url = tt.url
				if tt.fault != nil {
					x.Inject(tt.fault, origintest.ShortRange(100))
					defer wantHit(t, tt.fault)
				}
				_, _, err := x.get(nil, 0, 1000)
				if err == nil { // it was taken in good part
					err = errors.New("none")
				}
				wantNoSecret(t, x, err)
				_, _, err = x.resource().Probe(t.Context(), true)
				if err != nil {
					wantNoSecret(t, x, err)
				}
			})
		})
	}
}

// wantNoSecret checks every error in the tree, and the log.
func wantNoSecret(t *testing.T, x *fixture, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), x.log.String()} {
		if strings.Contains(text, canary) {
			t.Errorf("told: %s", text)
		}
	}
	if inner, ok := err.(interface{ Unwrap() []error }); ok {
		for _, err := range inner.Unwrap() {
			if strings.Contains(err.Error(), canary) {
				t.Errorf("wrapped: %v", err)
			}
		}
	}
}

func TestSecretsOverTCP(t *testing.T) {
	secret := func(base string) string {
		return strings.Replace(base, "://", "://user:"+canary+"@", 1) + "/a.tar?sig=" + canary
	}
	closed := "http://" + closedPort(t)
	secure, _ := tlsOrigin(t, origintest.New())
	plain := overTCP(t)

	tests := map[string]struct {
		base string
		kind Kind
	}{
		"refused":            {closed, Transient},
		"unknown authority":  {secure, Permanent},
		"TLS to plain HTTP":  {strings.Replace(plain.base, "http:", "https:", 1), Permanent},
		"plain HTTP to TLS":  {strings.Replace(secure, "https:", "http:", 1), Permanent}, // 400
		"redirect to closed": {plain.base + "/closed", Transient},
	}
	plain.Inject(origintest.Redirect(302, secret(closed)).On("/closed/*"))
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			x := &fixture{t: t, c: plain.c}
			x.c.opts.Tries, x.c.opts.RetryWait = 2, time.Millisecond
			_, err := x.c.Resource(secret(tt.base), ResourceOptions{}).Get(t.Context(), nil, 0, 1000)
			wantKind(t, err, tt.kind)
			wantNoSecret(t, plain, err)
		})
	}
}

func TestErrorText(t *testing.T) {
	e := &Error{Kind: NotFound, Err: errors.New("origin answers 404 Not Found")}
	if got := e.Error(); got != "origin answers 404 Not Found" {
		t.Error(got)
	}
	e.URL = "http://h/x"
	if got := e.Error(); got != "http://h/x: origin answers 404 Not Found" {
		t.Error(got)
	}
	wrapped := fmt.Errorf("a.tar: %w", e)
	if KindOf(wrapped) != NotFound || !errors.Is(wrapped, &Error{Kind: NotFound}) || errors.Is(wrapped, &Error{Kind: Changed}) {
		t.Errorf("kind %d", KindOf(wrapped))
	}
	if KindOf(errors.New("x")) != Transient || KindOf(nil) != Transient {
		t.Error("kind of another error")
	}
}
