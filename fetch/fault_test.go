package fetch

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// passing are faults that pass by themselves.
func passing() []*origintest.Fault {
	return []*origintest.Fault{
		origintest.CutAfter(100_000), origintest.CutAfter(0), origintest.CutAfter(-1), origintest.ResetAfter(60_000),
		origintest.StallAfter(70_000), origintest.StallAfter(-1),
		origintest.Status(503, "Retry-After", "1"), origintest.Status(500), origintest.Status(429, "Retry-After", "2"),
		origintest.ShortRange(bs + 5), origintest.WideRange(0, 999), origintest.ShiftRange(8), origintest.LongBody(3),
		origintest.EndAfter(80_000), origintest.WrongContentRange(""), origintest.CompleteLength("*"), origintest.Chunked(),
		origintest.FirstByteAfter(time.Second), origintest.PauseAfter(50_000, time.Second),
	}
}

// atRandom has each fault met by one request in ten.
func atRandom(faults []*origintest.Fault, seed uint64) []*origintest.Fault {
	for i, f := range faults {
		f.Chance(0.1, seed*100+uint64(i))
	}
	return faults
}

// Readers and prefetch see through everything that passes.
func TestTransientFaults(t *testing.T) {
	const size = 8<<20 + 4321
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", size)
		x.add("b", size)
		faults := passing()
		for i, f := range faults {
			f.Every(5 + i)
		}
		x.Inject(faults...)
		x.originOpts.Tries = 100
		x.opts.Serve = true
		x.start()
		stop := x.background()
		together(t, 8, func(i int) error {
			rng := rand.New(rand.NewPCG(4, uint64(i)))
			for range 40 {
				if err := x.readOnce(x.names()[i%2], rng.Int64N(size), 1+rng.Int64N(300_000)); err != nil {
					return err
				}
				advance(time.Duration(rng.IntN(1000)) * time.Millisecond) // readers that think
			}
			return nil
		})
		<-x.Done()
		stop()
		x.materialized("a", "b")
		wantHit(t, faults...)
	})
}

// Each fault by itself, met by every other request.
func TestEachTransientFault(t *testing.T) {
	for i := range passing() {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 3<<20+1)
			fault := passing()[i].Every(2)
			x.Inject(fault, origintest.ShortRange(1<<20)) // for more requests
			x.originOpts.Tries = 100
			x.start()
			check(t, x.readOnce("a", 2<<20, 100_000))
			check(t, x.Run(t.Context()))
			wantHit(t, fault)
			x.materialized("a")
		})
	}
}

// No wait is longer than its context, whatever the origin does.
func TestNothingHangs(t *testing.T) {
	for _, fault := range []*origintest.Fault{
		origintest.StallAfter(-1), origintest.StallAfter(0), origintest.StallAfter(1000), origintest.Status(503, "Retry-After", "3600"),
		origintest.CutAfter(-1), origintest.FirstByteAfter(time.Hour), origintest.RedirectLoop(), origintest.Throttle(1),
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 1<<20)
			x.add("b", 1<<20)
			x.opts.Prefetch = PrefetchNone
			x.start()
			h := x.open("a")
			defer h.Close()
			x.Inject(fault)
			began := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			opening := make(chan error, 1)
			go func() { // awaited below
				_, err := x.File("b").Open(ctx)
				opening <- err
			}()
			if err := x.tryRead(ctx, h, 0, bs); err == nil {
				t.Errorf("%v: the read went well", fault)
			}
			<-opening // HEAD may have been answered
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("%v: took %v", fault, took)
			}
			wantHit(t, fault)
		})
	}
}

// The same over real sockets, where a reset overtakes what was sent.
func TestBrokenConnectionsOverTCP(t *testing.T) {
	const size = 16<<20 + 5
	x := overTCP(t)
	x.add("a", size)
	faults := []*origintest.Fault{
		origintest.CutAfter(300_000).Chance(0.3, 1), origintest.ResetAfter(200_000).Chance(0.3, 2),
		origintest.CutAfter(-1).Chance(0.2, 3), origintest.ResetAfter(70_000).Chance(0.3, 4),
	}
	x.Inject(faults...)
	x.originOpts.Tries = 1000
	x.opts.Serve = true
	x.start()
	stop := x.background()
	together(t, 8, func(i int) error {
		rng := rand.New(rand.NewPCG(5, uint64(i)))
		for range 20 {
			if err := x.readOnce("a", rng.Int64N(size), 1+rng.Int64N(300_000)); err != nil {
				return err
			}
		}
		return nil
	})
	<-x.Done()
	stop()
	x.materialized("a")
	wantHit(t, faults[0], faults[1])
}

func TestReaderNeverQueuesBehindPrefetch(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("stalled", 64<<20)
		x.add("read", 1<<20)
		stall := origintest.StallAfter(0).On("stalled").Method("GET")
		x.Inject(stall)
		x.opts.MaxPerHost = 2
		x.start()
		stop := x.background()
		defer stop()
		advance(5 * time.Second) // every place of prefetch is taken
		began := time.Now()
		check(t, x.readOnce("read", 0, bs))
		if took := time.Since(began); took > 0 {
			t.Errorf("took %v", took)
		}
		wantHit(t, stall)
	})
}

// More readers than places wait their turn, and one that gives up leaves it.
func TestReadersTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		x.opts.MaxPerHost = 3
		x.start()
		slow := origintest.FirstByteAfter(time.Second).Method("GET")
		x.Inject(slow)
		impatient, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		together(t, 30, func(i int) error {
			h, err := x.File("a").Open(t.Context())
			if err != nil {
				return err
			}
			defer h.Close()
			if i%3 > 0 {
				return x.tryRead(t.Context(), h, int64(i)<<20, bs)
			}
			wantError(t, x.tryRead(impatient, h, int64(i)<<20, bs), context.DeadlineExceeded)
			return nil
		})
		wantHit(t, slow)
		if open := x.Counts().MaxOpen; open > 2*3 { // the origin notices late who is gone
			t.Errorf("%d requests at once for 3 places", open)
		}
	})
}

// While a reader waits, prefetch takes less than it could; and it never stops.
func TestPrefetchGivesWay(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("bulk", 64<<20)
		x.add("read", 1<<20)
		release := make(chan struct{})
		hold, slow := origintest.HoldAfter(0, release).On("read").Method("GET"), origintest.Throttle(16<<20).On("bulk")
		x.Inject(hold, slow)
		x.opts.Jobs, x.opts.Split = 1, 1
		x.start()
		stop := x.background()
		defer stop()
		advance(time.Second) // the host is learnt
		before := x.File("bulk").Status().Present
		advance(time.Second)
		alone := x.File("bulk").Status().Present - before
		reading := make(chan error)
		go func() { reading <- x.readOnce("read", 0, bs) }() // awaited below
		advance(time.Second)
		beside := x.File("bulk").Status().Present - before - alone
		if share := float64(beside) / float64(alone); share < 0.8 || share >= 1 {
			t.Errorf("prefetch fetched %d bytes in a second beside a reader, %d alone", beside, alone)
		}
		close(release)
		check(t, <-reading)
		wantHit(t, hold, slow)
	})
}
