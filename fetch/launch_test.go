package fetch

import (
	"slices"
	"testing"
	"time"

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
