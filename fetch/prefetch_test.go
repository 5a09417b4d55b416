package fetch

import (
	"fmt"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

func (x *fixture) wantTotals(want Totals) {
	x.t.Helper()
	got := x.Totals()
	got.OriginBytes = want.OriginBytes
	if got != want {
		x.t.Errorf("totals\n got %+v\nwant %+v", got, want)
	}
}

func (x *fixture) wantDone(want bool) {
	x.t.Helper()
	done := false
	select {
	case <-x.Done():
		done = true
	default:
	}
	if done != want {
		x.t.Errorf("done is %v", done)
	}
}

func TestRunMaterializesEverything(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		var total int64
		for i, size := range []int64{0, 1, bs - 1, bs, bs + 1, 5<<20 + 1, 40<<20 + 7} {
			x.add(fmt.Sprintf("d%d/f%d", i%3, i), size)
			total += size
		}
		x.opts.MaxPerHost = 6
		x.start()
		x.wantTotals(Totals{FilesTotal: 7})
		x.wantState("d0/f0", "unknown", "")
		x.wantDone(false)
		check(t, x.Run(t.Context()))
		x.materialized(x.names()...)
		x.wantTotals(Totals{TotalBytes: total, PresentBytes: total, FilesTotal: 7, FilesKnown: 7, FilesComplete: 7})
		x.wantState("d0/f6", "complete", "")
		x.wantDone(true)
		x.wantBodyBytes(total, total+total/100)
		if open := x.Counts().MaxOpen; open > 6+1 {
			t.Errorf("%d requests at once, more than the host's places and a prober", open)
		}
		if f, a := x.Failures(), x.Active(10); len(f)+len(a) != 0 {
			t.Errorf("failures %v, active %v", f, a)
		}
		before := x.Counts().Requests
		check(t, x.Run(t.Context()))
		if after := x.Counts().Requests; after != before {
			t.Errorf("a second run made %d requests", after-before)
		}
	})
}

func TestEmptyList(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.start()
		x.wantDone(true)
		check(t, x.Run(t.Context()))
		x.wantTotals(Totals{})
	})
}

func TestManySmallFiles(t *testing.T) {
	x := overTCP(t)
	for i := range int64(2000) {
		x.add(fmt.Sprintf("d%d/f%04d", i%20, i), 1+i*7)
	}
	x.start()
	check(t, x.Run(t.Context()))
	x.materialized(x.names()...)
	for _, name := range x.names() {
		if c := x.Counts().Paths["/"+name]; c.Requests > 2 {
			t.Errorf("%s took %d requests: %v", name, c.Requests, x.gets(name))
		}
		if len(x.gets(name)) != 1 {
			t.Errorf("%s: %d GETs", name, len(x.gets(name)))
		}
	}
}

func TestOneRequestASmallFile(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range int64(50) {
			x.add(fmt.Sprint(i), 1000*i+1)
		}
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized(x.names()...)
		for _, name := range x.names() {
			x.wantGets(name, 1)
		}
		if heads := x.Counts().Heads; heads != 0 {
			t.Errorf("%d HEAD requests of a job that is over at once", heads)
		}
	})
}

// A longer job knows before its end how much there is.
func TestTotalIsKnownEarly(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range int64(50) {
			x.add(fmt.Sprint(i), 1<<20)
		}
		x.opts.Jobs = 1
		x.start()
		slow := origintest.Throttle(1 << 20).Method("GET")
		x.Inject(slow)
		stop := x.background()
		defer stop()
		advance(probeAfter + 100*time.Millisecond)
		if got := x.Totals(); got.FilesKnown != 50 || got.TotalBytes != 50<<20 || got.FilesComplete > 5 {
			t.Errorf("after a second: %+v", got)
		}
		wantHit(t, slow)
	})
}

func TestFailingEntriesStopNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"gone", "secret", "broken", "odd", "good", "better"} {
			x.add(name, 3<<20)
		}
		x.Remove("/gone")
		faults := []*origintest.Fault{
			origintest.Status(403).On("secret"),
			origintest.Status(500).On("broken"),
			origintest.Gzip().On("odd"),
		}
		x.Inject(faults...)
		x.opts.Jobs = 2
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, faults...)
		x.materialized("good", "better")
		x.wantState("gone", "failed", "404")
		x.wantState("secret", "needs-url", "403")
		x.wantState("broken", "failed", "500")
		x.wantState("odd", "failed", "gzip")
		x.wantDone(false)
		x.wantTotals(Totals{TotalBytes: 6 << 20, PresentBytes: 6 << 20, FilesTotal: 6, FilesKnown: 2, FilesComplete: 2, FilesFailed: 4, FilesNeedURL: 1})
		if got := x.Failures(); len(got) != 4 || got[0].Name != "gone" || got[3].Name != "odd" || got[0].Size != -1 {
			t.Errorf("failures: %+v", got)
		}
	})
}

func TestFailureInTheMiddle(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		bad := origintest.Status(500).Covering(20 << 20).Method("GET") // with a range or without
		x.Inject(bad, origintest.CutAfter(1<<20))
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, bad)
		x.wantState("a", "failed", "500")
		x.Clear()
		check(t, x.Run(t.Context()))
		x.wantState("a", "failed", "500") // a second Run of the same set tries no failed file
		x.restart()
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

func TestJobsAndSplitAreRespected(t *testing.T) {
	for _, opts := range []Options{{Jobs: 1, Split: 1}, {Jobs: 2, Split: 1}, {Jobs: 1, Split: 3}, {Jobs: 3, Split: 4, MaxPerHost: 5}} {
		bubble(t, func(t *testing.T, x *fixture) {
			for i := range 6 {
				x.add(fmt.Sprint(i), 10<<20)
			}
			x.opts = opts
			x.start()
			slow := origintest.Throttle(4 << 20)
			x.Inject(slow)
			most := opts.Jobs * opts.Split
			if opts.MaxPerHost > 0 {
				most = min(most, opts.MaxPerHost)
			}
			stop := x.background()
			for range 20 {
				advance(70 * time.Millisecond) // to look in between
				if open := x.Counts().Open; open > most+1 {
					t.Errorf("%+v: %d requests open", opts, open)
				}
				if active := len(x.Active(100)); active > opts.Jobs {
					t.Errorf("%+v: %d files at once", opts, active)
				}
			}
			stop()
			check(t, x.Run(t.Context()))
			wantHit(t, slow)
			if open := x.Counts().MaxOpen; open > most+1 || open < most {
				t.Errorf("%+v: %d requests at once", opts, open)
			}
			x.materialized(x.names()...)
		})
	}
}

func TestSlowTailIsHalved(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		x.start()
		slow := origintest.Throttle(1 << 20)
		x.Inject(slow)
		began := time.Now()
		check(t, x.Run(t.Context()))
		if took := time.Since(began); took > 16*time.Second {
			t.Errorf("took %v, half of what one connection takes", took)
		}
		wantHit(t, slow)
		x.materialized("a")
		x.wantBodyBytes(32<<20, 34<<20)
	})
}

func TestOneSlowConnectionHoldsNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		x.start()
		slow := origintest.Throttle(64 << 10).Times(1).LongerThan(1 << 20).Method("GET")
		x.Inject(slow)
		began := time.Now()
		check(t, x.Run(t.Context()))
		if took := time.Since(began); took > time.Minute { // of 512 s
			t.Errorf("took %v", took)
		}
		wantHit(t, slow)
		x.materialized("a")
		x.wantBodyBytes(32<<20, 36<<20)
	})
}
