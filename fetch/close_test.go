package fetch

import (
	"context"
	"fmt"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

func TestStopAndGoOn(t *testing.T) {
	const size = 16<<20 + 77
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"a", "b"} {
			x.add(name, size)
		}
		x.start()
		slow := origintest.Throttle(4 << 20)
		x.Inject(slow)
		var received int64
		for range 3 {
			stop := x.background()
			advance(1300 * time.Millisecond)
			stop()
			x.stop()
			received += x.client.Received()
			x.start()
		}
		present := x.File("a").Status().Present + x.File("b").Status().Present
		if present < 4<<20 {
			t.Errorf("only %d bytes outlived the stops", present)
		}
		check(t, x.Run(t.Context()))
		x.materialized("a", "b")
		received += x.client.Received()
		if least, most := int64(2*size), int64(2*size+4*8*bs); received < least || received > most {
			t.Errorf("received %d bytes in four lives, want %d to %d", received, least, most)
		}
		wantHit(t, slow)
	})
}

// A stop in the middle of a slow block waits for the rest of it.
func TestCloseLosesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.opts.Jobs, x.opts.Split = 1, 1
		slow := origintest.Throttle(256 << 10).Method("GET") // a block takes a quarter of a second
		x.Inject(slow)
		x.start()
		stop := x.background()
		advance(1100 * time.Millisecond) // into the fifth block
		stop()
		x.Set.Close()
		if got, want := x.File("a").Blob().Present(), x.client.Received(); got != want {
			t.Errorf("%d bytes present of %d received", got, want)
		}
		wantHit(t, slow)
	})
}

func TestCloseWaitsForNoStalledFlight(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		stall := origintest.StallAfter(bs + 5)
		x.Inject(stall)
		x.start()
		h := x.open("a")
		reading := x.reader(t.Context(), h, 0, 3*bs)
		stop := x.background()
		advance(time.Second)
		stop()
		began := time.Now()
		x.Set.Close()
		if took := time.Since(began); took > graceful {
			t.Errorf("close took %v", took)
		}
		if err := <-reading; err == nil {
			t.Error("the reader got bytes that never came")
		}
		if _, err := x.File("a").Open(t.Context()); err != nil {
			t.Error(err) // its version is known
		}
		h.Close()
		wantHit(t, stall)
	})
}

func TestCloseEndsRun(t *testing.T) {
	for _, keep := range []bool{true, false} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 1<<20)
			stall := origintest.StallAfter(100)
			x.Inject(stall)
			x.opts.Serve = keep
			x.start()
			done := make(chan error)
			go func() { done <- x.Run(t.Context()) }() // awaited below
			advance(time.Second)
			x.Set.Close()
			wantError(t, <-done, errClosing)
			wantHit(t, stall)
		})
	}
}

// Nobody spins when the context of New ends before the set is closed.
func TestSetEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.add("unknown", 1<<20)
		x.start()
		ctx, cancel := context.WithCancel(t.Context())
		x.Set.Close()
		x.Set = New(ctx, x.store, x.client, x.entries, x.opts)
		h := x.open("a")
		defer h.Close()
		cancel()
		wantError(t, x.tryRead(t.Context(), h, 0, 1), errClosing)
		wantError(t, x.Run(t.Context()), errClosing)
		_, err := x.File("unknown").Open(t.Context())
		wantError(t, err, errClosing)
	})
}

func TestClosedSetAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.add("b", 1<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		x.Set.Close()
		if err := x.tryRead(t.Context(), h, 0, 1); err == nil {
			t.Error("a closed set reads")
		}
		_, err := x.File("b").Open(t.Context())
		wantError(t, err, errClosing)
		x.Set.Close() // again
	})
}

func TestCompleteSetNeedsNoOrigin(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range int64(10) {
			x.add(fmt.Sprint(i), i*50_000)
		}
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		x.ResetCounts()
		gone := origintest.Status(500)
		x.Inject(gone)
		x.start()
		check(t, x.Run(t.Context()))
		x.wantDone(true)
		x.wantTotals(Totals{TotalBytes: 2_250_000, PresentBytes: 2_250_000, FilesTotal: 10, FilesKnown: 10, FilesComplete: 10})
		for _, name := range x.names() {
			check(t, x.readOnce(name, 0, 1<<20))
		}
		if n := x.Counts().Requests; n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestListGrowsBetweenLives(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("old", 1<<20)
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		x.add("new", 1<<20)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("old", "new")
		x.wantBodyBytes(2<<20, 2<<20)
		names, err := x.store.List()
		check(t, err)
		if len(names) != 2 {
			t.Errorf("names %v", names)
		}
	})
}
