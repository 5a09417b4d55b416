package cache

// BlockSize is the unit of presence, in bytes: a power of two, fixed for every
// store. A block is either wholly present or missing; the last block of a blob
// may be short. 64 KiB keeps a cold random read to one small request and a
// 10 GiB blob's bitmap to 20 KiB.
const BlockSize = 64 << 10

// geometry is the block arithmetic of one blob of size bytes. Block indices
// count from 0; extents are half-open byte intervals.
type geometry struct{ size int64 }

// blocks is the number of blocks, the short last one included.
func (g geometry) blocks() int64 { return (g.size + BlockSize - 1) / BlockSize }

// cover returns the block indices [first, end) that touch [off +n), clipped to
// the blob.
func (g geometry) cover(off, n int64) (first, end int64) {
	if n <= 0 || off >= g.size {
		return 0, 0
	}
	if off < 0 {
		off = 0
	}
	if n > g.size-off {
		n = g.size - off
	}
	return off / BlockSize, (off + n + BlockSize - 1) / BlockSize
}

// extent returns the bytes of the blocks [first, end), clipped to the blob.
func (g geometry) extent(first, end int64) (off, n int64) {
	off = first * BlockSize
	return off, min(end*BlockSize, g.size) - off
}

// within returns the indices [first, end) of the blocks that lie wholly inside [off +n),
// where the last block of the blob ends with it.
func (g geometry) within(off, n int64) (first, end int64) {
	first, end = (max(off, 0)+BlockSize-1)/BlockSize, min(off+n, g.size)/BlockSize
	if off+n >= g.size {
		end = g.blocks()
	}
	return first, max(first, end)
}

// whole reports whether [off +n) is made of whole blocks, where the last block
// of the blob counts as whole at its own length.
func (g geometry) whole(off, n int64) bool {
	return off >= 0 && n > 0 && off%BlockSize == 0 && n <= g.size-off &&
		(n%BlockSize == 0 || off+n == g.size)
}
