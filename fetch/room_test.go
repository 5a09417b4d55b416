package fetch

import (
	"context"
	"errors"
	iofs "io/fs"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// bounded has the fixture's store have a bound, of which some 16 MiB are for blocks.
func (x *fixture) bounded() {
	x.cacheOpts.MaxSize = 48 << 20
	x.opts.Serve = true
}

// diskUse is what DIR takes on disk, as du(1) counts it.
func (x *fixture) diskUse() (sum int64) {
	err := filepath.WalkDir(x.dir, func(_ string, e iofs.DirEntry, err error) error {
		if err == nil {
			var info iofs.FileInfo
			if info, err = e.Info(); err == nil {
				sum += info.Sys().(*syscall.Stat_t).Blocks * 512
			}
		}
		if errors.Is(err, iofs.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		x.t.Error(err)
	}
	return sum
}

// TestReadersInABoundedStore: readers of more than there is room for get the right bytes,
// while prefetch is on, and never is more on disk than may be.
func TestReadersInABoundedStore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		const size = 20<<20 + 123
		names := []string{"a", "b", "c", "d"}
		for _, name := range names {
			x.add(name, size)
		}
		x.start()
		defer x.background()()
		var most atomic.Int64
		var readers sync.WaitGroup // awaited below
		for seed := range uint64(16) {
			readers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 0))
				for range 15 {
					off := rng.Int64N(size)
					if err := x.readOnce(names[rng.IntN(4)], off, 1+rng.Int64N(min(3<<20, size-off))); err != nil {
						t.Error(err)
					}
					for use := x.diskUse(); use > most.Load(); {
						most.Store(use)
					}
				}
			})
		}
		readers.Wait()
		h := x.open("a")
		for off := int64(0); off < size; off += 100_000 { // in sequence
			x.read(h, off, min(100_000, size-off))
		}
		h.Close()
		b := x.Bound()
		t.Logf("at most %d of %d bytes were on disk; %+v", most.Load(), x.cacheOpts.MaxSize, *b)
		if most.Load() > x.cacheOpts.MaxSize {
			t.Errorf("%d bytes were on disk, and %d may be", most.Load(), x.cacheOpts.MaxSize)
		}
		if b.Evicted == 0 || b.Refetched == 0 || b.Hit == 0 || b.Hit >= b.Read {
			t.Errorf("%+v", *b)
		}
		x.restart()
		if err := x.readOnce("b", 0, size); err != nil {
			t.Error(err)
		}
	})
}

// TestPrefetchEvictsNothing: prefetch stops when there is no room, and what was read stays.
func TestPrefetchEvictsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.add("read", 4<<20)
		for _, name := range []string{"b", "c", "d"} {
			x.add(name, 20<<20)
		}
		x.start()
		check(t, x.readOnce("read", 0, 4<<20))
		defer x.background()()
		for !x.Bound().Stopped {
			advance(time.Second)
		}
		advance(time.Minute)
		synctest.Wait()
		b := x.Bound()
		if b.Evicted != 0 || b.Used > b.Max || x.File("read").Blob().Present() != 4<<20 {
			t.Errorf("%+v, %d bytes of what was read are present", *b, x.File("read").Blob().Present())
		}
		if x.File("read").Blob().Published() {
			t.Error("a complete file was published, so that nothing of it can be evicted")
		}
		x.wantState("read", "complete", "")
	})
}

// TestPinned: a pinned file is fetched although others take all the room, is published, and
// stays while readers read what is larger than the room. Unbounded, what is left is published.
func TestPinned(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.add("large", 40<<20)
		x.add("pinned", 3<<20)
		x.start()
		stop := x.background()
		for !x.Bound().Stopped {
			advance(time.Second)
		}
		x.File("pinned").SetPinned(true)
		for !x.File("pinned").Blob().Published() {
			advance(time.Second)
		}
		check(t, x.readOnce("large", 0, 40<<20))
		if freed, err := x.File("pinned").Evict(); freed != 0 || err != nil {
			t.Errorf("%d bytes of a pinned file were evicted, %v", freed, err)
		}
		x.materialized("pinned")
		stop() // prefetch would fill again what Evict makes free
		synctest.Wait()
		if freed, err := x.File("large").Evict(); freed == 0 || err != nil || x.File("large").Blob().Present() != 0 {
			t.Errorf("%d bytes were evicted, %v, and %d are left", freed, err, x.File("large").Blob().Present())
		}
		check(t, x.readOnce("large", 1<<20, 1<<20))
	})
}

