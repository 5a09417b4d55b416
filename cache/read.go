package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// File returns the open file of a blob that is published or held, for the kernel to read from
// directly; else nil. The caller holds an Acquire and does not close it.
func (b *Blob) File() *os.File {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.published && b.mu.holds == 0 {
		return nil
	}
	return b.file.Load()
}

// ReadAt reads len(p) bytes at off, or fewer at the end of the blob, then with
// io.EOF. It never returns bytes of a missing block: the error is then
// ErrMissing. Blocks of a full disk are read from memory. The caller holds an Acquire.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.readStored(p, off)
	if err == ErrMissing && b.store.shelf.blocks.Load() > 0 {
		end := min(int64(len(p)), b.version.Size-off)
		if n, err = b.readShelved(p[:end], off); err == nil && n < len(p) {
			err = io.EOF
		}
	}
	return n, err
}

// readStored is ReadAt of what is on disk.
//
// Blocks may be taken out and come back while they are read, and then their bits say the
// same before and after: so the count of evictions is looked at, too, which goes up before
// a hole is punched.
func (b *Blob) readStored(p []byte, off int64) (int, error) {
	for {
		evictions := b.evictions.Load()
		n, err := b.readPresent(p, off)
		if b.evictions.Load() == evictions {
			return n, err
		}
	}
}

// readPresent reads blocks that are present, without a lock. It looks at the bits before and
// after the read: a sync that failed may have taken blocks back, or an eviction may have punched
// a hole while the bytes were read. Then the bytes are not used, and the error is ErrMissing.
func (b *Blob) readPresent(p []byte, off int64) (int, error) {
	n := int64(len(p))
	if off >= b.version.Size {
		return 0, io.EOF
	}
	n = min(n, b.version.Size-off)
	f := b.file.Load()
	if f == nil && n > 0 || !b.Has(off, n) {
		return 0, ErrMissing
	}
	if n > 0 {
		if k, err := f.ReadAt(p[:n], off); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF // another program has cut the file short
			}
			return k, fmt.Errorf("read %q [%d +%d): %w", b.name, off, n, err)
		}
	}
	if !b.Has(off, n) || b.isHole(f, off, n) { // a failed sync took the blocks back meanwhile, or they were evicted
		return 0, ErrMissing
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
