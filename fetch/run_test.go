package fetch

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

func TestModes(t *testing.T) {
	for mode, want := range map[Mode][]int64{PrefetchNone: {bs, 0}, PrefetchOpened: {4 << 20, 0}, PrefetchAll: {4 << 20, 4 << 20}} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("opened", 4<<20)
			x.add("not", 4<<20)
			x.opts.Prefetch, x.opts.Serve = mode, true
			x.start()
			defer x.background()()
			h := x.open("opened")
			defer h.Close()
			x.read(h, 2<<20, 100)
			advance(5 * time.Second) // long enough for all there is to do
			for i, f := range x.Files() {
				if got := f.Status(); got.Present != want[i] || got.Size != 4<<20 {
					t.Errorf("%s: %+v, want %d present", mode, got, want[i])
				}
			}
		})
	}
}

func TestOpenedFileIsFetchedFirst(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 5 {
			x.add(fmt.Sprint(i), 8<<20)
		}
		x.opts.Jobs, x.opts.Split, x.opts.MaxPerHost = 1, 1, 1
		x.start()
		slow := origintest.Throttle(4 << 20)
		x.Inject(slow)
		stop := x.background()
		defer stop()
		synctest.Wait()
		h := x.open("4")
		defer h.Close()
		for x.File("0").Status().Present < 8<<20 {
			advance(100 * time.Millisecond)
		}
		for !h.fill.blob.Complete() {
			advance(100 * time.Millisecond)
			if b := x.File("1").Blob(); b != nil && b.Present() > bs && !h.fill.blob.Complete() {
				t.Fatal("the next of the list came before the file that is open")
			}
		}
		wantHit(t, slow)
	})
}

func TestKeepTriesFailedFilesAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("flaky", 1<<20)
		x.add("missing", 1<<20)
		x.opts.Serve = true
		flaky, missing := origintest.Status(503).On("flaky"), origintest.Status(404).On("missing")
		x.Inject(flaky, missing)
		x.start()
		defer x.background()()
		advance(5 * time.Minute)
		for x.File("flaky").Status().State != "failed" {
			advance(time.Second) // it is just being tried again
		}
		x.wantState("flaky", "failed", "503")
		x.wantState("missing", "failed", "404")
		if n := missing.Hits(); n > 10 {
			t.Errorf("what is missing was asked for %d times in 5 minutes", n)
		}
		wantHit(t, flaky, missing)
		x.Clear()
		advance(retryPermanent)
		<-x.Done()
		x.materialized("flaky", "missing")
		x.wantTotals(Totals{TotalBytes: 2 << 20, PresentBytes: 2 << 20, FilesTotal: 2, FilesKnown: 2, FilesComplete: 2})
	})
}

// Probers run ahead of prefetch. What fails for them is tried again all the same.
func TestFileThatFailedBeforeItsTurnIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("first", 64<<20)
		x.add("failed", 1<<20)
		x.opts.Serve, x.opts.Jobs = true, 1
		x.originOpts.Tries = 1
		fail, slow := origintest.Status(500).On("failed"), origintest.Throttle(1<<20).On("first")
		x.Inject(fail, slow)
		x.start()
		defer x.background()()
		advance(time.Second)
		x.wantState("failed", "failed", "500")
		wantHit(t, fail, slow)
		x.Clear()
		advance(10 * time.Minute)
		x.wantDone(true)
		x.wantState("failed", "complete", "")
	})
}

// What kept a complete file from its place may go away again.
func TestPublishIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.opts.Serve = true
		slow := origintest.Throttle(1 << 20)
		x.Inject(slow)
		x.start()
		defer x.background()()
		advance(time.Second)
		obstacle := filepath.Join(x.dir, "a")
		check(t, os.WriteFile(obstacle, []byte("in the way"), 0o666))
		advance(time.Minute)
		x.wantState("a", "failed", "move it away or delete it")
		check(t, os.Remove(obstacle))
		advance(retryPermanent)
		x.wantDone(true)
		x.materialized("a")
		wantHit(t, slow)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.Inject(origintest.StallAfter(0))
		x.start()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantError(t, x.Run(ctx), context.DeadlineExceeded)
	})
}

