package fetch

import (
	"bytes"
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
	fi := f.fill()
	f.mu.Unlock()
	if fi == nil || fi.blob.Version() != cache.Version(v) || fi.blob.Acquire() != nil {
		return 0, nil
	}
	defer fi.blob.Release()
	off, n := fi.blob.PresentFrom(rand.Int64N(max(v.Size, 1)))
	if n == 0 {
		return 0, nil
	}
	if n > knownBytes {
		off, n = off+rand.Int64N(n-knownBytes), knownBytes
	}
	piece = make([]byte, n)
	if _, err := fi.blob.ReadAt(piece, off); err != nil {
		return 0, nil // a sync that failed has taken it back
	}
	return off, piece
}

// contradicted reports whether p, which starts at pos, differs from what is on
// disk already. A whole stream begins with that, and where nothing else tells
// versions apart the bytes do.
func (fl *flight) contradicted(p []byte) bool {
	blob := fl.fill.blob
	end := fl.pos + int64(len(p))
	for off := fl.pos; off < end; {
		missing, n := blob.Missing(off, end-off)
		if n == 0 {
			missing = end
		}
		if missing = max(missing, off); missing > off {
			have := make([]byte, missing-off)
			// What cannot be read was taken back by a sync that failed.
			if _, err := blob.ReadAt(have, off); err == nil && !bytes.Equal(have, p[off-fl.pos:missing-fl.pos]) {
				return true
			}
		}
		off = missing + n
	}
	return false
}
