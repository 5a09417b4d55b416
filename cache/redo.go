package cache

import (
	"context"
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
// A published file stays in the output directory as it is until the new blob is
// published, which then replaces exactly that file. Good blocks are copied into
// the new blob. When ctx ends or the disk is full before all are copied, Redo fails
// with that error.
//
// b is abandoned. Callers that have acquired b may go on reading; Acquire fails from
// then on.
//
// Where b is not published, the new blob keeps the file: the good blocks are not
// copied, and the bad ones stay in it until they are put again, see Restore. So who
// still reads b sees bad blocks become right when they are put again. These are bytes
// of the same version.
//
// Redo blocks for the disk and for the syncer, so it is not called from there,
// nor under a lock that what was given to Publish takes. When it fails, b is as
// before; a crash leaves the one blob or the other for Lookup.
func (b *Blob) Redo(ctx context.Context, bad []Extent) (*Blob, error) {
	if err := b.Acquire(); err != nil {
		return nil, fmt.Errorf("redo %q: %w", b.name, err)
	}
	defer b.Release()
	again, err := b.relinked(bad)
	if errors.Is(err, errPublished) {
		again, err = b.replaced(ctx, bad)
	}
	if err != nil {
		return nil, fmt.Errorf("redo %q: %w", b.name, err)
	}
	return again, nil
}

// errPublished says that the file of a blob stands in the output directory.
var errPublished = errors.New("blob is published")

// relinked is Redo for a blob that is not published.
func (b *Blob) relinked(bad []Extent) (again *Blob, err error) {
	// A block may be put twice. The second write may last longer than all that
	// made the blob complete, and would end in a file that is the new blob's.
	b.writes.Lock()
	defer b.writes.Unlock()
	err = b.store.call(func() (err error) {
		again, err = b.store.redo(b, bad)
		return err
	})
	return again, err
}

// call runs f between two rounds of the syncer, and waits for it.
func (s *Store) call(f func() error) error {
	done := make(chan error, 1)
	select {
	case s.calls <- func() { done <- f() }:
		return <-done
	case <-s.stopped:
		return fs.ErrClosed
	}
}

// redo is Redo between two rounds of the syncer, so that no round writes a
// record or publishes meanwhile. In this order, each step on disk before the next:
//
//  1. all that b has is durable;
//  2. the file has the new blob's name, too;
//  3. the bits of the new generation are written, which mean nothing yet;
//  4. the record that names it is written: from here on, Lookup gives the new
//     blob;
//  5. the old blob's name goes.
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
	if b.Published() {
		return nil, errPublished
	}
	again := b.without(bad)
	again.fileShared = true // a holder of b reads the same file
	if err := s.linkAgain(b, again); err != nil {
		again.remove()
		return nil, err
	}
	step("redo: linked")
	if err := s.writeAgain(again); err != nil {
		s.put(b) // the record may have been written in spite of the error
		return nil, err
	}
	step("redo: recorded")
	s.dead = append(s.dead, b.record())
	again.inherit(b)
	b.giveUp()
	step("redo: given up")
	return again, nil
}

// Restore has all blocks of an unfinished blob that Redo returned be present, those that
// were called bad as well: the reason for that is gone. It reports false, and changes
// nothing, if the blob's file is not there or has holes. The caller compares a digest of the whole
// before it relies on the bytes. It blocks for the disk.
func (b *Blob) Restore() (bool, error) {
	info, err := b.store.blobs.Lstat(b.id())
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() != b.version.Size || b.store.readOnly() {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	b.writes.Lock()
	defer b.writes.Unlock()
	f, err := b.writable()
	if err != nil {
		return false, err
	}
	if inHole(f, 0, b.version.Size) { // evicted, or never there
		return false, nil
	}
	b.mu.Lock()
	fresh := b.mu.unsynced == nil
	for i := range b.geo.blocks() {
		b.markLocked(i)
	}
	if fresh && b.mu.unsynced != nil {
		b.mu.refs++ // the sync lets go of it
	}
	b.mu.Unlock()
	b.store.touch(b)
	return true, nil
}

// without returns a blob with all blocks of b, which is complete, but those
// that touch a bad extent.
func (b *Blob) without(bad []Extent) *Blob {
	again := b.store.blob(b.name, newGeneration(), b.version, b.Note().unverified())
	again.mu.replaces, again.mu.extends = b.toReplace(), b.Extends() // again is not shared yet
	again.bits = b.good(bad)
	blocks := b.geo.blocks()
	for i := again.bits.next(0, blocks, true); i < blocks; i = again.bits.next(i+1, blocks, true) {
		_, n := b.geo.extent(i, i+1)
		again.present.Add(n)
	}
	return again
}

// good returns the blocks that touch no bad extent.
func (b *Blob) good(bad []Extent) bitmap {
	blocks := b.geo.blocks()
	good := newBitmap(blocks)
	for i := range blocks {
		good.set(i)
	}
	for _, e := range bad {
		first, end := b.geo.cover(e.Off, e.N)
		for i := first; i < end; i++ {
			good.clear(i)
		}
	}
	return good
}

// linkAgain gives the file of b the name of again, too, with all its bytes on
// disk.
func (s *Store) linkAgain(b, again *Blob) error {
	if b.version.Size == 0 {
		return nil // the blob may have no file yet
	}
	dir := int(s.blobsDir.Fd())
	if err := unix.Linkat(dir, b.id(), dir, again.id(), 0); err != nil {
		return &os.LinkError{Op: "link", Old: b.id(), New: again.id(), Err: err}
	}
	step("redo: link made")
	info, err := s.blobs.Lstat(again.id())
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != b.version.Size {
		return fmt.Errorf("file of the blob, %s, was changed", b.id())
	}
	f, err := s.openBlob(again.gen, os.O_RDWR) // as the first Put opens it
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), s.blobsDir.Sync())
}

// writeAgain writes the bits of b, which are durable, and then its record.
func (s *Store) writeAgain(b *Blob) error {
	bits := s.index.batch()
	for c := int64(0); c*chunkBlocks < b.geo.blocks(); c++ {
		w := b.durableBits(c)
		bits.setChunk(b.gen, c, &w)
	}
	if err := s.index.write(bits); err != nil {
		return err
	}
	step("redo: bits written")
	return s.writeRecord(b)
}

// writeRecord writes the record of b now, not with the next round.
func (s *Store) writeRecord(b *Blob) error {
	batch := s.index.batch()
	batch.setRecord(b.name, b.record())
	return s.index.write(batch)
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
	if b.mu.published {
		b.mu.counted = 0 // the file stays
	}
	b.mu.published, b.mu.recorded, b.mu.abandoned, b.mu.replaces = false, false, true, standing{}
	b.mu.Unlock()
	b.remove()
}

// inherit has the bound count the file for b that it counted for old.
func (b *Blob) inherit(old *Blob) {
	old.mu.Lock()
	n := old.mu.counted
	old.mu.counted = 0
	old.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.counted = n
}

// links returns how many names a file has.
func links(info fs.FileInfo) uint64 { return uint64(info.Sys().(*syscall.Stat_t).Nlink) }