func TestAdoptedFileIsNotFetched(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"right", "wrong", "other"} {
			x.add(name, 300_000)
		}
		check(t, os.WriteFile(filepath.Join(x.dir, "right"), x.contents["right"].Bytes(), 0o644))
		check(t, os.WriteFile(filepath.Join(x.dir, "wrong"), []byte("in the way"), 0o644))
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("right", "other")
		x.wantGets("right", 0)
		x.wantGets("wrong", 0)
		x.wantState("right", "complete", "")
		x.wantState("wrong", "failed", "in the output directory has 10 bytes where the origin has 300000")
		h := x.open("right")
		defer h.Close()
		x.read(h, 0, 300_000)
		x.wantGets("right", 0)
	})
}

func TestDiskFull(t *testing.T) {
	for _, keep := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("huge", 4<<30) // of which the disk takes about 64 MiB
			x.start()
			free, err := x.store.Free()
			check(t, err)
			x.cacheOpts.MinFree = free - 64<<20
			x.opts.Serve = keep
			x.restart()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err = x.Run(ctx)
			if keep {
				wantError(t, err, context.DeadlineExceeded)
			} else {
				wantError(t, err, cache.ErrNoSpace)
			}
			h := x.open("huge")
			defer h.Close()
			if h.Has(0, bs) { // unless others filled the disk meanwhile
				x.read(h, 0, bs)
			}
			x.read(h, 4<<30-1, 1) // through memory
			x.read(h, 2<<30-5, 3*bs)
			if n := x.Counts().Requests; n > 200 {
				t.Errorf("%d requests for a disk that is full", n)
			}
		})
	}
}

// What is known from an earlier run is fetched on, too, though nobody has asked its
// host for anything yet.
func TestOpenedAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.opts.Prefetch, x.opts.Serve = PrefetchNone, true
		x.start()
		check(t, x.readOnce("a", 0, 100))
		x.opts.Prefetch = PrefetchOpened
		x.restart()
		defer x.background()()
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, 100)
		<-x.Done()
		x.materialized("a")
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 4 {
			x.add(fmt.Sprint(i), 8<<20)
		}
		x.opts.Serve = true
		x.Inject(origintest.Throttle(1 << 20))
		x.start()
		defer x.background()()
		advance(2 * time.Second)
		x.Pause()
		advance(2 * time.Second)
		sent := x.Counts().BodyBytes
		if !x.Totals().Paused || sent == 0 {
			t.Errorf("totals: %+v", x.Totals())
		}
		advance(time.Minute)
		x.wantBodyBytes(sent, sent)
		h := x.open("3")
		x.read(h, 7<<20, 100) // readers go on
		h.Close()
		synctest.Wait()
		x.Resume()
		<-x.Done()
		x.materialized(x.names()...)
		x.wantBodyBytes(32<<20, 33<<20)
	})
}

// Where the list says the sizes and prefetch does not come to a file by itself, nothing is
// asked before somebody asks for the file, and the sizes count all the same.
func TestListedSizesAreNotAskedFor(t *testing.T) {
	for mode, want := range map[Mode]int{PrefetchNone: 1, PrefetchOpened: 1} {
		bubble(t, func(t *testing.T, x *fixture) {
			for i, name := range []string{"a", "b", "c"} {
				x.add(name, 8<<20)
				if i < 2 {
					x.entries[i].Details = &listfile.Details{Size: 8 << 20}
				}
			}
			x.opts.Serve, x.opts.Prefetch = true, mode
			x.start()
			stop := x.background()
			defer stop()
			advance(time.Second)
			if n := x.Counts().Requests; n != want {
				t.Errorf("%s: %d requests, want one for the file without a size", mode, n)
			}
			if s := x.Totals(); s.FilesKnown != 3 || s.TotalBytes != 3*8<<20 {
				t.Errorf("%s: totals %+v", mode, s)
			}
			if local, err := x.File("a").Probe(t.Context()); err != nil || local.Version().Size != 8<<20 {
				t.Errorf("%s: %v, %v", mode, local, err)
			}
			if s := x.Totals(); s.FilesKnown != 3 || s.TotalBytes != 3*8<<20 {
				t.Errorf("%s: totals after a probe: %+v", mode, s)
			}
		})
	}
}
