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

// Withdrawal takes one published file out of the output directory, so that its room is free
// and all its blocks are missing. In this order, each step durable before the next:
//
//  1. Withdraw: the record of the name is that of another generation, without blocks. The
//     record says which file stood there;
//  2. Remove: the name goes, under which the file stood;
//  3. Finish: the directory is forced to disk. Until then a Put into Again waits, so no bit
//     of the new generation is on in the index while the file may come back.
//
// Dying after 1 leaves the file and a record that knows it: Lookup adopts the file, and it can
// be withdrawn again. A bit is never on for bytes that are gone, since the new generation
// begins without one.
type Withdrawal struct {
	blob  *Blob
	again *Blob
	file  *os.File // keeps the bytes until Finish, so that Remove is quick
	bytes int64    // on disk
}

// Blob is the blob of the file.
func (w *Withdrawal) Blob() *Blob { return w.blob }

// Again is the blob of the same version that takes the place of Blob. It has no blocks.
func (w *Withdrawal) Again() *Blob { return w.again }

// Own reports whether the blob is published, and this store has put its file there: a file
// that another program left in the output directory is not dlfs's to remove.
func (b *Blob) Own() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.published && b.mu.own != 0
}

// ownLocked is the file that this store has published as the blob; without an inode if there is
// none. The caller holds b.mu.
func (b *Blob) ownLocked() standing { return standing{b.mu.own, b.version.Size, b.mu.mtime} }

// Withdraw begins to take the files of published blobs out of the output directory. It returns
// those that can go, and the caller ends each with Remove and Finish, or with Stay. A blob is
// passed over if its file is not Own, was changed, has another name, too, or is in use: a
// caller has acquired the blob, or another program has the file open, as far as the system
// tells. InUse tells the last of these from the others, which are for good.
//
// It blocks for the disk and for the syncer, so it is not called from there, nor under a
// lock.
func (s *Store) Withdraw(blobs []*Blob) (going []*Withdrawal, err error) {
	s.evicting.Lock()
	defer s.evicting.Unlock()
	for _, b := range blobs {
		if w := b.withdraw(); w != nil {
			going = append(going, w)
		}
	}
	if len(going) == 0 {
		return nil, nil
	}
	if err := s.call(func() error { return s.recordWithdrawn(going) }); err != nil {
		for _, w := range going {
			err = errors.Join(err, w.Stay())
		}
		return nil, fmt.Errorf("withdraw finished files: %w", err)
	}
	step("withdraw: recorded")
	return going, nil
}

