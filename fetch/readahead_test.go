package fetch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// lengths returns how much each GET for name asked for.
func (x *fixture) lengths(name string) (ns []int64) {
	for _, r := range x.gets(name) {
		var first, last int64
		_, err := fmt.Sscanf(r, "%d-%d", &first, &last)
		check(x.t, err)
		ns = append(ns, last-first+1)
	}
	return ns
}

// readThrough reads [off, end) in order.
func (x *fixture) readThrough(h *Handle, off, end, step int64) {
	x.t.Helper()
	for ; off < end; off += step {
		x.read(h, off, step)
	}
}

func TestSequentialReadsGoAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 24<<20)
		x.start()
		far := origintest.FirstByteAfter(50 * time.Millisecond).Method("GET")
		x.Inject(far)
		h := x.open("a")
		defer h.Close()
		x.readThrough(h, 0, 24<<20, 128<<10)
		wantHit(t, far)
		c, ns := x.Counts(), x.lengths("a")
		if c.MaxOpen <= 3 || c.MaxOpen > readAheadFlights+1 {
			t.Errorf("%d requests at once", c.MaxOpen)
		}
		if first, most := ns[1], slices.Max(ns[len(ns)/2:]); most <= first { // a gap may be filled at any time
			t.Errorf("the window did not grow: %v", ns)
		}
		x.wantBodyBytes(24<<20, 24<<20)
		if len(ns) > 30 {
			t.Errorf("%d requests: %v", len(ns), ns)
		}
	})
}

func TestReadsOutOfOrderStaySequential(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 16<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		for off := int64(0); off < 8<<20; off += 2 * bs { // as the kernel's read-ahead may send them
			x.read(h, off+bs, bs)
			x.read(h, off, bs)
		}
		x.wantBodyBytes(8<<20, 16<<20)
		if got := len(x.gets("a")); got > 40 {
			t.Errorf("%d requests for 128 reads", got)
		}
	})
}

func TestRandomReadsFetchOnlyTheirBlocks(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size = 1 << 30
		x.add("a", size)
		x.start()
		h := x.open("a")
		defer h.Close()
		rng := rand.New(rand.NewPCG(3, 3))
		blocks := map[int64]bool{}
		for last := int64(0); len(blocks) < 40; {
			off := rng.Int64N(size/4096) * 4096
			if off > last-2*slack && off < last+2*slack {
				continue
			}
			x.read(h, off, 4096)
			blocks[off/bs] = true
			last = off
		}
		x.wantGets("a", len(blocks))
		x.wantBodyBytes(int64(len(blocks))*bs, int64(len(blocks))*bs)
	})
}

func TestOneReadGoesNotAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, 1)
		synctest.Wait()
		x.wantBodyBytes(bs, bs)
	})
}

func TestCloseEndsReadAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		x.start()
		slow := origintest.Throttle(1 << 20).LongerThan(2 * bs)
		x.Inject(slow)
		h := x.open("a")
		x.readThrough(h, 0, 4*bs, bs)
		synctest.Wait()
		if x.Counts().Open == 0 {
			t.Error("nothing is read ahead")
		}
		h.Close()
		synctest.Wait()
		if open := x.Counts().Open; open != 0 {
			t.Errorf("%d requests go on", open)
		}
		wantHit(t, slow)
	})
}

func TestJumpEndsReadAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 256<<20)
		x.start()
		stall := origintest.StallAfter(0).LongerThan(2 * bs)
		x.Inject(stall)
		h := x.open("a")
		defer h.Close()
		x.readThrough(h, 0, leastRun, bs)
		far := x.reader(t.Context(), h, leastRun, 1)
		synctest.Wait()
		x.read(h, 128<<20, bs)
		synctest.Wait()
		if open := x.Counts().Open; open > 1 {
			t.Errorf("%d requests go on", open)
		}
		x.Clear()
		check(t, <-far)
		wantHit(t, stall)
	})
}

