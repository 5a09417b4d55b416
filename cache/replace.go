package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// standing identifies a file of the output directory that a blob is to replace.
// The zero value is none.
type standing struct {
	ino   uint64
	size  int64
	mtime int64 // nanoseconds
}

// standingFrom is what a stat tells of a file.
func standingFrom(st *unix.Stat_t) standing { return standing{st.Ino, st.Size, st.Mtim.Nano()} }

// standingNamed returns the regular file of that name in the output directory.
func (s *Store) standingNamed(name string) (standing, error) {
	dir, err := s.root.Open(path.Dir(name))
	if err != nil {
		return standing{}, err
	}
	defer dir.Close()
	return standingAt(dir, path.Base(name))
}

// standingAt returns the regular file of that name in dir.
func standingAt(dir *os.File, name string) (standing, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return standing{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return standing{}, &InTheWayError{name, "is not a regular file"}
	}
	return standingFrom(&st), nil
}

// isAt reports whether the file still has that name in dir, and has not changed.
func (st standing) isAt(dir *os.File, name string) bool {
	if st == (standing{}) {
		return false
	}
	now, err := standingAt(dir, name)
	return err == nil && now == st
}

// stands reports whether the file is still in the output directory under name.
func (s *Store) stands(st standing, name string) bool {
	if st == (standing{}) {
		return false
	}
	now, err := s.standingNamed(name)
	return err == nil && now == st
}

// standsAs reports whether the file of b has its name in the output directory, and
// under blobs/, too.
func (s *Store) standsAs(b *Blob) bool {
	dir, err := s.root.Open(path.Dir(b.name))
	if err != nil {
		return false
	}
	defer dir.Close()
	return sameFile(int(dir.Fd()), path.Base(b.name), int(s.blobsDir.Fd()), b.id())
}

// Replaces reports whether the blob is to replace a file with wrong bytes, or an
// unfinished one (see Extends), which stays in the output directory until the blob is
// published.
func (b *Blob) Replaces() bool { return b.toReplace() != standing{} }

// toReplace returns which finished file the blob replaces, the zero standing if none.
func (b *Blob) toReplace() standing {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.mu.replaces
}

// replaced is Redo for a published blob: the published file is neither written to
// nor removed. It returns a blob that replaces the file when it is published. In
// this order, each step on disk before the next:
//
//  1. the good blocks are copied into the new blob, which no record names yet;
//  2. their bits are written;
//  3. the record of the new blob is written, which identifies the old file: from
//     here on, Lookup gives the new blob.
func (b *Blob) replaced(ctx context.Context, bad []Extent) (*Blob, error) {
	old, err := b.standing()
	if err != nil {
		return nil, err
	}
	again := b.store.blob(b.name, newGeneration(), b.version, b.Note().unverified())
	again.mu.replaces = old // again is not shared yet
	if err := b.copyGood(ctx, again, bad); err != nil {
		again.giveUp()
		return nil, err
	}
	if err := b.store.call(func() error { return b.store.replace(b, again) }); err != nil {
		return nil, err
	}
	return again, nil
}