// withdraw begins to take the blob's file away, nil if the file has to stay. Nothing has changed
// on disk yet.
func (b *Blob) withdraw() *Withdrawal {
	b.mu.Lock()
	own := b.ownLocked()
	may := b.mu.published && b.mu.recorded && own.ino != 0 && !b.mu.withdrawn
	used := may && b.mu.refs > 0
	b.inUse.Store(used)
	b.mu.withdrawn = b.mu.withdrawn || may && !used
	b.mu.Unlock()
	if !may || used {
		return nil
	}
	f, bytes, err := b.openOwn(own)
	elsewhere := false
	if err == nil {
		elsewhere, _ = openElsewhere(f) // without an answer it goes: who has it open keeps the bytes
	}
	if err == nil && !elsewhere {
		again := b.store.blob(b.name, newGeneration(), b.version, b.Note().unverified())
		again.mu.own, again.mu.mtime, again.mu.refs = own.ino, own.mtime, 1 // again is not shared yet
		l := &leaving{blob: again, blocks: newBitmap(again.geo.blocks()), over: make(chan struct{})}
		for i := range again.geo.blocks() {
			l.blocks.set(i)
		}
		again.leaving.Store(l)
		return &Withdrawal{blob: b, again: again, file: f, bytes: bytes}
	}
	if err == nil {
		f.Close()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.inUse.Store(elsewhere)
	if b.mu.withdrawn = false; !elsewhere {
		b.mu.own = 0 // the file is another one, or has another name: it stays
	}
	return nil
}

// openOwn opens the file that stands under the blob's name if that is own, and has no
// other name. It returns what the file takes on disk.
func (b *Blob) openOwn(own standing) (*os.File, int64, error) {
	f, err := b.store.openFinished(b.name)
	if err != nil {
		return nil, 0, err
	}
	var st unix.Stat_t
	err = unix.Fstat(int(f.Fd()), &st)
	if err == nil && (standingFrom(&st) != own || st.Nlink != 1) {
		err = &InTheWayError{b.name, "was changed"}
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	return f, st.Blocks * 512, nil
}

// recordWithdrawn writes the records of the new generations, between two rounds of the
// syncer. A file that a Redo has replaced meanwhile is left out, and Remove refuses it.
func (s *Store) recordWithdrawn(going []*Withdrawal) error {
	batch := s.index.batch()
	for _, w := range going {
		if w.blob.Published() {
			s.forgetRecord(w.blob) // it would be written over this one
			batch.setRecord(w.again.name, w.again.record())
		}
	}
	err := s.index.write(batch)
	s.sayFailing(err)
	return err
}

// Remove removes the name of the file. Callers that acquired the blob since Withdraw go on
// reading, and the bytes stay on disk for as long; Acquire fails from then on. After an error
// the caller calls Stay.
func (w *Withdrawal) Remove() error {
	b := w.blob
	dir, err := b.store.root.Open(path.Dir(b.name))
	if err != nil {
		return fmt.Errorf("withdraw %q: %w", b.name, err)
	}
	defer dir.Close()
	b.mu.Lock() // an Acquire opens the file or finds the blob given up
	defer b.mu.Unlock()
	own := b.ownLocked()
	if !b.mu.published || !own.isAt(dir, path.Base(b.name)) {
		b.mu.own = 0
		return fmt.Errorf("withdraw %q: %w", b.name, &InTheWayError{b.name, "was changed"})
	}
	if err := unix.Unlinkat(int(dir.Fd()), path.Base(b.name), 0); err != nil {
		return fmt.Errorf("withdraw %q: %w", b.name, &os.PathError{Op: "unlink", Path: b.name, Err: err})
	}
	b.mu.published, b.mu.recorded, b.mu.abandoned, b.mu.own = false, false, true, 0
	b.mu.counted = w.bytes
	return nil
}

// Finish makes the removal durable, and has the room be free once no caller reads the file
// any more. Again can be filled when Finish returns. It blocks for the disk.
func (w *Withdrawal) Finish() error {
	step("withdraw: removed")
	err := w.blob.store.syncDir(path.Dir(w.blob.name))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		err = nil // the directory has gone, too
	}
	if err != nil {
		err = fmt.Errorf("withdraw %q: force its directory to disk: %w", w.blob.name, err)
	}
	err = errors.Join(err, w.file.Close())
	w.blob.mu.Lock()
	unused := w.blob.unusedLocked()
	w.blob.mu.Unlock()
	if unused {
		w.blob.remove() // counts the room
	}
	w.again.mu.Lock()
	w.again.mu.own = 0
	w.again.mu.Unlock()
	step("withdraw: finished")
	w.again.leaving.Load().end()
	return err
}

// Stay ends a withdrawal whose file was not removed. Again is of no use then. The blob is
// recorded as it was, unless another one has taken its place meanwhile.
func (w *Withdrawal) Stay() error {
	b := w.blob
	err := b.store.call(func() error {
		if b.abandoned() {
			return nil
		}
		err := b.store.writeRecord(b)
		if err != nil {
			b.store.put(b) // with the next round
		}
		return err
	})
	b.mu.Lock()
	b.mu.withdrawn = false
	b.mu.Unlock()
	w.again.giveUp()
	w.again.leaving.Load().end()
	return errors.Join(err, w.file.Close())
}

// ownOf returns the inode of a file if that is the one that the record says this store has
// published, else 0.
func (r record) ownOf(info fs.FileInfo) uint64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	own := standing{r.own, r.version.Size, r.mtime}
	if !ok || (standing{st.Ino, info.Size(), info.ModTime().UnixNano()}) != own {
		return 0
	}
	return r.own
}
