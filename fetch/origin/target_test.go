package origin

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// signed has /start redirect to /a.tar with a signature that is good for life.
func (x *fixture) signed(life time.Duration) (to, check *origintest.Fault) {
	to = origintest.RedirectSigned(302, "/a.tar", life).On("/start")
	check = origintest.RequireSigned().On("/a.tar")
	x.Inject(to, check)
	x.url = x.base + "/start"
	return to, check
}

// elsewhere has /start redirect to /a.tar of another host.
func (x *fixture) elsewhere() *origintest.Fault {
	to := origintest.Redirect(302, "http://cdn/a.tar?x=1").On("/start")
	x.Inject(to)
	x.url = x.base + "/start"
	return to
}

// wantAsked checks how often paths were asked for.
func (x *fixture) wantAsked(want map[string]int) {
	x.t.Helper()
	got := map[string]int{}
	for path, n := range x.Counts().Paths {
		got[path] = n.Requests
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		x.t.Errorf("asked %v, want %v", got, want)
	}
}

// together runs n Gets at once, each of other bytes.
func (x *fixture) together(n int, want *Version) (wait func()) {
	var flights sync.WaitGroup
	for i := range int64(n) {
		flights.Go(func() { // awaited by wait
			_, p, err := x.get(want, i*1000, 1000)
			x.wantBytes(p, 1000, err)
		})
	}
	return flights.Wait
}

func TestTargetIsRemembered(t *testing.T) {
	for _, code := range []int{301, 302, 303, 307, 308} {
		bubble(t, func(t *testing.T, x *fixture) {
			to := origintest.Redirect(code, "/hop").On("/start")
			on := origintest.Redirect(302, "http://cdn/a.tar").On("/hop")
			x.Inject(to, on)
			x.url = x.base + "/start"
			for i := range int64(5) {
				_, p, err := x.get(nil, i*1000, 1000)
				x.wantBytes(p, 1000, err)
			}
			x.wantAsked(map[string]int{"/start": 1, "/hop": 1, "/a.tar": 5})
			wantHit(t, to, on)
		})
	}
}

// A signature is good for one method: where a HEAD is led to is of no use.
func TestTargetOfHeadIsNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		v, head, err := x.probe(true)
		if v.Size != size || head != nil || err != nil {
			t.Errorf("got %v, %v", v, err)
		}
		_, p, err := x.get(&v, 0, 1000)
		x.wantBytes(p, 1000, err)
		_, _, err = x.probe(true)
		if err != nil {
			t.Error(err)
		}
		x.wantAsked(map[string]int{"/start": 3, "/a.tar": 4 - 1})
		wantHit(t, to)
	})
}

// While one request walks the redirects, the others wait for its header, and
// not for its body.
func TestOneWalks(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		slow := origintest.FirstByteAfter(5 * time.Second).On("/a.tar").Times(1)
		stall := origintest.PauseAfter(500, 10*time.Second).On("/a.tar").Times(1)
		x.Inject(slow, stall)
		start := time.Now()
		wait := x.together(20, nil)
		synctest.Wait()
		x.wantRequests(2)
		wait()
		wantPassed(t, start, 15*time.Second)
		x.wantAsked(map[string]int{"/start": 1, "/a.tar": 20})
		wantHit(t, to, slow, stall)
	})
}

// That a URL answers by itself is learnt once; then nobody waits for anybody.
func TestDirectCostsNoWaiting(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		slow := origintest.FirstByteAfter(5 * time.Second)
		x.Inject(slow)
		wait := x.together(20, nil)
		synctest.Wait()
		if got := x.Counts().Open; got != 20 {
			t.Errorf("%d requests at once", got)
		}
		wait()
		wantHit(t, slow)
	})
}

// Who walks and leaves has another walk; who waits and leaves hinders nobody.
func TestWalkerLeaves(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		stall := origintest.StallAfter(-1).On("/a.tar").Times(1)
		x.Inject(stall)
		ctx := afterASecond(t)
		var impatient sync.WaitGroup
		for range 2 {
			impatient.Go(func() { // awaited below
				if _, err := x.resource().Get(ctx, nil, 0, 1000); err != context.Canceled {
					t.Errorf("got %v", err)
				}
			})
			synctest.Wait()
		}
		start := time.Now()
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		wantPassed(t, start, time.Second)
		impatient.Wait()
		x.wantAsked(map[string]int{"/start": 2, "/a.tar": 2})
		wantHit(t, to, stall)
	})
}

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
		if n := check.Hits(); n < 4 || n > 4*20 {
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
			if e := wantKind(t, err, kind); e.Status != code {
				t.Errorf("status %d", e.Status)
			}
			if to.Hits() != 3 {
				t.Errorf("%d: %d redirects", code, to.Hits())
			}
			_, _, err = x.get(nil, 0, 1000)
			wantKind(t, err, kind)
			if to.Hits() != 4 {
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
		if to.Hits() != 3 {
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, refusal, slow)
	})
}

