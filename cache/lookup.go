package cache

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Lookup returns the blob of name as earlier runs left it, nil if nothing that
// still holds is known of it.
func (s *Store) Lookup(name string) (*Blob, error) {
	r, ok, err := s.index.record(name)
	if !ok || err != nil {
		return nil, err
	}
	return s.lookup(name, r)
}

// lookup is Lookup of a name whose record is known. A crash may have come between any two steps of
// publishing, so what the record says is compared with what stands on disk. It returns the blob of
// the record; or one that is published, if its file stands under the name already; or a new one
// without blocks, if the unfinished file is gone or was cut short; or nil, if the record is of an
// extension that was lost.
func (s *Store) lookup(name string, r record) (*Blob, error) {
	if r.published {
		return s.lookupPublished(name, r)
	}
	if s.lostExtension(r) {
		return nil, nil
	}
	b := s.blob(name, r.gen, r.version, r.note)
	if err := b.loadBits(); err != nil {
		return nil, err
	}
	if r.replaces != (standing{}) {
		b.mu.replaces, b.mu.extends = r.replaces, r.extends // b is not shared yet
		if found, err := s.lookupReplacing(b, r.replaces); found != nil || err != nil {
			return found, err
		}
	}
	info, err := s.blobs.Lstat(b.id())
	if errors.Is(err, fs.ErrNotExist) {
		// Either it was renamed and the index does not say so, because of a
		// crash or because it lost that record, or it was never begun.
		if _, err := s.adoptable(name, r.version); err == nil && r.replaces == (standing{}) {
			b.mu.own, b.mu.mtime = r.own, r.mtime // b is not shared yet
			return b, s.adopt(b)
		}
	}
	if err == nil && links(info) > 1 && (s.shared != nil && b.Complete() || s.index.lost.Load()) && !s.readOnly() && s.standsAs(b) {
		// A publish was not ended, or a power cut took half of a rename back. Other processes
		// may have adopted the file. Or the index has lost that the blocks came, without which
		// the file would not stand there.
		b.remove()
		return b, s.adopt(b)
	}
	if err == nil && links(info) > 1 && !s.readOnly() {
		// A Redo died before it took the name away, or a publish by link before
		// it took the blob's away. The name goes: blocks may be missing.
		if err := s.unpublish(b); err != nil {
			return nil, err
		}
	}
	if err == nil && info.Size() == r.version.Size || b.Present() == 0 {
		return b, b.takeStock()
	}
	s.log.Warn("unfinished file is gone or was cut short; it is fetched again", "name", name)
	again := s.fresh(name, r.version, r.note.unverified())
	again.mu.replaces = r.replaces // again is not shared yet
	return again, nil
}

// takeStock compares the bits of a blob with its file, if blocks were ever evicted here: the
// index may be older than the file. In a bounded store, what is no block is punched. It
// is called before the blob is given to a caller.
func (b *Blob) takeStock() error {
	if b.store.evicted.Load() && b.Present() > 0 {
		if err := b.dropHoles(); err != nil {
			return fmt.Errorf("look for holes in the file of %q: %w", b.name, err)
		}
	}
	b.trim()
	return nil
}

// lookupPublished checks that a published file still stands where it was put.
func (s *Store) lookupPublished(name string, r record) (*Blob, error) {
	info, err := s.root.Lstat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() != r.version.Size {
		s.log.Warn("finished file was changed or taken away; it is fetched again", "name", name)
		return nil, nil
	}
	if info.ModTime().UnixNano() != r.mtime {
		s.log.Warn("finished file has another time than it was published with; its size is right, so it is kept", "name", name)
		r.note = r.note.unverified()
	}
	b := s.blob(name, r.gen, r.version, r.note)
	b.mu.own = r.ownOf(info) // b is not shared yet
	b.bits = nil
	b.present.Store(r.version.Size)
	b.mu.published, b.mu.recorded, b.mu.mtime = true, true, info.ModTime().UnixNano()
	return b, nil
}

// MaxSize is the largest size a blob may have, in bytes: that of a file on
// ext4. It bounds what an origin can make us allocate.
const MaxSize = 16 << 40

// Create returns a new blob for a version of name. If a finished file of the
// right size already stands in the output directory, it is adopted: the blob is
// complete and published. If something else stands there, the error is an
// *InTheWayError, within an *UnfinishedError where the file may be a part of the version.
func (s *Store) Create(name string, v Version) (*Blob, error) {
	return s.create(name, v, s.adoptable)
}

