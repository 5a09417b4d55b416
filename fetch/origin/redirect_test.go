package origin

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

func TestRedirect(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.url = "http://user:password@list/start?token=1"
			to := origintest.Redirect(code, "http://cdn/a.tar?x=1").On("/start")
			seen := record(x.Origin, func(r *http.Request) string {
				_, _, auth := r.BasicAuth()
				return fmt.Sprintf("%s %s%s %s referer=%q auth=%t", r.Method, r.Host, r.RequestURI, r.Header.Get("Range"), r.Referer(), auth)
			})
			x.Inject(to)
			_, p, err := x.get(nil, 1000, 500)
			x.wantBytes(p, 500, err)
			want := []string{
				`GET list/start?token=1 bytes=1000-1499 referer="" auth=true`,
				`GET cdn/a.tar?x=1 bytes=1000-1499 referer="" auth=false`,
			}
			if got := seen.all(); !slices.Equal(got, want) {
				t.Errorf("%d: asked %q", code, got)
			}
			wantHit(t, to)

			v, head, err := x.resource().Probe(t.Context(), true)
			if v.Size != size || head != nil || err != nil {
				t.Errorf("HEAD: %v, %v", v, err)
			}
		})
	}
}

// Ten are followed, the eleventh is not.
func TestRedirectChain(t *testing.T) {
	for _, n := range []int{10, 11} {
		bubble(t, func(t *testing.T, x *fixture) {
			hop := make([]*origintest.Fault, n)
			for i := range hop {
				to := fmt.Sprintf("/hop%d", i+1)
				if i == n-1 {
					to = "/a.tar"
				}
				hop[i] = origintest.Redirect(302, to).On(fmt.Sprintf("/hop%d", i))
			}
			x.Inject(hop...)
			x.url = x.base + "/hop0"
			_, p, err := x.get(nil, 0, 100)
			if n == 10 {
				x.wantBytes(p, 100, err)
			} else if wantKind(t, err, Permanent); !strings.Contains(err.Error(), "more than 10 redirects") {
				t.Errorf("got %v", err)
			}
			x.wantRequests(11)
			wantHit(t, hop...)
		})
	}
}

// What a redirect may not do is refused once and for all, and said.
func TestRedirectRefused(t *testing.T) {
	tests := []struct {
		fault    *origintest.Fault
		requests int
		want     string
	}{
		{origintest.RedirectLoop(), 1, "redirects in a circle"},
		{origintest.Redirect(302, "ftp://cdn/a.tar"), 1, `redirect to scheme "ftp" refused`},
		{origintest.Redirect(302, "file:///etc/passwd"), 1, `redirect to scheme "file" refused`},
		{origintest.Redirect(302, "javascript:1"), 1, `redirect to scheme "javascript" refused`},
		{origintest.Redirect(302, strings.Repeat("a", 5000)+":b"), 1, `redirect to scheme "` + strings.Repeat("a", 30) + `" refused`},
		{origintest.Redirect(302, "http://"+strings.Repeat("a", 5000)+"/b"), 1, "redirect to a host whose name has 5000 bytes refused"},
		{origintest.Redirect(302, ""), 1, "origin answers 302 Found"},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(tt.fault)
			_, _, err := x.get(nil, 0, 100)
			if wantKind(t, err, Permanent); !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v: got %v", tt.fault, err)
			}
			x.wantRequests(tt.requests)
			wantHit(t, tt.fault)
		})
	}
}

// tlsOrigin serves o over TLS; trust has c accept its certificate.
func tlsOrigin(t *testing.T, o *origintest.Origin) (base string, trust func(*Client)) {
	hosttest.Need(t, hosttest.Loopback())
	s := httptest.NewUnstartedServer(o)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s.URL, func(c *Client) {
		ours := s.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		ours.NextProtos = nil
		c.http.Transport.(*http.Transport).TLSClientConfig = ours
	}
}

func TestRedirectHTTPS(t *testing.T) {
	secure := origintest.New()
	base, trust := tlsOrigin(t, secure)
	secure.Put("/a.tar", origintest.File{Content: content})

	x := overTCP(t)
	trust(x.c)
	up := origintest.Redirect(302, base+"/a.tar").On("/up")
	x.Inject(up)
	x.url = x.base + "/up"
	_, p, err := x.get(nil, 5, 100)
	x.wantBytes(p, 100, err)

	down := origintest.Redirect(302, x.base+"/a.tar").On("/down")
	secure.Inject(down)
	x.url = base + "/down"
	x.ResetCounts()
	_, _, err = x.get(nil, 5, 100)
	if wantKind(t, err, Permanent); !strings.Contains(err.Error(), "from https to http refused") {
		t.Errorf("got %v", err)
	}
	x.wantRequests(0)
	x.c.opts.AllowDowngrade = true
	_, p, err = x.get(nil, 5, 100)
	x.wantBytes(p, 100, err)
	wantHit(t, up, down)
}