// TestBoundIsLifted: what a bounded mount left is gone on with, and published, without one.
func TestBoundIsLifted(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.add("whole", 1<<20)
		x.add("large", 30<<20)
		x.start()
		check(t, x.readOnce("whole", 0, 1<<20))
		check(t, x.readOnce("large", 0, 30<<20))
		x.stop()
		x.cacheOpts.MaxSize, x.opts.Serve = 0, false
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("whole", "large")
	})
}

// TestBoundIsLowered: what is above a lower bound goes.
func TestBoundIsLowered(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.cacheOpts.MaxSize = 80 << 20
		x.opts.Prefetch = PrefetchNone
		x.add("a", 36<<20)
		x.start()
		check(t, x.readOnce("a", 0, 36<<20))
		check(t, x.SetMaxSize(48<<20))
		for b := x.Bound(); b.Used > b.Max; b = x.Bound() {
			advance(time.Second)
		}
		if use := x.diskUse(); use > 48<<20 {
			t.Errorf("%d bytes are on disk", use)
		}
		if err := x.SetMaxSize(1 << 20); err == nil {
			t.Error("a bound below what the state needs was taken")
		}
	})
}

// TestNoPrefetchDoesNotStop: where nothing is prefetched, prefetch is not said to have stopped.
func TestNoPrefetchDoesNotStop(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.opts.Prefetch = PrefetchNone
		x.add("a", 30<<20)
		x.start()
		check(t, x.readOnce("a", 0, 30<<20))
		if b := x.Bound(); b.Stopped || !x.room.full() {
			t.Errorf("%+v, full %v", *b, x.room.full())
		}
	})
}

// TestUnknownLengthInABoundedStore: others make room for a file of unknown length that a
// reader has open. One that is longer than the room fails, and says so. Nothing goes on in the
// background: a probe of the long file would take the room before its reader comes.
func TestUnknownLengthInABoundedStore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.opts.Prefetch = PrefetchNone
		x.add("others", 20<<20)
		x.add("growing", 8<<20)
		x.add("too long", 50<<20)
		x.Inject(origintest.NoLength().On("growing"), origintest.HeadLength(-1).On("growing"),
			origintest.NoLength().On("too long"), origintest.HeadLength(-1).On("too long"))
		x.start()
		check(t, x.readOnce("others", 0, 20<<20))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		for _, name := range []string{"growing", "too long"} {
			h, err := x.File(name).Open(ctx)
			check(t, err)
			defer h.Close()
			err = x.readAll(ctx, h, 100_000)
			if long := name == "too long"; (err != nil) != long || long && !strings.Contains(err.Error(), "--max-size had no room for more than") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if left := x.File("others").Blob().Present(); left > 1<<20 {
			t.Errorf("%d bytes of others were not evicted", left)
		}
		x.wantState("too long", "failed", "--max-size had no room for more than")
		if use := x.diskUse(); use > x.cacheOpts.MaxSize {
			t.Errorf("%d bytes are on disk, and %d may be", use, x.cacheOpts.MaxSize)
		}
	})
}

// TestSpareGrows: where flights had to wait for room, more is kept free, up to a part of the
// room; where they had not, as little as before in the end.
func TestSpareGrows(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.cacheOpts.MaxSize = 160 << 20
		x.add("a", 1)
		x.start()
		least, r := x.room.spare(), x.store.Room()
		if x.room.adapt(true); x.room.spare() <= least {
			t.Errorf("%d bytes are kept free after a flight had to wait, as many as before", x.room.spare())
		}
		for range 100 {
			x.room.adapt(true)
		}
		if got, want := x.room.spare(), least+(r.Max-r.State)/aheadShare; got != want {
			t.Errorf("%d bytes are kept free at most, want %d", got, want)
		}
		for range 1000 {
			x.room.adapt(false)
		}
		if got := x.room.spare(); got != least {
			t.Errorf("%d bytes are kept free in the end, want %d", got, least)
		}
	})
}

