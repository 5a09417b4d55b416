package cache

import (
	"errors"
	"fmt"
	"os"

	"dlfs/cache/lockorder"
)

// Eviction is what is to be taken out of one blob: the blocks that lie wholly inside the
// extents.
type Eviction struct {
	Blob    *Blob
	Extents []Extent
}

// Evict takes blocks out of blobs, so that they are missing again, and gives their room
// back to the disk. It returns how many bytes of blocks went. A block that is not present is
// passed over. A blob is passed over as a whole if it is published or about to be, was given
// up, replaces another file, shares its file with another copy, or is in use (Hold).
//
// No reader ever gets a hole for a block, and no state of the index says so after a crash.
// In this order, each step before the next:
//
//  1. the bits go off in memory, and the count of evictions goes up. A reader who was
//     reading the file meanwhile finds one or the other, and looks again;
//  2. the index says the same, durably, written between two rounds of the syncer: no bit is
//     on in memory then whose bytes are neither durable nor known as unsynced;
//  3. the holes are punched.
//
// From 1 to 3, a Put of one of the blocks waits. Dying between 2 and 3 leaves bytes that
// nothing says are there; they are punched by the next Open of a bounded store. When 2 fails
// the blocks are present again. When a hole cannot be punched, the block is missing and
// keeps its room.
//
// It blocks for the disk and for the syncer, so it is not called from there, nor under a
// lock. One goes after another.
func (s *Store) Evict(list []Eviction) (freed int64, err error) {
	if len(list) == 0 {
		return 0, nil
	}
	s.evicting.Lock()
	defer s.evicting.Unlock()
	if err := s.noteEvicting(); err != nil {
		return 0, fmt.Errorf("evict: %w", err)
	}
	var going []*leaving
	for _, e := range list {
		if l := e.Blob.leave(e.Extents); l != nil {
			going = append(going, l)
			freed += l.bytes
		}
	}
	if len(going) == 0 {
		return 0, nil
	}
	step("evict: bits off")
	if err := s.call(func() error { return s.writeLeft(going) }); err != nil {
		for _, l := range going {
			l.stay()
		}
		return 0, fmt.Errorf("evict: %w", err)
	}
	step("evict: bits written")
	for _, l := range going {
		err = errors.Join(err, l.punch())
	}
	step("evict: holes punched")
	return freed, err
}

// evictedName is a file beside the index that says that blobs may have holes where there were
// blocks. It is there, durably, before the first hole is.
const evictedName = "evicted"

// findEvicted looks for that file.
func (s *Store) findEvicted() {
	_, err := s.state.Lstat(evictedName)
	s.evicted.Store(err == nil)
}

// noteEvicting has that file be there.
func (s *Store) noteEvicting() error {
	if s.evicted.Load() {
		return nil
	}
	f, err := openRegularAs(s.state, evictedName, os.O_CREATE|os.O_RDWR)
	if err == nil {
		err = errors.Join(f.Close(), s.stateDir.Sync())
	}
	s.evicted.Store(err == nil)
	return err
}

// leaving is what is being taken out of one blob. It holds a reference to the blob's file.
type leaving struct {
	blob   *Blob
	blocks bitmap
	runs   []Extent // the same, as extents
	bytes  int64
	over   chan struct{} // closed when a Put may go on
}

// leave turns off the bits of the blocks that can go, and returns them; nil if there are
// none.
func (b *Blob) leave(extents []Extent) *leaving {
	if b.Acquire() != nil {
		return nil // given up meanwhile
	}
	b.writes.Lock() // no Put is between its look at what is missing and its write
	l := b.leaveLocked(extents)
	b.writes.Unlock()
	if l == nil {
		b.Release()
	}
	return l
}

// leaveLocked turns off the bits of the present blocks within the extents and returns what
// leaves; nil if the blob may not lose blocks or has none there. Bits that were still to be
// made durable are taken out of the next sync, too. The caller holds the lock of b's writes.
func (b *Blob) leaveLocked(extents []Extent) *leaving {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := &b.mu
	if m.published || m.publish != nil || m.abandoned || m.replaces != (standing{}) || b.fileShared || b.bits == nil || b.file.Load() == nil {
		return nil
	}
	if !b.notInUseLocked() {
		return nil
	}
	l := &leaving{blob: b, blocks: newBitmap(b.geo.blocks()), over: make(chan struct{})}
	for _, e := range extents {
		first, end := b.geo.within(e.Off, e.N)
		for i := b.bits.next(first, end, true); i < end; i = b.bits.next(i+1, end, true) {
			off, n := b.geo.extent(i, i+1)
			b.present.Add(-n)
			b.bits.clear(i)
			l.blocks.set(i)
			l.bytes += n
			if k := len(l.runs) - 1; k >= 0 && l.runs[k].Off+l.runs[k].N == off {
				l.runs[k].N += n
			} else {
				l.runs = append(l.runs, Extent{off, n})
			}
		}
	}
	if l.bytes == 0 {
		return nil
	}
	b.evictions.Add(1) // after the bits: see readStored
	for chunk, w := range m.unsynced {
		left := l.blocks.chunk(chunk)
		for k := range w {
			w[k] &^= left[k]
		}
	}
	b.leaving.Store(l)
	b.checkLocked()
	return l
}