// standing identifies the file of a published blob, if that is still there.
func (b *Blob) standing() (standing, error) {
	old, err := b.store.standingNamed(b.name)
	if err != nil {
		return standing{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.mu.published || old.size != b.version.Size || old.mtime != b.mu.mtime {
		return standing{}, &InTheWayError{b.name, "was changed"}
	}
	return old, nil
}

// copyGood puts the blocks of b that touch no bad extent into again. The caller
// holds an Acquire of b.
func (b *Blob) copyGood(ctx context.Context, again *Blob, bad []Extent) error {
	if err := again.Acquire(); err != nil {
		return err
	}
	defer again.Release()
	const atOnce = 16 // blocks
	buf := make([]byte, atOnce*BlockSize)
	good, blocks := b.good(bad), b.geo.blocks()
	for i := good.next(0, blocks, true); i < blocks; {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		end := good.next(i, min(i+atOnce, blocks), false)
		off, n := b.geo.extent(i, end)
		if _, err := b.ReadAt(buf[:n], off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if err := again.Put(off, buf[:n]); err != nil {
			return err
		}
		i = good.next(end, blocks, true)
	}
	return nil
}

// replace writes the record of again in the place of b's, between two rounds of
// the syncer.
func (s *Store) replace(b, again *Blob) error {
	err := s.round()
	step("replace: copied")
	if err == nil {
		var old standing
		if old, err = b.standing(); err == nil && old != again.toReplace() {
			err = &InTheWayError{b.name, "was changed"}
		}
	}
	if err != nil {
		again.giveUp()
		return err
	}
	if err := s.writeRecord(again); err != nil {
		s.put(b) // the record may have been written: the file of again stays
		return err
	}
	step("replace: recorded")
	s.dead = append(s.dead, b.record())
	b.giveUp()
	return nil
}

// looks is what a file that replaces another has from it.
type looks struct {
	mode     os.FileMode // permissions
	uid, gid int
}

// looksOf returns the mode and the owner of a file, for its replacement to have them, too. A
// symbolic link is not followed.
func looksOf(dir *os.File, name string) (looks, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return looks{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return looks{os.FileMode(st.Mode).Perm(), int(st.Uid), int(st.Gid)}, nil
}

// giveTo gives the looks to an open file, durably. The owner and the group are given as
// far as this process may do so.
func (l looks) giveTo(f *os.File) error {
	if f.Chown(l.uid, l.gid) != nil {
		f.Chown(-1, l.gid) // a member of the group may
	}
	return errors.Join(f.Chmod(l.mode), f.Sync())
}

// exchange publishes the blob's file in the place of the file it replaces, with that
// file's permissions and owner. The permissions are set after the exchange: after a crash
// dlfs could not go on with a blob that its owner may not write. The old file is checked
// again after the exchange: if another program has put a file there in between, that file
// gets its name back. Where the filesystem cannot exchange two names, the blob is renamed
// over the old file.
func (s *Store) exchange(b *Blob, old standing, dir *os.File, name string) error {
	swap := func() error {
		return swapNames(int(s.blobsDir.Fd()), b.id(), int(dir.Fd()), name)
	}
	was, err := looksOf(dir, name)
	if err != nil {
		return err
	}
	err = swap()
	if isUnsupported(err) {
		if err = unix.Renameat(int(s.blobsDir.Fd()), b.id(), int(dir.Fd()), name); err == nil {
			b.look(was)
		}
		return err
	}
	if err != nil {
		return err
	}
	step("exchanged")
	if !old.isAt(s.blobsDir, b.id()) {
		if err := swap(); err != nil {
			return fmt.Errorf("file that was put in its place meanwhile is %s/%s now: %w", s.workPath(), b.id(), err)
		}
		return fs.ErrExist
	}
	b.look(was)
	b.mu.Lock()
	b.mu.exchanged = true
	b.mu.Unlock()
	return nil
}

// look gives the blob's file the looks of the file that it has replaced. The file
// stands by then, with the right bytes: what cannot be given is told, and no error.
func (b *Blob) look(l looks) {
	// The round has the file open. Its name may be another file's by now.
	if err := l.giveTo(b.file.Load()); err != nil {
		b.store.log.Warn("file has not the permissions of the one that it replaces", "name", b.name, "err", err)
	}
}

// dropReplaced removes the old file after an exchange, once the record says that
// the new one is published. What stays after a crash, the next start removes.
func (b *Blob) dropReplaced() {
	b.mu.Lock()
	exchanged := b.mu.exchanged
	b.mu.exchanged = false
	b.mu.Unlock()
	if exchanged {
		b.remove()
	}
}

// lookupReplacing finishes Lookup of a blob that replaces a finished file, where
// a crash came between the renaming of its file and its record, or the blob's file
// was lost. After a crash the file may have both names. It returns nil if the blob is as its record says.
func (s *Store) lookupReplacing(b *Blob, old standing) (*Blob, error) {
	exchanged := old.isAt(s.blobsDir, b.id())
	_, err := s.blobs.Lstat(b.id())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	linked := s.standsAs(b)
	if !exchanged && !linked && (err == nil || b.Present() == 0) {
		s.findExtended(b)
		return nil, nil
	}
	if _, err := s.adoptable(b.name, b.version); err == nil && b.Complete() && !s.stands(old, b.name) {
		if exchanged && !s.readOnly() {
			if err := s.lookAfterCrash(b); err != nil {
				return nil, err
			}
		}
		if (exchanged || linked) && !s.readOnly() {
			b.remove()
		}
		return b, s.adopt(b)
	}
	s.log.Warn("unfinished repair is gone; it is fetched again", "name", b.name)
	again := s.fresh(b.name, b.version, b.Note().unverified())
	again.mu.replaces = old // again is not shared yet
	return again, nil
}

// lookAfterCrash is look for a file that was exchanged when a crash came.
func (s *Store) lookAfterCrash(b *Blob) error {
	was, err := looksOf(s.blobsDir, b.id())
	if err != nil {
		return err
	}
	f, err := s.openFinished(b.name)
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil || int(st.Uid) != os.Geteuid() || st.Nlink > 1 {
		return err // another user's file, or one with other names, is left as it is
	}
	return was.giveTo(f)
}

// Revert gives up a blob that replaces a finished file, and returns the blob of
// that file instead, published and not verified: the reason to replace it is gone.
// It returns nil if the file is not there any more, or is of another version. It
// blocks for the disk.
func (b *Blob) Revert() (*Blob, error) {
	s := b.store
	old := b.toReplace()
	if old.size != b.version.Size || !s.stands(old, b.name) {
		return nil, nil
	}
	kept := s.blob(b.name, newGeneration(), b.version, Note{URL: b.Note().URL})
	if err := s.adopt(kept); err != nil {
		return nil, err
	}
	b.Abandon()
	return kept, nil
}