// TestJoinsAPass: a flight that comes while a pass goes on has its room when that one ends.
func TestJoinsAPass(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		x.add("a", 1)
		x.start()
		r, going := newRoom(x.Set), &pass{done: make(chan struct{})} // a room without a keeper
		r.mu.passing = going
		var all, one cache.Grant
		if !all.Take(x.store, x.store.Room().Free) {
			t.Fatal("not all of what is free can be taken")
		}
		got := make(chan bool, 1)
		go func() { got <- r.get(t.Context(), &one, reserveStep, true) }() // awaited below
		synctest.Wait()
		if !going.waited.Load() {
			t.Error("the flight does not wait for the pass that goes on")
		}
		all.Free()
		r.mu.Lock()
		r.mu.passing = nil
		r.mu.Unlock()
		close(going.done)
		if !<-got || one.Left() != reserveStep {
			t.Errorf("the flight has %d bytes of room, want %d", one.Left(), reserveStep)
		}
		one.Free()
	})
}

// TestDigestOfWhatWasEvicted: a file that is evicted before it is whole is verified when it
// is whole, also what came back.
func TestDigestOfWhatWasEvicted(t *testing.T) {
	for _, right := range []bool{true, false} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.bounded()
			x.opts.Prefetch = PrefetchNone
			const size = 3 << 20
			c := origintest.Content{Seed: 1, Size: size}
			x.show("a", c)
			x.enter("a")
			x.entries[0].Details = &listfile.Details{Size: -1, Digest: sha256Of(c)}
			x.start()
			defer x.background()()
			check(t, x.readOnce("a", 0, 2<<20))
			synctest.Wait()
			if _, err := x.File("a").Evict(); err != nil {
				t.Error(err)
			}
			if !right { // the origin has other bytes now, and says that it is the same version
				x.Put("/a", origintest.File{Content: origintest.Content{Seed: 2, Size: size}, ETag: tagOf(c)})
			}
			h2 := x.open("a")
			buf := make([]byte, size)
			_, err := h2.ReadAt(t.Context(), buf, 0)
			h2.Close()
			synctest.Wait()
			advance(time.Minute)
			synctest.Wait()
			state := x.File("a").Status().State
			if right && (err != nil || state != "complete") || !right && state == "complete" {
				t.Errorf("right %v: state is %s, %v", right, state, err)
			}
		})
	}
}

// TestTheKernelKeepsWhatItReads: a complete file that the kernel reads by itself stays while the
// handle is open, half of the room may be kept so, and what is kept goes later.
func TestTheKernelKeepsWhatItReads(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		const size = 3 << 20
		names := []string{"a", "b", "c", "d", "e"}
		for _, name := range names {
			x.add(name, size)
		}
		x.start()
		if h := x.open("a"); h.Passes() {
			t.Error("the kernel may read a file that has holes")
		} else {
			h.Close()
		}
		var handles []*Handle
		kept := int64(0)
		for _, name := range names {
			check(t, x.readOnce(name, 0, size))
			advance(2 * time.Second) // the blocks are durable
			h := x.open(name)
			handles = append(handles, h)
			if h.Passes() {
				kept++
			}
		}
		room := x.store.Room()
		if most := (room.Max - room.State) / 2 / size; kept != most {
			t.Errorf("%d files are kept, want %d", kept, most)
		}
		again := x.open("a")
		if !again.Passes() || again.File() == nil {
			t.Error("a file that is kept is not read by the kernel through a second handle")
		}
		handles[0].Close()
		if n, err := x.File("a").Evict(); n != 0 || err != nil {
			t.Errorf("%d bytes went of a file that the kernel reads, %v", n, err)
		}
		again.Close()
		if n, err := x.File("a").Evict(); n != size || err != nil {
			t.Errorf("%d bytes went, %v, when the kernel was through with the file", n, err)
		}
		for _, h := range handles[1:] {
			h.Close()
		}
	})
}

// TestPinnedFilesThatDoNotFit: pinned files that are larger than the room take all of it, and that
// no more comes is told.
func TestPinnedFilesThatDoNotFit(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.bounded()
		said := make(chan string, 100)
		x.opts.Log = slog.New(slog.NewTextHandler(lineWriter(said), nil))
		x.add("a", 40<<20)
		x.start()
		x.File("a").SetPinned(true)
		defer x.background()()
		for line := range said {
			if strings.Contains(line, "prefetch of pinned files waits") {
				break
			}
		}
		if use := x.diskUse(); use > x.cacheOpts.MaxSize {
			t.Errorf("%d bytes are on disk", use)
		}
	})
}

// lineWriter sends each line of a log.
type lineWriter chan<- string

func (w lineWriter) Write(p []byte) (int, error) {
	w <- string(p)
	return len(p), nil
}
