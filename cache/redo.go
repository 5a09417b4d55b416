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

// Extent is the bytes [Off +N).
type Extent struct{ Off, N int64 }

// Redo returns a new blob of the same version that lacks the blocks which touch
// a bad extent and has all others: what to do when the bytes of a complete blob
// turn out to be wrong. It takes the old one's place; a published file leaves
// the output directory. It blocks for the disk.
//
// Bits of a generation never turn off, so the new blob has a generation of its
// own, under which the old one's file goes on. Whoever still has the old blob
// open reads the same file, and so what is put in place of the wrong bytes: of
// the same version, in any case.
//
// A crash leaves the old state, or the new one. The new blob's file is a second
// name of the old one's, then the new record and bits become durable as after
// any Put, and only then does the old name go; Lookup does that if it did not
// happen.
func (b *Blob) Redo(bad []Extent) (*Blob, error) {
	n := b.store.blob(b.name, newGeneration(), b.version)
	n.mu.note = b.Note()
	n.mu.note.Verified = false
	wrong := newBitmap(b.geo.blocks())
	for _, e := range bad {
		for i, end := b.geo.cover(e.Off, e.N); i < end; i++ {
			wrong.set(i)
		}
	}
	if wrong.next(0, b.geo.blocks(), false) < b.geo.blocks() {
		if err := b.lend(n); err != nil {
			return nil, fmt.Errorf("redo %q: %w", b.name, err)
		}
		n.markAllBut(wrong)
		b.store.touch(n)
	}
	b.store.put(n)
	if err := b.store.Sync(context.Background()); err != nil { // ends with the store at the latest
		n.Abandon()
		b.store.put(b)
		return nil, fmt.Errorf("redo %q: %w", b.name, err)
	}
	return n, b.giveUpName()
}

// lend makes the file of b the file of n, too. Where the filesystem knows no
// second names, n takes it away; a crash then costs all of it.
func (b *Blob) lend(n *Blob) error {
	if err := b.Acquire(); err != nil { // its descriptor outlives its name
		return err
	}
	defer b.Release()
	dir, name := b.store.blobsDir, b.id()
	if b.Published() {
		parent, err := b.store.root.Open(path.Dir(b.name))
		if err != nil {
			return err
		}
		defer parent.Close()
		dir, name = parent, path.Base(b.name)
	}
	err := unix.Linkat(int(dir.Fd()), name, int(b.store.blobsDir.Fd()), n.id(), 0)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EMLINK) {
		err = unix.Renameat(int(dir.Fd()), name, int(b.store.blobsDir.Fd()), n.id())
	}
	if err != nil {
		return err
	}
	f, err := b.store.blobs.OpenFile(n.id(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := f.Sync(); err != nil { // not all of b need be durable yet
		return errors.Join(err, f.Close())
	}
	n.file.Store(f)
	return nil
}

// markAllBut turns on all bits but the wrong ones, to be made durable by the
// next sync.
func (b *Blob) markAllBut(wrong bitmap) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.geo.blocks() {
		if !wrong.has(i) {
			b.markLocked(i)
		}
	}
	if b.mu.unsynced != nil {
		b.mu.refs++ // the sync lets go of it
	}
}

// giveUpName removes the old blob's name, now that its file has another one.
func (b *Blob) giveUpName() error {
	if !b.Published() {
		b.Abandon()
		return nil
	}
	b.mu.Lock()
	b.mu.abandoned = true // its record is another blob's
	b.mu.Unlock()
	return b.store.unpublish(b.name)
}

// unpublish takes name out of the output directory.
func (s *Store) unpublish(name string) error {
	if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%q has wrong bytes and cannot be removed: %w", name, err)
	}
	return s.syncDir(path.Dir(name))
}

// unlinkTwin removes the name of an unfinished blob from the output directory
// if both are one file: a crash came between the two steps of a Redo, or of a
// publish, which will be done again.
func (s *Store) unlinkTwin(b *Blob) error {
	dir, err := s.root.Open(path.Dir(b.name))
	if err != nil {
		return nil // no directory, no twin
	}
	defer dir.Close()
	if !sameFile(int(dir.Fd()), path.Base(b.name), int(s.blobsDir.Fd()), b.id()) {
		return nil
	}
	return s.unpublish(b.name)
}
