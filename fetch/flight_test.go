package fetch

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
)

func TestOneRequestForManyReaders(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.start()
		slow := origintest.FirstByteAfter(time.Second).Method("GET")
		x.Inject(slow)
		together(t, 100, func(i int) error { return x.readOnce("a", 5*bs+int64(i), 100) })
		wantHit(t, slow)
		x.wantGets("a", 1)
		x.wantBodyBytes(bs, bs)
	})
}

func TestOverlappingReadersFetchNoBlockTwice(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20+99)
		x.start()
		rng := rand.New(rand.NewPCG(1, 1))
		offs, ns := make([]int64, 60), make([]int64, 60)
		for i := range offs {
			offs[i], ns[i] = rng.Int64N(8<<20), 1+rng.Int64N(1<<20)
		}
		together(t, len(offs), func(i int) error { return x.readOnce("a", offs[i], ns[i]) })
		present := x.File("a").Blob().Present()
		x.wantBodyBytes(present, present)
	})
}

func TestBlocksAreReadableBeforeTheRequestEnds(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.start()
		release := make(chan struct{})
		hold := origintest.HoldAfter(3*bs+5, release).Method("GET")
		x.Inject(hold)
		h := x.open("a")
		defer h.Close()
		all := x.reader(t.Context(), h, 0, 1<<20)
		synctest.Wait()
		for off := int64(0); off < 3*bs; off += bs {
			check(t, <-x.reader(t.Context(), h, off, bs))
		}
		late := x.reader(t.Context(), h, 3*bs, 1)
		synctest.Wait()
		select {
		case err := <-late:
			t.Error("a block that was not received was read:", err)
		default:
		}
		close(release)
		check(t, <-late)
		check(t, <-all)
		wantHit(t, hold)
		x.wantGets("a", 1)
	})
}

func TestReaderThatGivesUpHarmsNoOther(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.start()
		release := make(chan struct{})
		hold := origintest.HoldAfter(100, release).Method("GET")
		x.Inject(hold)
		h := x.open("a")
		defer h.Close()
		ctx, cancel := context.WithCancel(t.Context())
		first := x.reader(ctx, h, 0, 2*bs)
		synctest.Wait()
		second := x.reader(t.Context(), h, bs, bs)
		synctest.Wait()
		cancel()
		wantError(t, <-first, context.Canceled)
		synctest.Wait()
		if open := x.Counts().Open; open != 1 {
			t.Errorf("%d requests open, want 1", open)
		}
		close(release)
		check(t, <-second)
		wantHit(t, hold)
		x.wantGets("a", 1)
	})
}

func TestFlightEndsWithItsLastReader(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.start()
		stall := origintest.StallAfter(100).Method("GET").Times(1)
		x.Inject(stall)
		h := x.open("a")
		defer h.Close()
		ctx, cancel := context.WithCancel(t.Context())
		a := x.reader(ctx, h, 0, bs)
		synctest.Wait()
		b := x.reader(ctx, h, 10, 5)
		synctest.Wait()
		cancel()
		wantError(t, <-a, context.Canceled)
		wantError(t, <-b, context.Canceled)
		advance(linger)
		x.read(h, 0, bs) // a fresh flight, though the other may still be ending
		synctest.Wait()
		if open := x.Counts().Open; open != 0 {
			t.Errorf("%d requests open, want none", open)
		}
		wantHit(t, stall)
		x.wantGets("a", 2)
	})
}

// A profiled program takes a signal every few milliseconds, and each makes its
// page fault leave and come again.
func TestReaderThatKeepsLeavingIsServed(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.start()
		slow := origintest.FirstByteAfter(50 * time.Millisecond).Method("GET")
		x.Inject(slow)
		h := x.open("a")
		defer h.Close()
		err := context.Canceled
		for range 10 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(10*time.Millisecond, cancel)
			if err = x.tryRead(ctx, h, 0, bs); err == nil {
				break
			}
			wantError(t, err, context.Canceled)
		}
		check(t, err)
		wantHit(t, slow)
		x.wantGets("a", 1)
	})
}

