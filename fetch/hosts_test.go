package fetch

import (
	"fmt"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

func TestHostThatTakesOnlySoManyIsNotHammered(t *testing.T) {
	for _, k := range []int{1, 3} {
		for _, code := range []int{429, 503} {
			bubble(t, func(t *testing.T, x *fixture) {
				for i := range 12 {
					x.add(fmt.Sprint(i), 8<<20)
				}
				limit := origintest.LimitOpen(k, code)
				x.Inject(limit, origintest.Throttle(1<<20))
				x.start()
				check(t, x.Run(t.Context()))
				x.materialized(x.names()...)
				wantHit(t, limit)
				if asked, refused := x.Counts().Requests, limit.Hits(); refused > asked/4+12 {
					t.Errorf("%d above %d: %d of %d requests refused", code, k, refused, asked)
				}
			})
		}
	}
}

// A reader is served though all a host takes at once is prefetch's.
func TestReaderGetsThePlaceOfPrefetchAtABusyHost(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 4 {
			x.add(fmt.Sprint(i), 64<<20)
		}
		limit := origintest.LimitOpen(2, 429)
		x.Inject(limit, origintest.Throttle(1<<20))
		x.opts.Serve = true
		x.start()
		defer x.background()()
		advance(10 * time.Second)
		wantHit(t, limit)
		h := x.open("3")
		defer h.Close()
		began := time.Now()
		x.read(h, 60<<20, 100)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("the reader waited %v", took)
		}
	})
}

func TestHostThatDiesForAMinuteAndReturns(t *testing.T) {
	for name, die := range map[string]func(o *origintest.Origin){
		"refuses": (*origintest.Origin).Down, "is silent": (*origintest.Origin).Blackhole,
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			for i := range 4 {
				x.add(fmt.Sprint(i), 16<<20)
			}
			x.Inject(origintest.Throttle(1 << 20))
			x.start()
			done := make(chan error, 1)
			go func() { done <- x.Run(t.Context()) }() // awaited below
			advance(5 * time.Second)
			die(x.Origin)
			advance(time.Minute)
			x.Up()
			check(t, <-done)
			x.materialized(x.names()...)
			if sent := x.Counts().BodyBytes; sent > 68<<20 {
				t.Errorf("%s: the origin sent %d bytes", name, sent)
			}
		})
	}
}

func TestServerThatStartsSlowly(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		slow := origintest.SlowStart(8<<10, time.Second)
		x.Inject(slow)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		wantHit(t, slow)
		x.wantBodyBytes(32<<20, 34<<20)
	})
}
