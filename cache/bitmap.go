package cache

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"
)

// A bitmap is stored and made durable in chunks of chunkBytes: small enough
// that a commit writes little more than what changed (256 bytes beat 4 KiB
// 15-fold in device bytes a block), large enough that a chunk spans 128 MiB.
const (
	chunkBytes  = 256
	chunkWords  = chunkBytes / 8
	chunkBlocks = chunkBytes * 8
)

// words is the content of one chunk.
type words [chunkWords]uint64

// encode returns the words as they are stored, little-endian, with room at the end for a seal.
func (w *words) encode() []byte {
	b := make([]byte, 0, chunkBytes+sealBytes)
	for _, v := range w {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return b
}

// bitmap holds one bit a block, 1 = present. Reads are lock-free; writers hold
// the blob's mutex.
type bitmap []atomic.Uint64

// newBitmap returns an empty bitmap for n blocks.
func newBitmap(n int64) bitmap { return make(bitmap, (n+63)/64) }

// has reports whether the bit of block i is set. It is one atomic load and takes no
// lock.
func (m bitmap) has(i int64) bool { return m[i/64].Load()&(1<<(i%64)) != 0 }

// set sets the bit of block i atomically.
func (m bitmap) set(i int64) { m[i/64].Or(1 << (i % 64)) }

// clear clears the bit of block i atomically.
func (m bitmap) clear(i int64) { m[i/64].And(^uint64(1 << (i % 64))) }

// next returns the first block in [i, end) whose bit equals want, or end. It
// steps a word at a time over blocks that do not match.
func (m bitmap) next(i, end int64, want bool) int64 {
	for i < end {
		w := m[i/64].Load()
		if !want {
			w = ^w
		}
		if w >>= i % 64; w != 0 {
			return min(i+int64(bits.TrailingZeros64(w)), end)
		}
		i = (i/64 + 1) * 64
	}
	return end
}

// chunk copies chunk c; bits past the end of the bitmap are 0.
func (m bitmap) chunk(c int64) (w words) {
	for k := range m[c*chunkWords : min((c+1)*chunkWords, int64(len(m)))] {
		w[k] = m[c*chunkWords+int64(k)].Load()
	}
	return w
}

// eachBit calls f for every block of chunk c whose bit is set in w.
func (w *words) eachBit(c int64, f func(i int64)) {
	for k, v := range w {
		for ; v != 0; v &= v - 1 {
			f(c*chunkBlocks + int64(k*64+bits.TrailingZeros64(v)))
		}
	}
}
