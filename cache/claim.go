package cache

// claim is what a round of the syncer took from one blob: the blocks written since the last
// round. If their bytes could not be forced to disk, takeBack makes them missing; if only the
// index could not be written, giveBack leaves them to the next round. A claim holds a reference
// to the blob's file, which the round releases. Only the syncer uses it.
type claim struct {
	blob  *Blob
	taken map[int64]*words // bits of the blocks, by chunk; nil if there are none
	full  bool             // complete and wanted: to be published after this round
	whole bool             // it is full, small, and the index has no bits of it: they are left out
	dead  bool             // abandoned: neither its bits nor its file are kept
	err   error            // why the bytes could not be forced to disk
}

// wholeBytes is how long a file may be that is published without its bits.
const wholeBytes = 16 * BlockSize

// take claims the blocks written since the last round.
//
// A small file that was written since then from its first block to its last is whole: it is
// published by the same round without its bits. A crash before the rename costs fetching it
// again, as one before the round does; one after the rename leaves the file, which Lookup
// adopts. Where it cannot be published, the round ends with writing the bits. A file that takes
// the place of another one, and one of a shared directory, has its bits always: Lookup tells by
// them what it is.
func (b *Blob) take() *claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &claim{blob: b, taken: b.mu.unsynced, dead: b.mu.abandoned}
	c.full = b.Complete() && b.mu.publish != nil && !c.dead
	c.whole = c.full && !b.mu.indexed && b.version.Size <= wholeBytes && b.mu.replaces == (standing{}) && b.store.shared == nil
	if b.mu.unsynced == nil {
		b.mu.refs++ // else the reference of the unsynced blocks passes on
	}
	b.mu.unsynced, b.mu.claimed = nil, true
	return c
}

// unclaim says that the round which claimed the blob is over.
func (b *Blob) unclaim() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.claimed = false
}

// takeBack makes the blocks of a claim missing again after a failed sync, and
// with them those written since: the kernel reports a lost write once, so the
// next sync would call their bytes durable, too. The failed sync is not
// repeated and believed (Rebello et al., ATC 2020).
func (b *Blob) takeBack(c *claim) {
	if b.takeBackBits(c) {
		b.Release() // the reference of what was written since
	}
	c.taken, c.full, c.whole = nil, false, false
}

// takeBackBits turns the bits off, and reports whether bits of blocks written since are
// among them.
func (b *Blob) takeBackBits(c *claim) (since bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures.Add(1)
	for _, set := range []map[int64]*words{c.taken, b.mu.unsynced} {
		for chunk, w := range set {
			w.eachBit(chunk, func(i int64) {
				if !b.bits.has(i) {
					return // the block was evicted since
				}
				_, n := b.geo.extent(i, i+1)
				b.present.Add(-n)
				b.bits.clear(i)
			})
		}
	}
	since = b.mu.unsynced != nil
	b.mu.unsynced = nil
	b.checkLocked()
	return since
}

// durableBits returns the bits of a chunk whose bytes are on disk: all that are
// on, less those written since the claim. The caller writes them to the index.
func (b *Blob) durableBits(chunk int64) words {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.indexed = true
	w := b.bits.chunk(chunk)
	if u := b.mu.unsynced[chunk]; u != nil {
		for k := range w {
			w[k] &^= u[k]
		}
	}
	return w
}

// giveBack merges the blocks of a claim into those written since, less those evicted meanwhile,
// because the index could not be written: the next round forces them to disk once more. If nothing
// was written since, the blob takes the reference for unsynced blocks again.
func (b *Blob) giveBack(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.taken == nil {
		return
	}
	if b.mu.unsynced == nil {
		b.mu.unsynced = map[int64]*words{}
		b.mu.refs++
	}
	for chunk, w := range c.taken {
		on := b.bits.chunk(chunk)
		for k := range w {
			w[k] &= on[k]
		}
		u := b.mu.unsynced[chunk]
		if u == nil {
			b.mu.unsynced[chunk] = w
			continue
		}
		for k := range u {
			u[k] |= w[k]
		}
	}
	b.checkLocked()
}
