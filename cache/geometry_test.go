package cache

import (
	"math/rand/v2"
	"slices"
	"testing"
)

const chunkSize = chunkBlocks * BlockSize

// sizes lie around the places where a blob gains a block or a chunk.
var sizes = []int64{
	0, 1, 7, BlockSize - 1, BlockSize, BlockSize + 1, 2*BlockSize - 1, 2 * BlockSize, 2*BlockSize + 1,
	64*BlockSize - 1, 64 * BlockSize, 64*BlockSize + 1,
	chunkSize - 1, chunkSize, chunkSize + 1, 3*chunkSize - 1, 3 * chunkSize, 3*chunkSize + 1,
}

func TestBlocksTileTheBlob(t *testing.T) {
	for _, size := range sizes {
		g, end := geometry{size}, int64(0)
		for i := range g.blocks() {
			off, n := g.extent(i, i+1)
			if off != end || n < 1 || n > BlockSize || n < BlockSize && i != g.blocks()-1 {
				t.Fatalf("size %d: block %d is [%d +%d) after %d", size, i, off, n, end)
			}
			if !g.whole(off, n) {
				t.Fatalf("size %d: block %d [%d +%d) is not whole", size, i, off, n)
			}
			end = off + n
		}
		if end != size {
			t.Fatalf("size %d: blocks end at %d", size, end)
		}
		if off, n := g.extent(0, g.blocks()); off != 0 || n != size {
			t.Fatalf("size %d: all blocks are [%d +%d)", size, off, n)
		}
		if size > 0 && !g.whole(0, size) {
			t.Fatalf("size %d: the blob is not whole", size)
		}
	}
}

func TestCover(t *testing.T) {
	for _, size := range sizes {
		g := geometry{size}
		for _, off := range probes(size) {
			for _, n := range probes(size) {
				first, end := g.cover(off, n)
				// Block i is [i*BlockSize, ...), clipped: it is touched if it
				// begins before the extent ends and ends after it begins.
				stop := min(off+n, size)
				if n == 0 || off >= size {
					if first != end {
						t.Fatalf("size %d: [%d +%d) touches blocks [%d, %d)", size, off, n, first, end)
					}
				} else if first*BlockSize > off || off >= (first+1)*BlockSize ||
					(end-1)*BlockSize >= stop || stop > end*BlockSize {
					t.Fatalf("size %d: [%d +%d) touches blocks [%d, %d)", size, off, n, first, end)
				}
			}
		}
	}
}

func TestWhole(t *testing.T) {
	const size = 2*BlockSize + 5
	g := geometry{size}
	for _, c := range []struct {
		off, n int64
		want   bool
	}{
		{0, BlockSize, true},
		{0, 2 * BlockSize, true},
		{BlockSize, BlockSize, true},
		{2 * BlockSize, 5, true}, // the short last block
		{0, size, true},
		{BlockSize, BlockSize + 5, true},

		{0, 0, false},
		{BlockSize, 0, false},
		{0, -1, false},
		{-BlockSize, BlockSize, false},
		{1, BlockSize, false},
		{0, 1, false},
		{0, BlockSize - 1, false},
		{0, BlockSize + 1, false},
		{BlockSize, BlockSize + 4, false},
		{2 * BlockSize, 4, false},
		{2 * BlockSize, 6, false},
		{2 * BlockSize, BlockSize, false},
		{3 * BlockSize, BlockSize, false},
		{0, 3 * BlockSize, false},
		{0, 1 << 62, false},
	} {
		if got := g.whole(c.off, c.n); got != c.want {
			t.Errorf("whole [%d +%d) of %d: %v, want %v", c.off, c.n, int64(size), got, c.want)
		}
	}
}

// probes are offsets around the blocks that matter of a blob.
func probes(size int64) (p []int64) {
	for _, at := range []int64{0, BlockSize, 2 * BlockSize, size - size%BlockSize, size, chunkSize} {
		p = append(p, at-1, at, at+1)
	}
	return slices.DeleteFunc(p, func(off int64) bool { return off < 0 })
}

func TestBitmapNext(t *testing.T) {
	rng := random(t)
	for range 300 {
		n := 1 + rng.Int64N(300)
		m, model := randomBits(rng, n)
		for range 100 {
			i := rng.Int64N(n + 1)
			end := i + rng.Int64N(n-i+1)
			on := rng.IntN(2) == 0
			want := i
			for want < end && model[want] != on {
				want++
			}
			if got := m.next(i, end, on); got != want {
				t.Fatalf("next(%d, %d, %v) is %d, want %d", i, end, on, got, want)
			}
		}
	}
}

func TestBitmapChunks(t *testing.T) {
	rng := random(t)
	for _, n := range []int64{1, 64, 65, chunkBlocks - 1, chunkBlocks, chunkBlocks + 1, 2*chunkBlocks + 100} {
		m, model := randomBits(rng, n)
		copied := newBitmap(n)
		for c := int64(0); c*chunkBlocks < n; c++ {
			w := m.chunk(c)
			w.eachBit(c, copied.set)
		}
		for i, on := range model {
			if copied.has(int64(i)) != on {
				t.Fatalf("bit %d of %d is %v after a copy by chunks", i, n, !on)
			}
		}
	}
}

// randomBits returns a bitmap with long and short runs, and what is in it.
func randomBits(rng *rand.Rand, n int64) (bitmap, []bool) {
	m, model := newBitmap(n), make([]bool, n)
	run, on := int64(0), false
	for i := range n {
		if run--; run < 0 {
			run, on = rng.Int64N(1<<rng.IntN(9)), !on
		}
		if model[i] = on; on {
			m.set(i)
		} else if rng.IntN(4) == 0 {
			m.set(i)
			m.clear(i)
		}
	}
	return m, model
}
