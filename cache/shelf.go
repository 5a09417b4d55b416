package cache

import (
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"dlfs/cache/lockorder"
)

// shelf holds blocks that readers wait for and the disk has no room for, so that
// a full disk is no reason for a read to fail. The oldest go first: a reader who finds
// that its block has gone asks for it again. It is empty unless the disk is, or
// was until just now, full.
type shelf struct {
	most int64 // bytes

	since  atomic.Pointer[time.Time] // when the disk was found full; nil while it has room
	blocks atomic.Int64              // how many; read without the lock

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		content map[shelved][]byte
		order   []shelved // the oldest first
	}
}

// shelved names a block on the shelf.
type shelved struct {
	blob *Blob
	off  int64
}

// FullSince is when the disk was found full, zero while it has room. It takes no lock.
func (s *Store) FullSince() time.Time {
	if t := s.shelf.since.Load(); t != nil {
		return *t
	}
	return time.Time{}
}

// Shelved is how many bytes of blocks are kept in memory because the disk is full, rounded
// up to blocks.
func (s *Store) Shelved() int64 { return s.shelf.blocks.Load() * BlockSize }

// noteFull notes that the disk has been found full.
func (s *Store) noteFull() {
	now := time.Now()
	s.shelf.since.CompareAndSwap(nil, &now)
}

// Relieve looks whether a disk that was found full has room again, and reports so. Then
// FullSince is zero, and what was kept in memory is put into its blobs, as far as there is
// room; they are returned, since they may be complete now. Blocks that find no room are
// fetched again when a reader asks.
func (s *Store) Relieve() (blobs []*Blob, ok bool) {
	if !s.HasRoom() {
		return nil, false
	}
	s.shelf.since.Store(nil)
	filled := map[*Blob]struct{}{}
	for key, block := range s.shelf.take() {
		b := key.blob
		if b.Acquire() != nil {
			continue // given up meanwhile
		}
		if err := b.Put(key.off, block); err != nil {
			s.log.Debug("a block kept in memory is not stored", "name", b.name, "err", err)
		}
		b.Release()
		filled[b] = struct{}{}
	}
	return slices.Collect(maps.Keys(filled)), true
}

// Shelve keeps blocks in memory, which Put found no room for: [off +len(p)) must be whole
// blocks, as for Put. They are read like those on disk, until others have pushed them out.
// The caller keeps p.
func (b *Blob) Shelve(off int64, p []byte) { b.store.shelf.put(b, off, p) }

// Lacking is Missing, but takes the blocks that are kept in memory for present. It returns the first
// run of blocks in [off, off+n) that are neither on disk nor in memory; lacking is 0 if there is
// none. Without blocks in memory it costs no more than Missing.
func (b *Blob) Lacking(off, n int64) (at, lacking int64) {
	sh := &b.store.shelf
	for end := off + n; off < end; {
		mo, mn := b.Missing(off, end-off)
		if mn == 0 || sh.blocks.Load() == 0 {
			return mo, mn
		}
		until := mo + mn
		for mo < until && sh.has(b, mo) {
			mo += BlockSize
		}
		n := int64(0)
		for mo+n < until && !sh.has(b, mo+n) {
			n += BlockSize
		}
		if n > 0 {
			return mo, min(n, until-mo)
		}
		off = until
	}
	return 0, 0
}

// readShelved is ReadAt with what is kept in memory: ErrMissing if that is not enough.
func (b *Blob) readShelved(p []byte, off int64) (n int, err error) {
	for n < len(p) {
		at := off + int64(n)
		piece := p[n:min(n+int(BlockSize-at%BlockSize), len(p))]
		k := b.store.shelf.readAt(b, piece, at)
		if k == 0 {
			if k, err = b.readStored(piece, at); err != nil {
				return 0, err
			}
		}
		n += k
	}
	return n, nil
}

// put keeps copies of the blocks of p, which starts at off, unless they are kept already. Above the
// bound of the shelf the oldest blocks go.
func (sh *shelf) put(b *Blob, off int64, p []byte) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.mu.content == nil {
		sh.mu.content = map[shelved][]byte{}
	}
	for len(p) > 0 {
		n := min(len(p), BlockSize)
		key := shelved{b, off}
		if _, there := sh.mu.content[key]; !there {
			sh.mu.order = append(sh.mu.order, key)
			sh.mu.content[key] = slices.Clone(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
	for int64(len(sh.mu.order)) > sh.most/BlockSize {
		delete(sh.mu.content, sh.mu.order[0])
		sh.mu.order = sh.mu.order[1:]
	}
	sh.blocks.Store(int64(len(sh.mu.order)))
}

// has reports whether the block at off, where it begins, is here.
func (sh *shelf) has(b *Blob, off int64) bool {
	if sh.blocks.Load() == 0 {
		return false
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	_, there := sh.mu.content[shelved{b, off}]
	return there
}

// readAt reads at off as far as the shelf has it, at most to the end of the
// block; 0 means not at all.
func (sh *shelf) readAt(b *Blob, p []byte, off int64) int {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	within := off % BlockSize
	block := sh.mu.content[shelved{b, off - within}]
	if within >= int64(len(block)) {
		return 0
	}
	return copy(p, block[within:])
}

// take empties the shelf.
func (sh *shelf) take() map[shelved][]byte {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	content := sh.mu.content
	sh.mu.content, sh.mu.order = nil, nil
	sh.blocks.Store(0)
	return content
}