// writeLeft makes it durable that blocks have gone. It runs between two rounds of the
// syncer: no blocks are claimed, so the bits that are on and not unsynced have their bytes
// on disk.
func (s *Store) writeLeft(going []*leaving) error {
	batch := s.index.batch()
	for _, l := range going {
		for chunk := int64(0); chunk*chunkBlocks < l.blob.geo.blocks(); chunk++ {
			if l.blocks.chunk(chunk) != (words{}) {
				w := l.blob.durableBits(chunk)
				batch.setChunk(l.blob.gen, chunk, &w)
			}
		}
	}
	err := s.index.write(batch)
	s.sayFailing(err)
	if isFull(err) {
		s.squeeze()
	}
	return err
}

// punch gives the room back.
func (l *leaving) punch() error {
	b := l.blob
	l.check()
	f := b.file.Load()
	var errs []error
	for _, run := range l.runs {
		n := run.N
		if run.Off+n == b.version.Size {
			n = (n + diskBlock - 1) / diskBlock * diskBlock // the disk's last block is given back only as a whole
		}
		if err := punch(f, run.Off, n); err != nil {
			errs = append(errs, fmt.Errorf("evict %q [%d +%d): %w", b.name, run.Off, run.N, err))
		}
	}
	b.store.account.counted(b.growth())
	l.end()
	return errors.Join(errs...)
}

// stay turns the bits on again: the index could not be written. It may have been, all the
// same; so they wait for the next sync like new ones.
func (l *leaving) stay() {
	b := l.blob
	b.mu.Lock()
	fresh := b.mu.unsynced == nil
	l.eachBlock(b.markLocked)
	if fresh && b.mu.unsynced != nil {
		b.mu.refs++ // the sync lets go of it
	}
	b.checkLocked()
	b.mu.Unlock()
	b.store.touch(b)
	l.end()
}

// end has Puts go on.
func (l *leaving) end() {
	l.blob.leaving.Store(nil)
	close(l.over)
	l.blob.Release()
}

// eachBlock calls do for each block that is being taken out, in order.
func (l *leaving) eachBlock(do func(i int64)) {
	blocks := l.blob.geo.blocks()
	for i := l.blocks.next(0, blocks, true); i < blocks; i = l.blocks.next(i+1, blocks, true) {
		do(i)
	}
}

// check panics where a hole is about to be punched into a block that the index or memory has
// as present. It does nothing unless the program is built with the tag lockcheck.
//
// INVARIANT: a block that the index says is there is never a hole.
func (l *leaving) check() {
	if !lockorder.Checked {
		return
	}
	b := l.blob
	err := b.store.index.chunks(b.gen, func(c int64, w *words) {
		w.eachBit(c, func(i int64) {
			if i < b.geo.blocks() && l.blocks.has(i) {
				panic(fmt.Sprintf("blob of %q: block %d is about to be a hole, and the index has it", b.name, i))
			}
		})
	})
	if err != nil {
		panic(fmt.Sprintf("blob of %q: %v", b.name, err))
	}
	l.eachBlock(func(i int64) {
		if b.bits.has(i) {
			panic(fmt.Sprintf("blob of %q: block %d is about to be a hole, and was put", b.name, i))
		}
	})
}

// toWrite locks writes once none of [off +n) is being taken out.
func (b *Blob) toWrite(off, n int64) {
	for {
		b.writes.Lock()
		l := b.leaving.Load()
		if l == nil {
			return
		}
		if first, end := b.geo.cover(off, n); l.blocks.next(first, end, true) == end {
			return
		}
		b.writes.Unlock()
		<-l.over
	}
}

// isHole reports whether what a read-only store has just read may be a hole that another
// process has punched since the index was copied.
func (b *Blob) isHole(f *os.File, off, n int64) bool {
	return b.store.readOnly() && !b.Published() && inHole(f, off, n)
}
