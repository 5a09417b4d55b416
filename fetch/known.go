package fetch

import (
	"math/rand/v2"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// knownBytes is how long a piece is that is compared when it is doubted that an
// answer is of the file's version.
const knownBytes = 16 << 10

// known returns a piece of the file, at random, that is present in the version v;
// none if there is none.
func (f *File) known(v origin.Version) (off int64, piece []byte) {
	f.mu.Lock()
	blob := f.mu.blob
	f.mu.Unlock()
	if blob == nil || blob.Version() != cache.Version(v) || blob.Acquire() != nil {
		return 0, nil
	}
	defer blob.Release()
	off, n := blob.PresentFrom(rand.Int64N(max(v.Size, 1)))
	if n == 0 {
		return 0, nil
	}
	if n > knownBytes {
		off, n = off+rand.Int64N(n-knownBytes), knownBytes
	}
	piece = make([]byte, n)
	if _, err := blob.ReadAt(piece, off); err != nil {
		return 0, nil // a sync that failed has taken it back
	}
	return off, piece
}
