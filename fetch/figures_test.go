package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// TestFigures: flights are counted, a read is one that waited only if its bytes
// were not there, and one wait is one, whatever it waited for.
func TestFigures(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.add("b", 100)
		x.start()
		if got := x.Figures(); got.Probe.Count != 0 || got.ReadWait.Count != 0 {
			t.Errorf("at first: %+v", got)
		}
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, 1<<20)
		x.read(h, 0, 1<<20) // is there
		got := x.Figures()
		if got.Probe.Count != 1 || got.ReadWait.Count != 1 || got.Read != 2<<20 {
			t.Errorf("after two reads: %+v", got)
		}
		release := make(chan struct{})
		held := origintest.HoldAfter(0, release).Method("GET")
		x.Inject(held)
		done := x.reader(t.Context(), h, 6<<20, 1000)
		synctest.Wait()
		if got := x.Figures(); got.Flights["reader"] != 1 || got.ReadWait.Count != 1 {
			t.Errorf("while a read waits: %+v", got)
		}
		time.Sleep(2 * time.Second) // fake
		close(release)
		check(t, <-done)
		got = x.Figures()
		if d := got.ReadWait; d.Count != 2 || d.Sum < 2*time.Second || d.Upto[time.Second] != 1 || d.Upto[3*time.Second] != 2 {
			t.Errorf("after a wait of two seconds: %+v", d)
		}
	})
}

// TestHistogramBounds: a duration that is a bound counts there, one above all bounds in
// Count alone.
func TestHistogramBounds(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{0, time.Millisecond, time.Millisecond + 1, time.Minute, time.Hour} {
		h.observe(d)
	}
	d := h.durations()
	if d.Count != 5 || d.Sum != time.Hour+time.Minute+2*time.Millisecond+1 || len(d.Upto) != len(durationBounds) {
		t.Errorf("%+v", d)
	}
	want := map[time.Duration]uint64{time.Millisecond: 2, 3 * time.Millisecond: 3, time.Minute: 4}
	for bound, n := range want {
		if d.Upto[bound] != n {
			t.Errorf("up to %v: %d, want %d; all: %v", bound, d.Upto[bound], n, d.Upto)
		}
	}
}
