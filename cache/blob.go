package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
)

var (
	// ErrMissing is returned by ReadAt for an extent that is not wholly present.
	ErrMissing = errors.New("block is missing")
	// ErrNoSpace is returned by Put when the disk is full or below the store's
	// floor. It wraps syscall.ENOSPC.
	ErrNoSpace = fmt.Errorf("disk of the output directory is full: %w", syscall.ENOSPC)
)

// Blob is the local, perhaps partial copy of one version of one origin file.
// A blob never changes its version: other bytes are another blob.
//
// All methods are safe for concurrent use. Extents are [off +n) in bytes.
type Blob struct {
	// Dependencies
	store *Store

	// Constant data
	geo     geometry
	name    string
	gen     uint64
	version Version
	bits    bitmap // nil for a blob that was loaded complete

	// Readable without a lock, written under mu.
	present  atomic.Int64 // bytes of present blocks
	failures atomic.Int64 // syncs that failed and took blocks back
	file     atomic.Pointer[os.File]

	mu struct {
		sync.Mutex
		refs      int              // users of file; it is closed at 0
		unsynced  map[int64]*words // blocks written since the last sync took them, by chunk
		published bool             // the file stands in the output directory
		abandoned bool             // the file goes when refs is 0
		publish   func(error)      // wanted; called once it is published or cannot be
		note      Note
	}
}

// Version returns the version the blob is a copy of.
func (b *Blob) Version() Version { return b.version }

// Generation is a number no other blob of the store has. It is the same after
// a restart.
func (b *Blob) Generation() uint64 { return b.gen }

// Note returns what is remembered of the blob.
func (b *Blob) Note() Note {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.note
}

// SetNote has n remembered. It is durable with the next sync.
func (b *Blob) SetNote(n Note) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.note = n; !b.mu.abandoned { // else the name's record is another blob's
		b.store.put(b)
	}
}

// Present returns the bytes of present blocks.
func (b *Blob) Present() int64 { return b.present.Load() }

// Complete reports whether every block is present. It does not say that they
// are durable: Published does.
func (b *Blob) Complete() bool { return b.present.Load() == b.version.Size }

// Published reports whether the blob is complete, durable and stands in the
// output directory under its name.
func (b *Blob) Published() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.published
}

// Has reports whether [off +n) is wholly present, as far as it lies inside the
// blob. It takes no lock.
func (b *Blob) Has(off, n int64) bool {
	_, missing := b.Missing(off, n)
	return missing == 0
}

// Missing returns the first run of missing blocks that touch [off +n), as an
// extent of whole blocks; n is 0 when there is none. It takes no lock.
func (b *Blob) Missing(off, n int64) (int64, int64) {
	first, end := b.geo.cover(off, n)
	if first == end || b.bits == nil || b.Complete() {
		return 0, 0
	}
	first = b.bits.next(first, end, false)
	if first == end {
		return 0, 0
	}
	// From first+1: were first put since, an empty run would hide what follows.
	return b.geo.extent(first, b.bits.next(first+1, end, true))
}

// Acquire keeps the blob's file open until the matching Release, so that
// ReadAt and File cost no open.
func (b *Blob) Acquire() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A blob without blocks has no file until its first Put makes one.
	if b.file.Load() == nil && (b.Present() > 0 || b.mu.published) {
		f, err := b.open()
		if err != nil {
			return err
		}
		b.file.Store(f)
	}
	b.mu.refs++
	return nil
}

// open opens the blob's file where it now stands.
func (b *Blob) open() (*os.File, error) {
	if b.mu.published {
		return b.store.root.Open(b.name)
	}
	return b.store.blobs.OpenFile(b.id(), os.O_RDWR, 0)
}

// Release undoes one Acquire.
func (b *Blob) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.releaseLocked()
}

func (b *Blob) releaseLocked() {
	if b.mu.refs--; b.mu.refs > 0 {
		return
	}
	if f := b.file.Swap(nil); f != nil {
		f.Close() // synced when it mattered: unsynced blocks hold a reference
	}
	if b.mu.abandoned {
		b.removeLocked()
	}
}

// Abandon says that the blob's version is the file's no longer: its blocks give
// their room back once nobody holds it. A published file stays.
func (b *Blob) Abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.mu.abandoned = !b.mu.published; b.mu.abandoned && b.mu.refs == 0 {
		b.removeLocked()
	}
}

func (b *Blob) removeLocked() {
	b.store.bury(b)
	if err := b.store.blobs.Remove(b.id()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.store.log.Warn("blocks of a version that is gone are not removed", "name", b.name, "err", err)
	}
}

// File returns the open file of a published blob, for the kernel to read from
// directly; nil if it is not published. The caller holds an Acquire and does
// not close it.
func (b *Blob) File() *os.File {
	if !b.Published() {
		return nil
	}
	return b.file.Load()
}

// ReadAt reads len(p) bytes at off, or fewer at the end of the blob, then with
// io.EOF. It never returns bytes of a missing block: the error is then
// ErrMissing. The caller holds an Acquire.
func (b *Blob) ReadAt(p []byte, off int64) (int, error) {
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
				err = io.ErrUnexpectedEOF // somebody cut the file short
			}
			return k, fmt.Errorf("read %q [%d +%d): %w", b.name, off, n, err)
		}
	}
	if !b.Has(off, n) { // a failed sync took the blocks back meanwhile
		return 0, ErrMissing
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Put stores p at off. [off +len(p)) must be whole blocks, the last one of the
// blob at its own length. When Put returns nil the blocks are present and
// readable; the store makes them durable later. Blocks already present are
// written again with what must be the same bytes. The caller keeps p and holds
// an Acquire.
func (b *Blob) Put(off int64, p []byte) error {
	n := int64(len(p))
	if !b.geo.whole(off, n) {
		return fmt.Errorf("put %q [%d +%d): not whole blocks of %d bytes", b.name, off, n, b.version.Size)
	}
	if b.Complete() {
		return nil
	}
	f, err := b.writable()
	if err == nil {
		err = b.store.room(n)
	}
	if err == nil {
		err = b.write(f, p, off)
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return ErrNoSpace
	}
	if err != nil {
		return fmt.Errorf("put %q [%d +%d): %w", b.name, off, n, err)
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
		if _, err := f.WriteAt(p, off); err != nil {
			return err
		}
		if b.mark(off, int64(len(p)), failures) {
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
	f, err := b.store.blobs.OpenFile(b.id(), flag, 0o644)
	if err != nil {
		return nil, err
	}
	if err := f.Truncate(b.version.Size); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	b.file.Store(f)
	return f, nil
}

// id is the blob's file name under blobs/.
func (b *Blob) id() string { return blobID(b.gen) }

func blobID(gen uint64) string { return fmt.Sprintf("%016x", gen) }
