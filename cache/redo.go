package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// Extent is [Off +N), in bytes.
type Extent struct{ Off, N int64 }

// Redo gives up what b says of the blocks that touch a bad extent, because the
// bytes turned out not to be the origin's. b is complete, published or not. Redo
// returns another blob of the same version, under a new generation, that has all
// other blocks of b, durable as they are. It has b's note, not verified. If no
// block is left, it is a blob like a new one.
//
// A published file leaves the output directory before Redo returns. b is
// abandoned. Who holds it goes on reading; nobody can acquire it any more.
//
// The new blob keeps the file: the good blocks are not copied. So who still
// reads b, or has another link to its file, sees bad blocks become right when
// they are put again. These are bytes of the same version. If no block is left,
// the file is another one.
//
// Redo blocks for the disk and for the syncer, so it is not called from there,
// nor under a lock that what was given to Publish takes. When it fails, b is as
// before; a crash leaves the one blob or the other for Lookup.
func (b *Blob) Redo(bad []Extent) (*Blob, error) {
	// A block may be put twice. The second write may last longer than all that
	// made the blob complete, and would end in a file that is the new blob's.
	b.writes.Lock()
	defer b.writes.Unlock()
	var again *Blob
	done := make(chan error, 1)
	call := func() {
		var err error
		again, err = b.store.redo(b, bad)
		done <- err
	}
	select {
	case b.store.calls <- call:
	case <-b.store.stopped:
		return nil, fs.ErrClosed
	}
	if err := <-done; err != nil {
		return nil, fmt.Errorf("redo %q: %w", b.name, err)
	}
	return again, nil
}

// redo is Redo between two rounds of the syncer, so that no round writes a
// record or publishes meanwhile. In this order, each step on disk before the
// next:
//
//  1. all that b has is durable;
//  2. the file has the new blob's name, too;
//  3. the bits of the new generation are written, which mean nothing yet;
//  4. the record that names it is written: from here on, Lookup gives the new
//     blob, and does 5 if a crash came before;
//  5. the published name goes, if there is one.
//
// The file loses no byte in all this, so neither name ever shows a hole.
func (s *Store) redo(b *Blob, bad []Extent) (*Blob, error) {
	b.answer(errAbandoned) // nor is it published by the round
	if err := s.round(); err != nil {
		return nil, err
	}
	if !b.Complete() || b.abandoned() {
		return nil, errors.New("blob is not complete or was abandoned")
	}
	step("redo: all is durable")
	again := b.without(bad)
	if err := s.linkAgain(b, again); err != nil {
		again.remove()
		return nil, err
	}
	step("redo: linked")
	if err := s.writeAgain(again); err != nil {
		s.put(b) // it may have been written all the same
		return nil, err
	}
	step("redo: recorded")
	if err := s.unpublish(again); err != nil {
		s.put(b)
		return nil, err
	}
	step("redo: unpublished")
	s.dead = append(s.dead, b.record())
	b.giveUp()
	step("redo: given up")
	if again.Present() == 0 {
		again.remove()
	}
	return again, nil
}

// without returns a blob with all blocks of b, which is complete, but those
// that touch a bad extent.
func (b *Blob) without(bad []Extent) *Blob {
	again := b.store.blob(b.name, newGeneration(), b.version, b.Note().unverified())
	blocks := b.geo.blocks()
	for i := range blocks {
		again.bits.set(i)
	}
	for _, e := range bad {
		first, end := b.geo.cover(e.Off, e.N)
		for i := first; i < end; i++ {
			again.bits.clear(i)
		}
	}
	for i := again.bits.next(0, blocks, true); i < blocks; i = again.bits.next(i+1, blocks, true) {
		_, n := b.geo.extent(i, i+1)
		again.present.Add(n)
	}
	return again
}

// linkAgain gives the file of b the name of again, too, with all its bytes on
// disk: a file that was adopted may never have been synced.
func (s *Store) linkAgain(b, again *Blob) error {
	from, name := s.blobsDir, b.id()
	if b.Published() {
		dir, err := s.root.Open(path.Dir(b.name))
		if err != nil {
			return err
		}
		defer dir.Close()
		from, name = dir, path.Base(b.name)
	} else if b.version.Size == 0 {
		return nil // it may have no file yet
	}
	if err := unix.Linkat(int(from.Fd()), name, int(s.blobsDir.Fd()), again.id(), 0); err != nil {
		return &os.LinkError{Op: "link", Old: name, New: again.id(), Err: err}
	}
	step("redo: link made")
	info, err := s.blobs.Lstat(again.id())
	if err != nil {
		return err
	}
	if !b.isFile(info) {
		return &InTheWayError{b.name, "was changed"}
	}
	f, err := s.openBlob(again.gen, os.O_RDWR) // as the first Put will
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), s.blobsDir.Sync())
}

// isFile reports whether info is of the blob's file, as far as can be told: the
// name of a published one may have been given to another.
func (b *Blob) isFile(info fs.FileInfo) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return info.Mode().IsRegular() && info.Size() == b.version.Size &&
		(!b.mu.published || info.ModTime().UnixNano() == b.mu.mtime)
}

// writeAgain writes the bits of b, which are durable, and then its record.
func (s *Store) writeAgain(b *Blob) error {
	bits := s.index.batch()
	for c := int64(0); c*chunkBlocks < b.geo.blocks(); c++ {
		w := b.bits.chunk(c)
		bits.setChunk(b.gen, c, &w)
	}
	if err := s.index.write(bits); err != nil {
		return err
	}
	step("redo: bits written")
	record := s.index.batch()
	record.setRecord(b.name, b.record())
	return s.index.write(record)
}

// unpublish takes the blob's name out of the output directory if its file
// stands there.
func (s *Store) unpublish(b *Blob) error {
	dir, err := s.root.Open(path.Dir(b.name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	if !sameFile(int(dir.Fd()), path.Base(b.name), int(s.blobsDir.Fd()), b.id()) {
		return nil
	}
	if err := unix.Unlinkat(int(dir.Fd()), path.Base(b.name), 0); err != nil {
		return &os.PathError{Op: "unlink", Path: b.name, Err: err}
	}
	step("name removed")
	return dir.Sync()
}

// giveUp abandons a blob whose file is another's now.
func (b *Blob) giveUp() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.published, b.mu.recorded, b.mu.abandoned = false, false, true
	b.remove()
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }
