package origin

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// What goes where, over three hops from http://user:pw@list.
func TestHeadersStayWithTheirOrigin(t *testing.T) {
	mine := http.Header{
		"Authorization":   {"Bearer SECRET"},
		"Cookie":          {"session=SECRET"},
		"X-Api-Key":       {"SECRET"},
		"Referer":         {"http://list/SECRET"},
		"User-Agent":      {"SECRET-agent"},
		"Range":           {"bytes=5-6"},
		"Accept-Encoding": {"gzip"},
	}
	tests := []struct {
		hops [3]string // where each hop leads, but the last
		own  [3]bool   // whether it is the origin of the URL
	}{
		{[3]string{"http://list/two", "http://list/a.tar"}, [3]bool{true, true, true}},
		{[3]string{"/two", "a.tar"}, [3]bool{true, true, true}},
		{[3]string{"//LIST:80/two", "http://list:80/a.tar"}, [3]bool{true, true, true}},
		{[3]string{"http://list:8080/two", "http://list/a.tar"}, [3]bool{true, false, true}},
		{[3]string{"http://cdn/two", "http://cdn/a.tar"}, [3]bool{true, false, false}},
		{[3]string{"http://cdn/two", "http://list/a.tar"}, [3]bool{true, false, true}},
		{[3]string{"http://sub.list/two", "http://listed/a.tar"}, [3]bool{true, false, false}},
		{[3]string{"http://list.evil/two", "http://list@evil/a.tar"}, [3]bool{true, false, false}},
		{[3]string{"/two", "http://cdn/a.tar"}, [3]bool{true, true, false}},
	}
	for _, tt := range tests {
		for _, withHeader := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.hops, withHeader), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					x.url = "http://user:SECRET@list/one?token=SECRET"
					if withHeader {
						x.opts.Header = mine
					}
					first := origintest.Redirect(302, tt.hops[0]).On("/one")
					second := origintest.Redirect(307, tt.hops[1]).On("/two")
					x.Inject(first, second)
					seen := record(x.Origin, func(r *http.Request) string {
						if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("Range") != "bytes=1000-1499" {
							t.Errorf("asked with %v", r.Header)
						}
						return secretsOf(r)
					})
					_, p, err := x.get(nil, 1000, 500)
					x.wantBytes(p, 500, err)
					_, p, err = x.get(nil, 1000, 500) // to the target at once
					x.wantBytes(p, 500, err)
					all, none := "Authorization", ""
					if withHeader {
						all = "Authorization Cookie Referer User-Agent X-Api-Key"
					}
					var want []string
					for _, own := range append(tt.own[:], tt.own[2]) {
						if own {
							want = append(want, all)
						} else {
							want = append(want, none)
						}
					}
					if strings.Contains(tt.hops[1], "list@") { // is a user of its own
						want[2], want[3] = "Authorization", "Authorization"
					}
					if got := seen.all(); !slices.Equal(got, want) {
						t.Errorf("got %q, want %q", got, want)
					}
					wantHit(t, first, second)
				})
			})
		}
	}
}

// secretsOf lists the header fields of a request that tell something.
func secretsOf(r *http.Request) string {
	var told []string
	for name, values := range r.Header {
		if name == "Authorization" || strings.Contains(strings.Join(values, " "), "SECRET") {
			told = append(told, name)
		}
	}
	slices.Sort(told)
	return strings.Join(told, " ")
}

// A range is not the user's to set: it would be taken for the whole.
func TestRangeIsNotTheUsers(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.opts.Header = http.Header{"Range": {"bytes=5-6"}}
		_, p, err := x.getWhole(nil)
		x.wantBytes(p, size, err)
		x.wantRanges("")
	})
}

// A header Host is for its own origin, as curl has it.
func TestHostHeader(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.elsewhere()
		x.opts.Header = http.Header{"Host": {"virtual"}}
		seen := record(x.Origin, func(r *http.Request) string { return r.Host })
		_, p, err := x.get(nil, 0, 10)
		x.wantBytes(p, 10, err)
		if got := seen.all(); !slices.Equal(got, []string{"virtual", "cdn"}) {
			t.Errorf("asked %q", got)
		}
	})
}

// Requests that confirm or probe carry the same, and no more.
func TestHeadersOfEveryRequest(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.elsewhere()
		x.opts.Header = http.Header{"X-Api-Key": {"SECRET"}}
		seen := record(x.Origin, func(r *http.Request) string {
			return r.Method + " " + r.Host + " " + r.Header.Get("Range") + " " + secretsOf(r)
		})
		v, _, err := x.probe(true)
		if err != nil {
			t.Fatal(err)
		}
		x.Put("/a.tar", otherVersion)
		_, _, err = x.get(&v, 0, 10)
		wantKind(t, err, Changed)
		want := []string{
			"HEAD origin  X-Api-Key", "HEAD cdn  ",
			"GET origin bytes=0-9 X-Api-Key", "GET cdn bytes=0-9 ",
			"GET origin bytes=0-0 X-Api-Key", "GET cdn bytes=0-0 ",
			"GET origin bytes=0-0 X-Api-Key", "GET cdn bytes=0-0 ",
		}
		if got := seen.all(); !slices.Equal(got, want) {
			t.Errorf("asked %q", got)
		}
	})
}

// TestARequestIsTraced looks at the debug log of a request that is redirected: each hop is there,
// without what may be a secret.
func TestARequestIsTraced(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.log = slog.New(slog.NewTextHandler(&x.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		x.url = "http://user:CANARY@list/start?token=CANARY"
		to := origintest.Redirect(302, "http://cdn/CANARY/a.tar?sig=CANARY").On("/start")
		x.Put("/CANARY/a.tar", origintest.File{Content: content})
		slow := origintest.FirstByteAfter(3 * time.Second).On("/CANARY/a.tar")
		x.Inject(to, slow)
		_, p, err := x.get(nil, 1000, 500)
		x.wantBytes(p, 500, err)
		wantHit(t, to, slow)
		for _, want := range []string{
			`msg=request method=GET url=http://list/start?… host=list range="bytes=1000-1499" status=302 in=0s`,
			`msg=request method=GET url=http://list/start?… host=cdn range="bytes=1000-1499" status=206 in=3s`,
		} {
			if !strings.Contains(x.log.String(), want) {
				t.Errorf("no %s in the log:\n%s", want, x.log.String())
			}
		}
		if strings.Contains(x.log.String(), "CANARY") {
			t.Errorf("a secret is in the log:\n%s", x.log.String())
		}
	})
}
