package origin

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// However many meet an expired target, one asks for another.
func TestExpiredTargetIsRenewedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to, check := x.signed(time.Minute)
		for range 5 {
			x.together(20, nil)()
			advance(time.Minute)
		}
		if to.Hits() != 5 {
			t.Errorf("%d redirects", to.Hits())
		}
		if n := check.Hits(); n < 4 || n > 4*(20+1) { // a refusal is doubted once
			t.Errorf("%d refusals", n)
		}
		if x.log.String() != "" {
			t.Errorf("logged %s", &x.log)
		}
	})
}

func TestEveryRefusalOfATargetIsAnExpiry(t *testing.T) {
	for _, code := range []int{400, 401, 403, 404, 410} {
		bubble(t, func(t *testing.T, x *fixture) {
			to := x.elsewhere()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			refusal := origintest.Status(code).On("/a.tar").Times(1)
			x.Inject(refusal)
			_, p, err = x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			x.wantAsked(map[string]int{"/start": 2, "/a.tar": 3})
			wantHit(t, to, refusal)
		})
	}
}

// After two re-resolves that brought nothing the status is believed; so it is
// at once the next time.
func TestRefusalIsBelieved(t *testing.T) {
	kinds := map[int]Kind{400: Permanent, 401: NeedsURL, 403: NeedsURL, 410: NeedsURL, 404: NotFound}
	for code, kind := range kinds {
		bubble(t, func(t *testing.T, x *fixture) {
			to := x.elsewhere()
			refusal := origintest.Status(code).On("/a.tar")
			x.Inject(refusal)
			_, _, err := x.get(nil, 0, 1000)
			if e := wantKind(t, err, kind); e.Status != code || !strings.Contains(err.Error(), "redirected to cdn: origin answers") {
				t.Errorf("status %d: %v", e.Status, err)
			}
			want, once := 3, 1
			if mayMeanTheRange(code) { // asked without a range, too
				want, once = want+1, once+1
			}
			if to.Hits() != want {
				t.Errorf("%d: %d redirects", code, to.Hits())
			}
			_, _, err = x.get(nil, 0, 1000)
			wantKind(t, err, kind)
			if to.Hits() != want+once {
				t.Errorf("%d: %d redirects", code, to.Hits())
			}

			x.Clear() // and then it passes
			x.elsewhere()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			wantHit(t, refusal)
		})
	}
}

// The many share the outcome: a refused file costs no request for each.
func TestRefusalIsShared(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		refusal := origintest.Status(403).On("/a.tar")
		slow := origintest.FirstByteAfter(time.Second)
		x.Inject(refusal, slow)
		var flights sync.WaitGroup
		for range 20 {
			flights.Go(func() { // awaited below
				_, _, err := x.get(nil, 0, 1000)
				wantKind(t, err, NeedsURL)
			})
		}
		flights.Wait()
		if to.Hits() != 4 { // the last one without a range
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, refusal, slow)
	})
}

// So is a failure: no caller that waited tries the same at once.
func TestFailureIsShared(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Tries = 1
		dials := 0
		x.dial(func(dialer) dialer {
			return func(context.Context, string, string) (net.Conn, error) {
				dials++
				advance(time.Second)
				return nil, io.ErrClosedPipe
			}
		})
		var flights sync.WaitGroup
		for range 20 {
			flights.Go(func() { // awaited below
				_, _, err := x.get(nil, 0, 1000)
				wantKind(t, err, Transient)
			})
		}
		flights.Wait()
		if dials != 1 {
			t.Errorf("%d connections", dials)
		}
	})
}

// The bytes of a body that began before the trouble are no progress either.
func TestOldBodyIsNoProgress(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		b, err := x.resource().Get(t.Context(), nil, 0, size)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		refusal := origintest.Status(403).On("/a.tar")
		x.Inject(refusal)
		for i := range 5 {
			_, _, err = x.get(nil, 0, 1000)
			wantKind(t, err, NeedsURL)
			if want := 1 + 2 + i; to.Hits() != want {
				t.Errorf("%d redirects, want %d", to.Hits(), want)
			}
			if _, err := b.Read(make([]byte, 10)); err != nil {
				t.Error(err)
			}
		}
		wantHit(t, refusal)
	})
}

// Headers are no progress: a target that gives no byte is no good.
func TestHeadersAreNoProgress(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Tries = 50
		to := x.elsewhere()
		empty := origintest.CutAfter(0).On("/a.tar")
		refusal := origintest.Status(403).On("/a.tar").Every(2)
		x.Inject(empty, refusal)
		_, _, err := x.get(nil, 0, 1000)
		wantKind(t, err, NeedsURL)
		if to.Hits() > 4 {
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, empty, refusal)
	})
}

// Bytes are: a file of any length is read with signatures of any life.
func TestProgressRenews(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to, check := x.signed(10 * time.Second)
		short := origintest.ShortRange(10_000)
		slow := origintest.FirstByteAfter(4 * time.Second).On("/a.tar")
		x.Inject(short, slow)
		_, p, err := x.get(nil, 0, size)
		x.wantBytes(p, size, err)
		if to.Hits() < 5 {
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, check, short, slow)
	})
}

// What the URL itself says needs no second opinion.
func TestRefusalOfTheURLItself(t *testing.T) {
	for code, kind := range map[int]Kind{401: NeedsURL, 403: NeedsURL, 410: NeedsURL, 404: NotFound} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.elsewhere()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			x.Clear()
			gone := origintest.Status(code)
			x.Inject(gone)
			x.ResetCounts()
			_, _, err = x.get(nil, 0, 1000)
			wantKind(t, err, kind)
			x.wantAsked(map[string]int{"/a.tar": 1, "/start": 1})
			wantHit(t, gone)
		})
	}
}

// A signature may not be good in its first second.
func TestFreshTarget(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		early := origintest.Status(400).On("/a.tar").Times(1)
		x.Inject(early)
		start := time.Now()
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassed(t, start, time.Second)
		x.wantAsked(map[string]int{"/start": 1, "/a.tar": 2})
		wantHit(t, to, early)
	})
}
