package origin

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// Some hosts say 403 to who asks too often, or 202 while a file is made ready.
func TestRetryAfterOfOtherStatuses(t *testing.T) {
	for _, code := range []int{403, 408, 202, 429, 502, 503} {
		for _, redirected := range []bool{false, true} {
			bubble(t, func(t *testing.T, x *fixture) {
				if redirected {
					x.Inject(origintest.Redirect(302, "http://cdn/a.tar").On("/start"))
					x.url = x.base + "/start"
				}
				busy := origintest.Status(code, "Retry-After", "60").On("/a.tar").Times(2)
				x.Inject(busy)
				start := time.Now()
				_, p, err := x.get(nil, 0, 1000)
				x.wantBytes(p, 1000, err)
				if d := time.Since(start); d < 2*time.Minute || d > 2*time.Minute+2*maxHostJitter+2*time.Second {
					t.Errorf("%d: %v", code, d)
				}
				wantHit(t, busy)
			})
		}
	}
	for _, value := range []string{"", "0", "soon", "-1"} { // no word to wait
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(origintest.Status(http.StatusForbidden, "Retry-After", value))
			_, _, err := x.get(nil, 0, 1000)
			wantKind(t, err, NeedsURL)
		})
	}
}

// A long wait is told when it begins, once, and seen while it lasts.
func TestWaitingIsTold(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.MaxWait, x.c.gate.maxPause = 2*time.Minute, 2*time.Minute
		busy := origintest.Status(429, "Retry-After", "3600").Times(3)
		x.Inject(busy)
		var gets sync.WaitGroup
		for range 3 {
			gets.Go(func() { // awaited below
				_, p, err := x.get(nil, 0, 1000)
				x.wantBytes(p, 1000, err)
			})
		}
		advance(time.Second) // the wait of a failed attempt
		if n := strings.Count(x.log.String(), "asks to be left alone"); n != 1 {
			t.Errorf("told %d times: %s", n, &x.log)
		}
		if p := x.c.Pauses(); len(p) != 1 || p[0].Host != "origin" || time.Until(p[0].Until) < time.Minute {
			t.Errorf("paused: %v", p)
		}
		start := time.Now()
		gets.Wait()
		if d := time.Since(start); d < 2*time.Minute || d > 3*(2*time.Minute+maxHostJitter)+time.Minute {
			t.Errorf("took %v", d)
		}
		if p := x.c.Pauses(); len(p) != 0 {
			t.Errorf("paused: %v", p)
		}
		wantHit(t, busy)
	})
	bubble(t, func(t *testing.T, x *fixture) { // a short one is not worth a word
		x.Inject(origintest.Status(503, "Retry-After", "5").Times(1))
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		if strings.Contains(x.log.String(), "left alone") {
			t.Errorf("told %s", &x.log)
		}
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

func TestRetryAfterHoldsEveryoneAtTheGate(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, time.Minute: time.Minute, 5 * time.Hour: DefaultMaxWait,
	} {
		synctest.Test(t, func(t *testing.T) {
			var g gate
			first := tickets(t, &g, 4)
			first[0].busy(asked)
			first[1].busy(asked / 2) // shortens nothing
			start := time.Now()
			for _, ticket := range first {
				ticket.leave()
			}
			for _, urgent := range []bool{true, false} {
				ticket, err := g.enter(urgently(t.Context(), urgent), "h", nil)
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got < want || got > want+maxHostJitter {
					t.Errorf("entered after %v, want about %v", got, want)
				}
				ticket.leave()
			}
			if ticket, err := g.enter(t.Context(), "other", nil); err != nil {
				t.Error(err)
			} else {
				ticket.leave()
			}
		})
	}
}
