package origin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// Errors and redirects cost no connection, unless their bodies are long.
func TestErrorsKeepTheConnection(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.elsewhere()
		busy := origintest.Status(500).Times(5)
		x.Inject(busy)
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		if got := x.Counts().Conns; got != 2 { // one to each host
			t.Errorf("%d connections", got)
		}
		wantHit(t, busy)
	})
	for _, body := range []int{maxDrain - 1, 10 << 20} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			x := handlerFixture(t, func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					w.Header().Set("Content-Length", fmt.Sprint(body))
					w.WriteHeader(500)
					w.Write(make([]byte, body))
					return
				}
				serveRange(w, r)
			})
			conns := x.countDials()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			want := 1
			if body > maxDrain {
				want = 2
			}
			if *conns != want || n != 2 {
				t.Errorf("%d connections for %d bytes, %d requests", *conns, body, n)
			}
		})
	}
}

// An error's body that does not come is not waited for.
func TestErrorBodyStalls(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		gone, stall := origintest.Status(404), origintest.StallAfter(3)
		x.Inject(gone, stall)
		start := time.Now()
		_, _, err := x.get(nil, 0, 1000)
		wantKind(t, err, NotFound)
		wantPassed(t, start, 2*endWait) // with a range and without
		wantHit(t, gone, stall)
	})
}

// countDials counts the connections made from now on.
func (x *fixture) countDials() *int {
	dials := new(int)
	x.dial(func(next dialer) dialer {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			*dials++
			return next(ctx, network, addr)
		}
	})
	return dials
}

// The Retry-After of a target holds the target's host, not the URL's.
func TestRetryAfterOfATarget(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		busy := origintest.Status(503, "Retry-After", "60").On("/a.tar").Times(1)
		x.Inject(busy)
		x.c.opts.Tries = 1
		_, _, err := x.get(nil, 0, 1000)
		wantKind(t, err, Transient)

		start := time.Now()
		x.url = x.base + "/a.tar"
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassed(t, start, 0)

		x.url = x.base + "/start"
		_, p, err = x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassedAbout(t, start, time.Minute)
		wantHit(t, to, busy)
	})
}

// That of a HEAD counts too.
func TestRetryAfterOfHead(t *testing.T) {
	for _, code := range []int{429, 503} {
		bubble(t, func(t *testing.T, x *fixture) {
			busy := origintest.Status(code, "Retry-After", "60").Method("HEAD")
			x.Inject(busy)
			start := time.Now()
			v, _, err := x.probe(true)
			if v.Size != size || err != nil {
				t.Errorf("got %v, %v", v, err)
			}
			wantPassedAbout(t, start, time.Minute)
			wantHit(t, busy)
		})
	}
}

func TestUnusableAnswers(t *testing.T) {
	for _, fault := range []*origintest.Fault{
		origintest.WrongContentRange(""), origintest.WrongContentRange("bytes 7-8/9"), origintest.Multipart(),
		origintest.WholeAs206(), origintest.ShiftRange(1), origintest.WideRange(1, 0), origintest.CompleteLength("x"),
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(fault)
			_, _, err := x.get(nil, 1000, 1000)
			wantKind(t, err, NoRanges)
			x.wantRequests(4)

			_, p, err := x.get(nil, 0, 1000)      // who has nothing yet takes all of it
			if len(p) != 1000 && len(p) != size { // if the fault has nothing to change there
				t.Errorf("got %d bytes", len(p))
			}
			x.wantBytes(p, int64(len(p)), err)
			wantHit(t, fault)
		})
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.Status(502).Every(2), origintest.ShiftRange(1))
		_, _, err := x.get(nil, 1000, 1000)
		wantKind(t, err, Transient)
		x.wantRequests(12)
	})
}

// Tiny legal answers are taken, but not as fast as they come.
func TestDrip(t *testing.T) {
	tests := []struct {
		answer int64
		want   time.Duration
	}{
		{1000, (20 - 3) * 500 * time.Millisecond},
		{20_000, 0},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			short := origintest.ShortRange(tt.answer)
			x.Inject(short)
			start := time.Now()
			_, p, err := x.get(nil, 0, 20_000)
			x.wantBytes(p, 20_000, err)
			wantPassed(t, start, tt.want)
			if tt.answer < 20_000 {
				wantHit(t, short)
			}
		})
	}
	bubble(t, func(t *testing.T, x *fixture) { // long ones cost nothing
		big := origintest.Content{Seed: 1, Size: 10 * shortAnswer}
		x.Put("/big", origintest.File{Content: big})
		x.url = x.base + "/big"
		short := origintest.ShortRange(shortAnswer)
		x.Inject(short)
		start := time.Now()
		b, err := x.resource().Get(t.Context(), nil, 0, big.Size)
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(b)
		x.wantBytes(p, big.Size, err)
		wantPassed(t, start, 0)
		wantHit(t, short)
	})
}

// What cannot be asked for is said, and not asked.
func TestNoBytesOnFirstContact(t *testing.T) {
	for _, e := range []struct{ off, n int64 }{{0, 0}, {5, 0}, {0, -1}, {-1, 5}} {
		bubble(t, func(t *testing.T, x *fixture) {
			_, _, err := x.get(nil, e.off, e.n)
			wantKind(t, err, Permanent)
			x.wantRequests(0)
		})
	}
}

// A URL nobody can be asked by costs no request and no retry.
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
