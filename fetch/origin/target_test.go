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

// That a URL answers by itself is learnt once; then no request waits for another.
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

// A URL is expected to answer itself where its host did for a HEAD or for another URL. So its first
// requests do not wait for each other. Where it redirects nevertheless, that is learnt.
func TestFirstRequestsOfKnownHostGoTogether(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		v, _, err := x.probe(true)
		if err != nil {
			t.Fatal(err)
		}
		x.url = x.base + "/b.tar"
		x.Put("/b.tar", origintest.File{Content: content})
		slow := origintest.FirstByteAfter(5 * time.Second)
		x.Inject(slow)
		start := time.Now()
		x.together(20, &v)()
		wantPassed(t, start, 5*time.Second)
		wantHit(t, slow)

		x.Clear()
		x.ResetCounts()
		to := x.elsewhere()
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		x.together(20, nil)()
		x.wantAsked(map[string]int{"/start": 1, "/a.tar": 21})
		wantHit(t, to)
	})
}

// A caller that walks and leaves has another walk; one that waits and leaves hinders no other.
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