func TestReaderWithADeadContext(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		check(t, x.tryRead(ctx, h, 10, 100)) // present: needs no network
		wantError(t, x.tryRead(ctx, h, bs, 1), context.Canceled)
		_, err := x.File("a").Open(ctx)
		check(t, err) // its version is known
	})
}

func TestReadersGiveUpAtRandom(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20+1)
		x.start()
		slow := origintest.Throttle(256 << 10).Method("GET")
		x.Inject(slow)
		h := x.open("a")
		defer h.Close()
		together(t, 40, func(i int) error {
			rng := rand.New(rand.NewPCG(2, uint64(i)))
			for range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rng.IntN(500))*time.Millisecond)
				err := x.tryRead(ctx, h, rng.Int64N(4<<20), 1+rng.Int64N(2*bs))
				if ctx.Err() != nil {
					err = nil
				}
				cancel()
				if err != nil {
					return err
				}
			}
			return x.tryRead(t.Context(), h, rng.Int64N(4<<20), 1+rng.Int64N(2*bs))
		})
		synctest.Wait()
		if open := x.Counts().Open; open > readAheadFlights {
			t.Errorf("%d requests open that nobody wants", open)
		}
		wantHit(t, slow)
	})
}

// slowPrefetch has one flight crawl through 16 MiB, and returns where it is
// after a while.
func slowPrefetch(x *fixture) (h *Handle, pos int64, stop func()) {
	x.add("a", 16<<20)
	x.opts.Jobs, x.opts.Split = 1, 1
	x.start()
	x.Inject(origintest.Throttle(1 << 20).LongerThan(8 << 20))
	stop = x.background()
	advance(2 * time.Second) // the flight needs time to show its rate
	h = x.open("a")
	pos, _ = h.fill.blob.Missing(0, 16<<20)
	return h, pos, stop
}

func TestReaderFarAheadDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		h, pos, stop := slowPrefetch(x)
		before, began := len(x.gets("a")), time.Now()
		x.read(h, pos+8<<20, 4096)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the reader waited %v", took)
		}
		x.wantGets("a", before+1)
		h.Close()
		stop()
		x.Clear()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		x.wantBodyBytes(16<<20, 17<<20)
	})
}

func TestReaderNearJoins(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		h, pos, stop := slowPrefetch(x)
		before := len(x.gets("a"))
		x.read(h, pos+bs, 4096)
		x.wantGets("a", before)
		h.Close()
		stop()
		x.Clear()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		x.wantBodyBytes(16<<20, 16<<20)
	})
}

// The race detector takes no more than some 8000 goroutines.
var readersFlag = flag.Int("readers", 3000, "of TestManyReadersOfOneBlockMakeOneRequest")

func TestManyReadersOfOneBlockMakeOneRequest(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.start()
		slow := origintest.FirstByteAfter(time.Second).Method("GET")
		x.Inject(slow)
		together(t, *readersFlag, func(i int) error { return x.readOnce("a", 5*bs+int64(i), 100) })
		wantHit(t, slow)
		x.wantGets("a", 1)
		x.wantBodyBytes(bs, bs)
	})
}

// However many small files come while the disk makes none durable, those that
// wait for it are bounded, and with them the open descriptors.
func TestPrefetchWaitsForADiskThatIsBehind(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const files, bound = 1300, 1100
		for i := range files {
			x.add(fmt.Sprint(i), 10)
		}
		x.start()
		held, release := make(chan struct{}), make(chan struct{})
		blob, err := x.store.Create("syncer", cache.Version{Size: 0})
		check(t, err)
		blob.Publish(func(error) { // holds the syncer
			close(held)
			<-release
		})
		<-held
		defer x.background()()
		advance(time.Minute)
		synctest.Wait()
		if !x.store.Behind() {
			t.Error("the disk is not behind")
		}
		if n := x.Counts().Gets; n < 1000 || n > bound {
			t.Errorf("%d files were fetched, want about 1024", n)
		}
		close(release)
		<-x.Done()
		if x.store.Behind() {
			t.Error("all is complete, and the disk still behind")
		}
	})
}
