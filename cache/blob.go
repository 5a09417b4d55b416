package cache

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/lockorder"
)

var (
	// ErrMissing is returned by ReadAt for an extent that is not wholly present.
	ErrMissing = errors.New("block is missing")
	// ErrNoSpace is returned by Put when the disk is full or below the store's
	// floor. It wraps syscall.ENOSPC.
	ErrNoSpace = fmt.Errorf("disk of the output directory is full: %w", syscall.ENOSPC)

	// ErrNoInodes is the ErrNoSpace of a filesystem that has room for bytes and
	// none for files.
	ErrNoInodes = fmt.Errorf("no inodes are left on the disk of the output directory: %w", noInodes{})
)

// Blob is the local, perhaps partial copy of one version of one origin file.
// A blob never changes its version: other bytes are another blob.
//
// All methods are safe for concurrent use. Extents are [off +n) in bytes.
type Blob struct {
	// Dependencies
	store *Store

	// Held over each write to the file, so that none is to a block that another
	// has made present; Redo holds it to have none.
	writes lockorder.RWMutex[lockorder.Writes]

	// Constant data
	geo        geometry
	name       string
	gen        uint64
	version    Version
	bits       bitmap // nil for a blob that was loaded complete
	fileShared bool   // its file is read through another copy, too: nothing is taken out of it

	// Readable without a lock, written under mu.
	note      atomic.Pointer[Note]
	present   atomic.Int64 // bytes of present blocks
	failures  atomic.Int64 // syncs that failed and took blocks back
	evictions atomic.Int64 // how often blocks were taken out; it goes up after their bits have gone off
	file      atomic.Pointer[os.File]
	inUse     atomic.Bool             // the last Evict passed over it, see InUse
	leaving   atomic.Pointer[leaving] // what is being taken out of it, nil for nothing; set while writes is held

	mu struct {
		lockorder.Mutex[lockorder.Copy]
		refs      int              // users of file; it is closed at 0
		unsynced  map[int64]*words // blocks written since the last sync took them, by chunk
		indexed   bool             // the index may have bits of it
		published bool             // the file stands in the output directory
		recorded  bool             // the record may say published: the directory is on disk
		mtime     int64            // its time when it was published, in nanoseconds
		own       uint64           // inode of the file, if this store has put it in the output directory; else 0
		withdrawn bool             // a Withdrawal of it goes on
		abandoned bool             // the file goes when refs is 0
		publish   func(error)      // wanted; called once it is published or cannot be
		replaces  standing         // the file whose place it takes when it is published
		extends   bool             // the file it replaces is unfinished, and the blob has its bytes
		exchanged bool             // the file it replaces has the blob's name under blobs/ now
		holds     int              // that were not undone yet
		claimed   bool             // a round of the syncer has some of its blocks
		counted   int64            // what its file takes on disk, as the bound counts it; in bytes
		removed   bool             // its file has no name any more
	}
}

// Version returns the version the blob is a copy of.
func (b *Blob) Version() Version { return b.version }

// ModTime is the time that the origin gave the version, zero if it gave none.
func (b *Blob) ModTime() time.Time { return b.version.ModTime() }

// Name is the name of the file.
func (b *Blob) Name() string { return b.name }

// Generation is a number no other blob of the store has. It is the same after
// a restart.
func (b *Blob) Generation() uint64 { return b.gen }

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

