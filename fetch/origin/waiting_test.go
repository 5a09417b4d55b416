package origin

import (
	"net/http"
	"strings"
	"sync"
	"testing"
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
