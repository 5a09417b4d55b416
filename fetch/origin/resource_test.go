package origin

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// A range that is refused says nothing of the ranges of those who wait.
func TestRefusedRangeIsNotShared(t *testing.T) {
	for _, code := range []int{400, 501} {
		bubble(t, func(t *testing.T, x *fixture) {
			refused := origintest.Status(code).When(func(r *http.Request) bool { return r.Header.Get("Range") == "bytes=0-899999" })
			x.Inject(refused, origintest.FirstByteAfter(time.Second))
			var first sync.WaitGroup
			first.Go(func() { // awaited below
				_, p, err := x.get(nil, 0, 900_000) // not so long as to be cut
				x.wantBytes(p, size, err)           // asked for without a range
			})
			synctest.Wait()
			x.together(5, nil)()
			first.Wait()
			wantHit(t, refused)
		})
	}
}

// An origin that refuses long ranges is asked for shorter ones, from then on.
func TestLongRangesRefused(t *testing.T) {
	big := origintest.Content{Seed: 1, Size: 20 << 20}
	read := func(t *testing.T, x *fixture, want *Version) (int, error) {
		b, err := x.resource().Get(t.Context(), want, 0, big.Size)
		if err != nil {
			return 0, err
		}
		defer b.Close()
		var got [1 << 16]byte
		n := 0
		for int64(n) < big.Size {
			m, err := b.Read(got[:])
			if err != nil {
				return n, err
			}
			if err := big.Check(got[:m], int64(n)); err != nil {
				t.Fatal(err)
			}
			n += m
		}
		return n, nil
	}
	refusals := map[string]func() *origintest.Fault{
		"400": func() *origintest.Fault { return origintest.Status(400) },
		"501": func() *origintest.Fault { return origintest.Status(501) },
		"416": func() *origintest.Fault { return origintest.Status(416) },
		"416 with the size": func() *origintest.Fault {
			return origintest.Status(416, "Content-Range", fmt.Sprintf("bytes */%d", big.Size))
		},
		"400 of a target":      func() *origintest.Fault { return origintest.Status(400).On("/big") },
		"400 on first contact": func() *origintest.Fault { return origintest.Status(400) },
	}
	for name, refusal := range refusals {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Put("/big", origintest.File{Content: big})
				x.url = x.base + "/big"
				if name == "400 of a target" {
					x.Inject(origintest.Redirect(302, "http://cdn/big").On("/start"))
					x.url = x.base + "/start"
				}
				var want *Version
				if name != "400 on first contact" {
					want = x.pin()
				}
				refused := refusal().LongerThan(3 << 20)
				x.Inject(refused)
				if n, err := read(t, x, want); err != nil || int64(n) != big.Size {
					t.Fatalf("%d bytes, %v", n, err)
				}
				before := refused.Hits()
				if n, err := read(t, x, want); err != nil || int64(n) != big.Size || refused.Hits() != before {
					t.Errorf("again: %d bytes, %v, refused %d times more", n, err, refused.Hits()-before)
				}
				wantHit(t, refused)
			})
		})
	}
	bubble(t, func(t *testing.T, x *fixture) { // it was not the length
		x.Put("/big", origintest.File{Content: big})
		x.url = x.base + "/big"
		want := x.pin()
		refused := origintest.Status(400).Times(7) // the last time without a range
		x.Inject(refused)
		_, err := read(t, x, want)
		wantKind(t, err, Permanent)
		x.wantRequests(7)
		x.ResetCounts()
		_, err = read(t, x, want)
		if err != nil {
			t.Error(err)
		}
		x.wantRequests(1)
		wantHit(t, refused)
	})
}

func TestResourceNames(t *testing.T) {
	tests := []struct{ url, shown, host string }{
		{"http://user:pw@host:81/a.tar?sig=1", "http://host:81/a.tar?…", "host:81"},
		{"https://host/a.tar", "https://host/a.tar", "host"},
		{"http://[::1/", "(unreadable URL)", ""},
	}
	for _, tt := range tests {
		r := New(Options{}).Resource(tt.url, ResourceOptions{})
		if r.URL() != tt.shown || r.Host() != tt.host {
			t.Errorf("%s: %q, %q", tt.url, r.URL(), r.Host())
		}
	}
}

// A URL without a host that can be asked costs no request and no retry.
func TestUnusableURL(t *testing.T) {
	tests := map[string]string{
		"ftp://host/a.tar":    "neither http nor https",
		"file:///etc/passwd":  "neither http nor https",
		"/a.tar":              "neither http nor https",
		"":                    "neither http nor https",
		"http:///a.tar":       "no host",
		"http://:80/a.tar":    "no host",
		"http://[::1/a.tar":   "does not parse",
		"http://host:x/a.tar": "does not parse",
	}
	for url, want := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			x.url = url
			_, _, err := x.get(nil, 0, 10)
			_, _, err2 := x.getWhole(&Version{Size: 1})
			_, _, err3 := x.probe(true)
			for _, err := range []error{err, err2, err3} {
				if wantKind(t, err, Permanent); !strings.Contains(err.Error(), want) {
					t.Errorf("%q: got %v", url, err)
				}
			}
			x.wantRequests(0)
			if x.log.String() != "" {
				t.Errorf("logged %s", &x.log)
			}
		})
	}
}