// So is a failure: nobody who waited tries the same at once.
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

// A target of another host that fails and fails is left for another.
func TestFailingTargetIsForgotten(t *testing.T) {
	failures := map[string]func(x *fixture){
		"status": func(x *fixture) {
			x.Inject(origintest.Status(502).When(func(r *http.Request) bool { return r.Host == "cdn" }))
		},
		"connection": func(x *fixture) {
			x.c.Close()
			x.dial(func(next dialer) dialer {
				return func(ctx context.Context, network, addr string) (net.Conn, error) {
					if addr == "cdn:80" {
						return nil, io.ErrClosedPipe
					}
					return next(ctx, network, addr)
				}
			})
		},
	}
	for name, fail := range failures {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				to := x.elsewhere().Times(1)
				on := origintest.Redirect(302, "http://other/a.tar").On("/start")
				x.Inject(on)
				_, p, err := x.get(nil, 0, 1000)
				x.wantBytes(p, 1000, err)
				fail(x)
				_, p, err = x.get(nil, 0, 1000)
				x.wantBytes(p, 1000, err)
				wantHit(t, to, on)
			})
		})
	}
}

// A target that answers, but never with the file, is not held on to either.
func TestUselessTargetIsForgotten(t *testing.T) {
	tests := []*origintest.Fault{
		origintest.Page(200), // a portal
		origintest.CutAfter(0),
		origintest.StallAfter(0),
		origintest.ShiftRange(1),
	}
	for _, useless := range tests {
		t.Run(fmt.Sprint(useless), func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Put("/portal", origintest.File{Content: content})
				x.url = x.base + "/start"
				away := origintest.Redirect(302, "http://portal/portal").On("/start").Times(3)
				x.Inject(away, origintest.Redirect(302, "/a.tar").On("/start"), useless.On("/portal"))
				want := Version{Size: size, ETag: fileTag()}
				for range 4 {
					_, p, err := x.get(&want, 0, 1000)
					if err == nil {
						x.wantBytes(p, 1000, err)
						wantHit(t, away, useless)
						return
					}
				}
				t.Error("stays with a useless target")
			})
		})
	}
}

// fileTag is the entity tag of /a.tar.
func fileTag() string {
	o := origintest.New()
	o.Put("/a.tar", origintest.File{Content: content})
	w := httptest.NewRecorder()
	o.ServeHTTP(w, httptest.NewRequest("HEAD", "/a.tar", nil))
	return w.Result().Header.Get("ETag")
}

// To leave is no failure of the target's.
func TestLeavingIsNoFailureOfTheTarget(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		_, p, err := x.get(nil, 0, 10)
		x.wantBytes(p, 10, err)
		stall := origintest.StallAfter(-1).On("/a.tar").Times(20)
		x.Inject(stall)
		for range 20 {
			if _, err := x.resource().Get(afterASecond(t), nil, 0, 10); err != context.Canceled {
				t.Errorf("got %v", err)
			}
		}
		_, p, err = x.get(nil, 0, 10)
		x.wantBytes(p, 10, err)
		if to.Hits() != 1 {
			t.Errorf("%d redirects", to.Hits())
		}
		wantHit(t, stall)
	})
}

// A URL that begins to redirect, and one that ends to, are followed.
func TestRedirectComesAndGoes(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/start", origintest.File{Content: content})
		x.url = x.base + "/start"
		read := func() {
			t.Helper()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
		}
		read()
		to := x.elsewhere()
		read()
		read()
		x.wantAsked(map[string]int{"/start": 2, "/a.tar": 2})
		x.Clear()
		gone := origintest.Status(410).On("/a.tar")
		x.Inject(gone)
		read()
		read()
		x.wantAsked(map[string]int{"/start": 4, "/a.tar": 3})
		wantHit(t, to, gone)
	})
}

// advance lets fake time pass.
func advance(d time.Duration) {
	t := time.NewTimer(d)
	<-t.C
}
