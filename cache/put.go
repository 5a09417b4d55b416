package cache

import (
	"errors"
	"fmt"
	"os"
)

// Put stores p at off. [off +len(p)) must be whole blocks, the last one of the
// blob at its own length. When Put returns nil the blocks are present and
// readable; the store makes them durable later. Blocks already present stay as
// they are: they may have been read, or be part of a digest. The caller
// keeps p and holds an Acquire.
func (b *Blob) Put(off int64, p []byte) error {
	var g Grant
	defer g.Free()
	return b.PutFrom(&g, off, p)
}

// PutFrom is Put with the room of a bounded store that the caller has in g. Where that is
// not enough, more is taken, and the error is ErrBound if there is none.
func (b *Blob) PutFrom(g *Grant, off int64, p []byte) error {
	n := int64(len(p))
	if !b.geo.whole(off, n) {
		return fmt.Errorf("put %q [%d +%d): not whole blocks of %d bytes", b.name, off, n, b.version.Size)
	}
	if b.Complete() {
		return nil
	}
	err := b.put(g, off, p)
	if errors.Is(err, ErrBound) {
		return err
	}
	if isFull(err) {
		return b.store.noSpace(err)
	}
	if err != nil {
		return fmt.Errorf("put %q [%d +%d): %w", b.name, off, n, err)
	}
	return nil
}

// put is Put with room that was granted before. It writes the blocks that are missing and
// nothing else, run by run. Each run needs room in the grant, and the growth of the file is
// counted against it. After an error the runs written before stay present.
func (b *Blob) put(g *Grant, off int64, p []byte) error {
	b.toWrite(off, int64(len(p))) // the kernel has writes to one file wait for each other, too
	defer b.writes.Unlock()
	if b.Complete() { // else a Redo may have been waited for
		return nil
	}
	if err := b.store.room(int64(len(p))); err != nil {
		return err // before a file is made
	}
	f, err := b.writable()
	if err != nil {
		return err
	}
	var n int64
	for at, end := off, off+int64(len(p)); at < end; {
		from, missing := b.Missing(at, end-at)
		if missing == 0 {
			break
		}
		at = min(from+missing, end)
		if err := g.need(b.store, at-from); err != nil {
			b.store.wrote(b, n)
			return err
		}
		err := b.write(f, p[from-off:at-off], from)
		g.spend(b.store, at-from, b.growth())
		if err != nil {
			return err
		}
		n += at - from
	}
	b.store.wrote(b, n)
	return nil
}

// write writes whole blocks and turns their bits on. When a sync fails between
// the two, the kernel may have lost these bytes with those the sync took back,
// and will not say so again: they are written once more.
func (b *Blob) write(f *os.File, p []byte, off int64) error {
	for {
		failures := b.failures.Load()
		step("block received")
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
		step("block written")
		if b.mark(off, int64(len(p)), failures) {
			step("bits on")
			return nil
		}
	}
}

// mark turns the bits of [off +n) on, unless more syncs have failed than the
// given ones.
func (b *Blob) mark(off, n, failures int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.failures.Load() != failures {
		return false
	}
	fresh := b.mu.unsynced == nil
	first, end := b.geo.cover(off, n)
	for i := first; i < end; i++ {
		b.markLocked(i)
	}
	if fresh && b.mu.unsynced != nil {
		b.mu.refs++ // the sync lets go of it
	}
	b.checkLocked()
	return true
}

// markLocked turns the bit of block i on, to be made durable by the next sync.
func (b *Blob) markLocked(i int64) {
	if b.bits.has(i) {
		return
	}
	if b.mu.unsynced == nil {
		b.mu.unsynced = map[int64]*words{}
	}
	w := b.mu.unsynced[i/chunkBlocks]
	if w == nil {
		w = new(words)
		b.mu.unsynced[i/chunkBlocks] = w
	}
	w[i%chunkBlocks/64] |= 1 << (i % 64)
	b.bits.set(i)
	_, n := b.geo.extent(i, i+1)
	b.present.Add(n)
}

// writable returns the blob's file, created at its full, sparse size if this
// is the first Put. A file that had blocks and is gone is not created again: it
// would read as zeros.
func (b *Blob) writable() (*os.File, error) {
	if f := b.file.Load(); f != nil {
		return f, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.file.Load(); f != nil {
		return f, nil
	}
	flag := os.O_RDWR
	if b.Present() == 0 {
		flag |= os.O_CREATE
	}
	f, err := b.store.openBlob(b.gen, flag)
	if err != nil {
		return nil, err
	}
	step("blob made")
	if err := f.Truncate(b.version.Size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.file.Store(f)
	return f, nil
}