// PresentIn returns the bytes of the present blocks that touch [off +n). It takes no lock.
func (b *Blob) PresentIn(off, n int64) (sum int64) {
	first, end := b.geo.cover(off, n)
	if b.bits == nil {
		_, sum = b.geo.extent(first, end)
		return sum
	}
	for i := b.bits.next(first, end, true); i < end; i = b.bits.next(i+1, end, true) {
		_, n := b.geo.extent(i, i+1)
		sum += n
	}
	return sum
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

// PresentFrom returns the first present block at or after off, else the first one
// of the blob, as an extent; n is 0 if no block is present. It takes no lock.
func (b *Blob) PresentFrom(off int64) (at, n int64) {
	blocks := b.geo.blocks()
	from := min(max(off, 0)/BlockSize, max(blocks-1, 0))
	if blocks == 0 {
		return 0, 0
	}
	if b.bits == nil {
		return b.geo.extent(from, from+1)
	}
	i := b.bits.next(from, blocks, true)
	if i == blocks {
		i = b.bits.next(0, blocks, true)
	}
	if i == blocks {
		return 0, 0
	}
	return b.geo.extent(i, i+1)
}

// Acquire keeps the blob's file open until the matching Release, so that
// ReadAt and File cost no open. After Abandon and the last
// Release the error is fs.ErrClosed: the file has been removed, or is another blob's.
func (b *Blob) Acquire() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	// A blob without blocks has no file until its first Put makes one.
	if b.file.Load() == nil && (b.Present() > 0 || b.mu.published) {
		if b.mu.abandoned {
			return fmt.Errorf("acquire %q: it was given up: %w", b.name, fs.ErrClosed)
		}
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
		return b.store.openFinished(b.name)
	}
	if b.store.readOnly() {
		return b.store.openBlob(b.gen, os.O_RDONLY)
	}
	return b.store.openBlob(b.gen, os.O_RDWR)
}

// Release undoes one Acquire.
func (b *Blob) Release() {
	b.mu.Lock()
	b.mu.refs--
	if b.mu.refs == 0 {
		if f := b.file.Swap(nil); f != nil {
			f.Close() // synced when it mattered: unsynced blocks hold a reference
		}
		b.giveBackLocked()
	}
	unused := b.unusedLocked()
	b.mu.Unlock()
	if unused { // no disk is waited for under mu
		b.remove()
	}
}

// Abandon says that the file has another version now. The blob's blocks are freed
// after the last Release. A published file stays.
func (b *Blob) Abandon() {
	b.mu.Lock()
	if b.mu.published {
		b.mu.Unlock()
		return
	}
	b.mu.abandoned = true
	unused, answer := b.unusedLocked(), b.mu.publish != nil
	b.mu.Unlock()
	if unused {
		b.remove()
	}
	if answer {
		b.store.touch(b)
	}
}

// abandoned reports whether Abandon was called.
func (b *Blob) abandoned() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.abandoned
}

// unusedLocked reports whether the blob's file is to be removed: it was abandoned, and
// each Acquire has had its Release. The file of a blob that replaces a finished file stays until another
// record is written: a record without its file says that the file has been renamed to its
// name.
func (b *Blob) unusedLocked() bool {
	return b.mu.abandoned && b.mu.refs == 0 && b.mu.replaces == (standing{})
}

// remove removes the file of an abandoned blob.
func (b *Blob) remove() {
	step("blob abandoned")
	if err := b.store.blobs.Remove(b.id()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.store.log.Warn("blocks of a version that is gone are not removed", "name", b.name, "err", err)
	}
	step("blob removed")
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.removed = true
	b.giveBackLocked()
}

// giveBackLocked has the bound know that the blob's file is gone, once it has neither a name
// nor a user.
func (b *Blob) giveBackLocked() {
	if b.mu.removed && !b.mu.published && b.file.Load() == nil {
		b.store.account.counted(-b.mu.counted)
		b.mu.counted = 0
	}
}

// id is the blob's file name under blobs/.
func (b *Blob) id() string { return blobID(b.gen) }

// blobID returns the generation as 16 hexadecimal digits, the name under which the file
// of the blob lies in the state.
func blobID(gen uint64) string { return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, gen)) }

// openBlob opens the file of a generation under blobs/, never through a symbolic
// link. It does without os.Root, which has each file it opens looked over for
// whether it can be polled: six system calls instead of two.
func (s *Store) openBlob(gen uint64, flag int) (*os.File, error) {
	for {
		fd, err := unix.Openat(int(s.blobsDir.Fd()), blobID(gen), flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), blobID(gen)), nil
		case err != unix.EINTR:
			return nil, &fs.PathError{Op: "open", Path: blobID(gen), Err: err}
		}
	}
}

// noInodes is an ErrNoSpace whose text does not speak of space.
type noInodes struct{}

func (noInodes) Error() string        { return "it can have no more files" }
func (noInodes) Is(target error) bool { return target == ErrNoSpace }
func (noInodes) Unwrap() error        { return syscall.ENOSPC }