// CreateProven is Create for a caller that has a digest of the whole version, and
// compares with it before it relies on what was adopted. So a file of the right size
// is adopted also if it looks unfinished: a backup restores zeros as holes.
func (s *Store) CreateProven(name string, v Version) (*Blob, error) {
	return s.create(name, v, s.fits)
}

// create is Create. adoptable judges what stands under the name: it returns the file if the blob may
// take it as it is, fs.ErrNotExist if nothing is there, else the error of what is in the way.
func (s *Store) create(name string, v Version, adoptable func(string, Version) (fs.FileInfo, error)) (*Blob, error) {
	if v.Size < 0 || v.Size > MaxSize {
		return nil, fmt.Errorf("%q is said to have %d bytes, more than any file may have here", name, v.Size)
	}
	if limit := fileLimit(); v.Size > limit {
		return nil, fmt.Errorf("%q has %d bytes, and a file may have %d here (ulimit -f); raise the limit", name, v.Size, limit)
	}
	_, err := adoptable(name, v)
	if !errors.Is(err, fs.ErrNotExist) {
		// A repair may have found another version: the file that it was to replace
		// is neither adopted nor in the way.
		if r, ok, failed := s.index.record(name); failed == nil && ok && !r.extends && s.stands(r.replaces, name) {
			b := s.blob(name, newGeneration(), v, Note{})
			b.mu.replaces = r.replaces // b is not shared yet
			s.put(b)
			return b, nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	b := s.blob(name, newGeneration(), v, Note{})
	if err == nil {
		return b, s.adopt(b)
	}
	s.put(b)
	return b, nil
}

// Occupied reports whether anything stands under name in the output directory,
// so that Create may adopt it or refuse.
func (s *Store) Occupied(name string) bool {
	_, err := s.lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// lstat is Lstat of the output directory. A name that nothing stands under, as those of a new
// list, costs one system call: os.Root opens each directory on the way.
func (s *Store) lstat(name string) (fs.FileInfo, error) {
	if absent(s.dir, name) {
		return nil, fs.ErrNotExist
	}
	return s.root.Lstat(name)
}

// fresh returns a blob of a new generation and records it with the next round,
// that is, not later than its first bits.
func (s *Store) fresh(name string, v Version, n Note) *Blob {
	b := s.blob(name, newGeneration(), v, n)
	s.put(b)
	return b
}

// newGeneration returns a random number. Two of 64 bits are the same too rarely to check for
// it.
func newGeneration() uint64 {
	var gen [8]byte
	rand.Read(gen[:])
	return binary.BigEndian.Uint64(gen[:])
}

// adopt takes the file that stands under the blob's name for the blob. It may
// be another file than the one that was verified. Neither its bytes nor its name need
// be durable: the program that wrote it may have been killed.
func (s *Store) adopt(b *Blob) error {
	if !s.readOnly() {
		if err := s.forceFile(b.name); err != nil {
			return fmt.Errorf("adopt %q: %w", b.name, err)
		}
	}
	n := b.Note().unverified()
	b.note.Store(&n)
	info, err := s.root.Lstat(b.name)
	if err != nil {
		return fmt.Errorf("adopt %q: %w", b.name, err)
	}
	own := b.record().ownOf(info) // a Withdrawal was cut short
	b.standsSince(info.ModTime().UnixNano(), own)
	if own == 0 {
		s.account.counted(allocated(info)) // from here on it is dlfs's
	}
	b.mu.Lock()
	b.present.Store(b.version.Size)
	b.mu.recorded = true
	b.mu.Unlock()
	s.put(b)
	return nil
}

// forceFile forces a file of the output directory to disk, and its name.
func (s *Store) forceFile(name string) error {
	f, err := s.openFinished(name)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	for d := path.Dir(name); ; d = path.Dir(d) {
		if err := s.syncDir(d); err != nil || d == "." {
			return err
		}
	}
}

// blob returns a blob of a generation without blocks. Neither its file nor the index is looked
// at.
func (s *Store) blob(name string, gen uint64, v Version, n Note) *Blob {
	b := &Blob{store: s, geo: geometry{v.Size}, name: name, gen: gen, version: v}
	b.bits = newBitmap(b.geo.blocks())
	b.note.Store(&n)
	return b
}

// loadBits turns on the bits the index has.
func (b *Blob) loadBits() error {
	blocks := b.geo.blocks()
	return b.store.index.chunks(b.gen, func(c int64, w *words) {
		b.mu.indexed = true // b is not shared yet
		w.eachBit(c, func(i int64) {
			if i < blocks && !b.bits.has(i) {
				b.bits.set(i)
				_, n := b.geo.extent(i, i+1)
				b.present.Add(n)
			}
		})
	})
}
