package fetch

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/cache/lockorder"
)

// shelfBuffers is how much of what readers wait for is kept in memory while the
// disk is full, as so many buffers of flights: 32 MiB.
const shelfBuffers = 64

// shelf holds blocks that readers wait for and the disk has no room for, so that
// a full disk is no reason for a read to fail. The oldest go first: who finds
// that its block has gone asks for it again. It is empty unless the disk is, or
// was until just now, full.
//
// Who fills it wakes the readers afterwards, who look at the blob, then here.
type shelf struct {
	most   int          // bytes
	blocks atomic.Int64 // how many; read without the lock

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		content map[shelved][]byte
		order   []shelved // the oldest first
	}
}

// shelved names a block on the shelf.
type shelved struct {
	fill *fill
	off  int64
}

// put keeps the blocks of p, which starts at off.
func (s *shelf) put(fi *fill, off int64, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.content == nil {
		s.mu.content = map[shelved][]byte{}
	}
	for len(p) > 0 {
		n := min(len(p), cache.BlockSize)
		key := shelved{fi, off}
		if _, there := s.mu.content[key]; !there {
			s.mu.order = append(s.mu.order, key)
			s.mu.content[key] = slices.Clone(p[:n])
		}
		p, off = p[n:], off+int64(n)
	}
	for len(s.mu.order) > s.most/cache.BlockSize {
		delete(s.mu.content, s.mu.order[0])
		s.mu.order = s.mu.order[1:]
	}
	s.blocks.Store(int64(len(s.mu.order)))
}

// has reports whether the block at off, where it begins, is here.
func (s *shelf) has(fi *fill, off int64) bool {
	if s.blocks.Load() == 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, there := s.mu.content[shelved{fi, off}]
	return there
}

// readAt reads at off as far as the shelf has it, at most to the end of the
// block; 0 means not at all.
func (s *shelf) readAt(fi *fill, p []byte, off int64) int {
	if s.blocks.Load() == 0 {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	within := off % cache.BlockSize
	block := s.mu.content[shelved{fi, off - within}]
	if within >= int64(len(block)) {
		return 0
	}
	return copy(p, block[within:])
}

// empty puts everything into the blobs, now that there is room, as far as there
// is. Blocks that find none are fetched again when somebody asks.
func (s *shelf) empty() {
	s.mu.Lock()
	content := s.mu.content
	s.mu.content, s.mu.order = nil, nil
	s.blocks.Store(0)
	s.mu.Unlock()
	for key, block := range content {
		fi := key.fill
		if fi.acquire() != nil {
			continue // given up meanwhile
		}
		if err := fi.blob.Put(key.off, block); err != nil {
			fi.file.set.log.Debug("a block kept in memory is not stored", "name", fi.file.name, "err", err)
		}
		fi.release()
		fi.file.change(func() {})
	}
}

// noteFull notes that the disk has been found full.
func (s *Set) noteFull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.full.IsZero() {
		s.mu.full = time.Now()
	}
}

// noteRoom notes that there is room again.
func (s *Set) noteRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.full = time.Time{}
}

// fullSince is when the disk was found full, zero while it has room.
func (s *Set) fullSince() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.full
}

// shelvedRead is how much of a long read is looked for at once while the shelf
// is in use, so that the end of it does not push its beginning off.
const shelvedRead = 1 << 20

// readShelved is fill.readAt with what the shelf has: ErrMissing if that is not
// enough, at once if it is empty.
func (fi *fill) readShelved(ctx context.Context, p []byte, off int64) (n int, err error) {
	if fi.file.set.shelf.blocks.Load() == 0 {
		return 0, cache.ErrMissing
	}
	if len(p) > shelvedRead {
		for n < len(p) && err == nil {
			var k int
			k, err = fi.readAt(ctx, p[n:min(n+shelvedRead, len(p))], off+int64(n))
			n += k
		}
		return n, err
	}
	for n < len(p) && err == nil {
		at := off + int64(n)
		piece := p[n:min(n+int(cache.BlockSize-at%cache.BlockSize), len(p))]
		k := fi.file.set.shelf.readAt(fi, piece, at)
		if k == 0 {
			k, err = fi.blob.ReadAt(piece, at)
		}
		n += k
	}
	if errors.Is(err, cache.ErrMissing) {
		n = 0
	}
	return n, err
}

// lacking returns the first run of [off, end) that is neither present nor
// on the shelf; n is 0 if there is none.
func (fi *fill) lacking(off, end int64) (mo, mn int64) {
	for off < end {
		mo, mn = fi.blob.Missing(off, end-off)
		if mn == 0 || fi.file.set.shelf.blocks.Load() == 0 {
			return mo, mn
		}
		until := mo + mn
		for mo < until && fi.file.set.shelf.has(fi, mo) {
			mo += cache.BlockSize
		}
		n := int64(0)
		for mo+n < until && !fi.file.set.shelf.has(fi, mo+n) {
			n += cache.BlockSize
		}
		if n > 0 {
			return mo, min(n, until-mo)
		}
		off = until
	}
	return 0, 0
}
