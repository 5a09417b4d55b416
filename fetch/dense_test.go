package fetch

import (
	"math/rand/v2"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// Random reads all over a file of moderate size seldom wait for an origin that answers late,
// once they have proven dense: what is around each is fetched at the same time.
func TestDenseReadsFetchAround(t *testing.T) {
	const size, reads, late = 32 << 20, 400, 50 * time.Millisecond
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", size)
		x.opts.Prefetch = PrefetchNone
		x.start()
		far := origintest.FirstByteAfter(late).Method("GET")
		x.Inject(far)
		h := x.open("a")
		defer h.Close()
		rng := rand.New(rand.NewPCG(7, 7))
		blocks := map[int64]bool{}
		began := time.Now()
		for range reads {
			off := rng.Int64N(size/4096) * 4096
			x.read(h, off, 4096)
			blocks[off/bs] = true
		}
		if took := time.Since(began); took > time.Duration(len(blocks)/4)*late {
			t.Errorf("%d blocks took %v", len(blocks), took)
		}
		wantHit(t, far)
		if got := len(x.gets("a")); got > len(blocks)*3/4 {
			t.Errorf("%d requests for %d blocks", got, len(blocks))
		}
		x.wantBodyBytes(int64(len(blocks))*bs, size) // no byte twice
	})
}

// Reads of a header and of what it tells, far from each other, are not dense.
func TestPairsOfReadsAreNotDense(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 256<<20)
		x.opts.Prefetch = PrefetchNone
		x.start()
		h := x.open("a")
		defer h.Close()
		blocks := int64(0)
		for at := int64(4 << 20); at < 200<<20; at += 7<<20 + at/8/bs*bs {
			x.read(h, at, 4096)
			x.read(h, at+2*bs, 4096)
			blocks += 2
		}
		x.wantBodyBytes(blocks*bs, blocks*bs)
	})
}
