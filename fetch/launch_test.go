package fetch

import (
	"slices"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

// In a mount, whoever reads in the middle of a flight has it cut, and what is
// then on its way is lost.
func TestFlightsInAMountGrow(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 128<<20)
		x.opts.Serve, x.opts.Split = true, 1
		x.start()
		stop := x.background()
		defer stop()
		<-x.Done()
		ns := x.lengths("a")
		if ns[0] > firstExtent || len(ns) > 10 || !slices.IsSorted(ns[:len(ns)-1]) || slices.Max(ns) < 32<<20 {
			t.Errorf("requests were for %v", ns)
		}
	})
}

func TestFlightsAreShortWhileReadersCome(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 512<<20)
		x.opts.Serve, x.opts.Split = true, 1
		x.start()
		slow := origintest.Throttle(16 << 20).Method("GET")
		x.Inject(slow)
		stop := x.background()
		defer stop()
		h := x.open("a")
		defer h.Close()
		advance(8 * time.Second) // long flights by then
		x.read(h, 480<<20, 1)
		advance(4 * time.Second) // until that of before is over
		before := len(x.lengths("a"))
		for i := range int64(4) {
			advance(time.Second)
			x.read(h, (483+3*i)<<20, 1)
		}
		if ns := x.lengths("a")[before:]; len(ns) < 8 || slices.Max(ns) > 2*minExtent {
			t.Errorf("requests while somebody read were for %v", ns)
		}
		wantHit(t, slow)
	})
}

// A batch job has no readers. With one stream a file, one request is for all of
// it, as a URL may be good for one.
func TestFlightsOfABatchJobAreLong(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 128<<20)
		x.opts.Split = 1
		x.start()
		check(t, x.Run(t.Context()))
		if gets := x.gets("a"); !slices.Equal(gets, []string{"0-"}) {
			t.Errorf("requests were for %v", gets)
		}
	})
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 128<<20)
		x.start()
		check(t, x.Run(t.Context()))
		if ns := x.lengths("a"); ns[0] != maxExtent {
			t.Errorf("requests were for %v", ns)
		}
	})
}

// The connections that one file has alone end at about the same time, and only the answer to
// first contact, which asked before the length was known, is cut for that: an answer that is
// cut costs bytes.
func TestLoneFileIsSharedOut(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size, rate, flights = 240 << 20, 16 << 20, 8
		x.add("a", size)
		x.opts.Split, x.opts.MaxPerHost = flights, flights
		x.start()
		paced := origintest.Throttle(rate).Method("GET")
		x.Inject(paced)
		began := time.Now()
		check(t, x.Run(t.Context()))
		took, ideal := time.Since(began), time.Duration(size/(rate*flights)*float64(time.Second))
		x.materialized("a")
		wantHit(t, paced)
		var asked int64
		ns := x.lengths("a")
		for _, n := range ns {
			asked += n
		}
		if ns[0] != maxExtent || asked > size+maxExtent-size/flights+cache.BlockSize {
			t.Errorf("%d bytes were asked for with requests for %v", asked, ns)
		}
		if took > ideal*5/4+time.Second { // of fake time; with the last sync
			t.Errorf("it took %v, and all connections would take %v", took, ideal)
		}
	})
}

// A flight is divided where that brings its end sooner, and not where the limit of the user
// holds it: what is on its way when a flight is cut has been sent for nothing.
func TestFlightIsNotDividedUnderTheLimitOfTheUser(t *testing.T) {
	gets := func(t *testing.T, limit int64) (n int) {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 24<<20)
			slow := origintest.Throttle(2 << 20)
			if limit > 0 {
				x.originOpts.Limit = &origin.Limit{}
				x.originOpts.Limit.Set(limit)
			} else {
				x.Inject(slow)
			}
			x.start()
			check(t, x.Run(t.Context()))
			x.materialized("a")
			n = len(x.gets("a"))
		})
		return n
	}
	if n := gets(t, 2<<20); n != 1 {
		t.Errorf("%d requests under a limit of the user, want 1", n)
	}
	if n := gets(t, 0); n < 3 {
		t.Errorf("%d requests of an origin that is slow in each answer, want 3 at least", n)
	}
}

// At an origin that is fast enough, nothing is cut.
func TestFlightThatEndsSoonIsNotDivided(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 16<<20)
		quick := origintest.Throttle(32 << 20)
		x.Inject(quick)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		wantHit(t, quick)
		if gets := x.gets("a"); len(gets) != 1 {
			t.Errorf("requests were for %v", gets)
		}
	})
}