// Of many random reads, some come close to the one before them.
func TestReadsNearbyGoNotAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 256<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		blocks := int64(0)
		for at := int64(0); at < 200<<20; at += 20 << 20 {
			x.read(h, at, 4096)
			x.read(h, at+3*bs, 4096)
			blocks += 2
		}
		synctest.Wait()
		x.wantBodyBytes(blocks*bs, blocks*bs)
		x.readThrough(h, 200<<20, 200<<20+leastRun, 4096) // but this is what a sequential reader does
		blocks += leastRun / bs
		synctest.Wait()
		x.wantBodyBytes(blocks*bs+minWindow/2, blocks*bs+2*minWindow)
	})
}

// Reads at one distance are fetched ahead, forwards and backwards, and what lies between
// them is not.
func TestStridesGoAhead(t *testing.T) {
	const size, n = 64 << 20, 60
	for _, tt := range []struct {
		name           string
		from, distance int64
	}{{"forwards", 0, 1 << 20}, {"a little more than a read", 0, 3 * bs}, {"backwards", size - bs, -1 << 20}} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", size)
				x.start()
				far := origintest.FirstByteAfter(50 * time.Millisecond).Method("GET")
				x.Inject(far)
				h := x.open("a")
				defer h.Close()
				began := time.Now()
				for i := range int64(n) {
					x.read(h, tt.from+i*tt.distance, bs)
				}
				if took := time.Since(began); took > n*50*time.Millisecond/4 {
					t.Errorf("took %v", took)
				}
				wantHit(t, far)
				x.wantBodyBytes(n*bs, (n+2*readAheadFlights)*bs)
			})
		})
	}
}

// What is read backwards without a gap is fetched ahead in flights of many blocks.
func TestBackwardsGoesAhead(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		for off := int64(32 << 20); off > 16<<20; off -= bs {
			x.read(h, off-bs, bs)
		}
		x.wantBodyBytes(16<<20, 16<<20+(readAheadFlights+1)*minWindow)
		if got := len(x.gets("a")); got > 3+(16<<20)/minWindow*3/2+readAheadFlights {
			t.Errorf("%d requests", got)
		}
	})
}

// A reader who goes through several parts of a file in turns is read ahead of in each.
func TestReadAheadOfStreamsInTurns(t *testing.T) {
	const streams, apart, each, step = 4, 16 << 20, 4 << 20, 2 * bs
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", streams*apart)
		x.start()
		late := origintest.FirstByteAfter(30 * time.Millisecond)
		x.Inject(late)
		h := x.open("a")
		defer h.Close()
		for off := int64(0); off < each; off += step {
			for s := range int64(streams) {
				x.read(h, s*apart+off, step)
			}
		}
		wantHit(t, late)
		// About 50, and up to 69 in 150 runs: where a flight ends while the reader asks for its
		// next block, the reader may launch one of its own. Without read-ahead there are 128.
		if n := len(x.gets("a")); n > streams*each/step*2/3 {
			t.Errorf("%d requests for %d reads", n, streams*each/step)
		}
		if most := x.Counts().BodyBytes; most > streams*3*each {
			t.Errorf("%d bytes were sent for %d", most, streams*each)
		}
	})
}

// A reader who once went through parts in turns and now jumps about is not read ahead of.
func TestJumpsAfterStreamsInTurns(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 512<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		for off := int64(0); off < 2<<20; off += 2 * bs {
			x.read(h, off, 2*bs)
			x.read(h, 64<<20+off, 2*bs)
		}
		synctest.Wait()
		x.ResetCounts()
		offs := []int64{200, 311, 135, 477, 256, 402, 298, 160, 333, 444, 222, 388}
		for _, off := range offs {
			x.read(h, off<<20, 1)
		}
		synctest.Wait()
		x.wantBodyBytes(int64(len(offs))*bs, int64(len(offs))*bs)
		if open := x.Counts().Open; open != 0 {
			t.Errorf("%d requests go on", open)
		}
	})
}