// The same URL again is no circle while other cookies come with it.
func TestRedirectToItselfWithCookies(t *testing.T) {
	for cookies, want := range map[int]string{0: "in a circle", 1: "in a circle", 3: "", 9: ""} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.c.opts.Credentials.Jar = NewJar()
			for i := range cookies {
				has := fmt.Sprintf("step=%d", i)
				x.Inject(origintest.Status(302, "Location", x.url, "Set-Cookie", fmt.Sprintf("step=%d; Path=/", i+1)).When(func(r *http.Request) bool {
					return r.Header.Get("Cookie") == has || i == 0 && r.Header.Get("Cookie") == ""
				}))
			}
			if want != "" {
				x.Inject(origintest.RedirectLoop())
			}
			_, p, err := x.get(nil, 0, 100)
			if want == "" {
				x.wantBytes(p, 100, err)
			} else if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d cookies: %v", cookies, err)
			}
		})
	}
}

// An empty login in a URL is none, of net/http's too.
func TestEmptyLogin(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.url = "http://@origin/a.tar"
		logins := record(x.Origin, func(r *http.Request) string { return r.Header.Get("Authorization") })
		_, p, err := x.get(nil, 0, 100)
		x.wantBytes(p, 100, err)
		if got := logins.all(); len(got) != 1 || got[0] != "" {
			t.Errorf("sent %q", got)
		}
	})
}

// A signature is over the raw query: not a byte of it may change.
func TestRedirectKeepsRawQuery(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/dir/a b+ü%.tar", origintest.File{Content: content})
		to := origintest.RedirectSigned(302, "/dir/a b+ü%.tar", time.Minute).On("/start")
		signed := origintest.RequireSigned().On("/dir/*")
		x.Inject(to, signed)
		x.url = x.base + "/start"
		_, p, err := x.get(nil, 1000, 500)
		x.wantBytes(p, 500, err)
		if signed.Hits() != 0 {
			t.Errorf("refused: %v", x.Log())
		}
		wantHit(t, to)

		x.url = x.base + "/dir/a%20b+%C3%BC%25.tar?sig=other"
		_, _, err = x.get(nil, 0, 1)
		wantKind(t, err, Permanent)
		wantHit(t, signed)
	})
}

func TestRedirectKeepsBytes(t *testing.T) {
	tests := map[string]string{
		"?sig=a%2Fb+c~%c3%A9&x=%7e":        "sig=a%2Fb+c~%c3%A9&x=%7e",
		"?sig=\xc3\xa9\xff&y='\"<>|\\^`{}": "sig=%C3%A9%FF&y='%22%3C%3E%7C%5C%5E%60%7B%7D", // as browsers do
		"?a;b=1&&=%":                       "a;b=1&&=%25",
		"?a b":                             "a%20b",
		"?x#fragment":                      "x",
	}
	for location, want := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			to := origintest.Redirect(302, "/a.tar"+location).On("/start")
			x.Inject(to)
			x.url = x.base + "/start"
			for range 2 {
				_, p, err := x.get(nil, 0, 10)
				x.wantBytes(p, 10, err)
			}
			for _, r := range x.Log()[1:] {
				if r.Query != want {
					t.Errorf("%q: asked %q, want %q", location, r.Query, want)
				}
			}
			wantHit(t, to)
		})
	}
}

// An expired signature is renewed by the list's URL with each request.
func TestRedirectExpires(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := origintest.RedirectSigned(302, "/a.tar", time.Second).On("/start")
		pause := origintest.PauseAfter(1000, time.Minute)
		x.Inject(to, origintest.RequireSigned().On("/a.tar"), pause)
		x.url = x.base + "/start"
		_, p, err := x.get(nil, 0, 5000) // stalls, and resumes when the first signature is no good
		x.wantBytes(p, 5000, err)
		if to.Hits() < 2 {
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, pause)
	})
}

// Redirects without end, each to another place.
func TestRedirectsWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(rawOrigin)
		o.write = func(_ *http.Request, w io.Writer) {
			n := o.requests.Load()
			fmt.Fprintf(w, "HTTP/1.1 302 Found\r\nLocation: http://h%d/%d\r\nSet-Cookie: c%d=%s\r\nContent-Length: 0\r\n\r\n", n, n, n, strings.Repeat("x", 4000))
		}
		_, err := o.readSome(t)
		wantKind(t, err, Permanent)
		if n := o.requests.Load(); n != maxRedirects+1 {
			t.Errorf("%d requests", n)
		}
	})
}
