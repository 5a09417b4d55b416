package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// errAbandoned answers who wanted a blob published that was given up since.
var errAbandoned = errors.New("blob was abandoned")

// Publish asks for the blob to appear in the output directory under its name
// once it is complete and durable. It does not wait: done is called from the
// syncer, holding no lock, with nil or with why it could not be. A second call
// before that replaces done.
func (b *Blob) Publish(done func(error)) {
	b.mu.Lock()
	if b.mu.published {
		b.mu.Unlock()
		done(nil)
		return
	}
	b.mu.publish = done
	b.mu.Unlock()
	b.store.touch(b)
}

// publishAll renames every full blob of a round, forces the directories to
// disk, and records the files as published. Dying at any point in between
// leaves either the blob or the published file, and Lookup finishes the work.
func (s *Store) publishAll(claims []*claim) error {
	full := slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return !c.full })
	slices.SortFunc(full, func(a, b *claim) int { return strings.Compare(a.blob.name, b.blob.name) })
	in := inDir{store: s} // names of one directory follow one another, nearly
	var renamed []*Blob
	var refused []*claim
	for _, c := range full {
		if err := s.rename(c.blob, &in); err != nil {
			c.blob.answer(err)
			refused = append(refused, c)
			continue
		}
		renamed = append(renamed, c.blob)
	}
	err := in.leave()
	if err != nil {
		refused = full // any of the new names may be lost
	}
	unsaid := s.writeLeftOut(refused)
	if len(renamed) == 0 {
		return errors.Join(err, unsaid)
	}
	step("directories forced")
	if err != nil {
		err = fmt.Errorf("publish: %w", err)
	} else {
		unsaid = errors.Join(unsaid, s.recordPublished(renamed))
	}
	step("published")
	for _, b := range renamed {
		b.answer(err)
	}
	return errors.Join(err, unsaid)
}

// writeLeftOut writes the bits that a round left out of whole files which could not be
// published. Where the index cannot be written, the next round has their blocks again.
func (s *Store) writeLeftOut(claims []*claim) error {
	claims = slices.DeleteFunc(slices.Clone(claims), func(c *claim) bool { return !c.whole })
	if len(claims) == 0 {
		return nil
	}
	batch := s.index.batch()
	for _, c := range claims {
		batch.setBits(c)
	}
	err := s.index.write(batch)
	s.sayFailing(err)
	for _, c := range claims {
		if err != nil {
			c.blob.giveBack(c)
			s.touch(c.blob)
		}
	}
	return err
}

// recordPublished records blobs whose files stand, durably, in the output
// directory. Where the index cannot be written, the next round does it; until
// then Lookup would find the file as after a crash. That is an error for a file whose bits
// were left out: if the crash also brings back its name under blobs/, it is fetched again.
func (s *Store) recordPublished(blobs []*Blob) error {
	batch := s.index.batch()
	bare := false
	for _, b := range blobs {
		b.mu.Lock()
		b.mu.recorded = true
		indexed := b.mu.indexed
		b.mu.Unlock()
		batch.setRecord(b.name, b.record())
		if indexed {
			batch.forget(b.gen, b.version.Size)
		}
		bare = bare || !indexed
	}
	err := s.index.write(batch)
	s.sayFailing(err)
	for _, b := range blobs {
		if err != nil {
			s.put(b)
		} else {
			b.dropReplaced()
		}
	}
	if bare {
		return err
	}
	return nil
}

// answer calls the functions that were given to Publish.
func (b *Blob) answer(err error) {
	b.mu.Lock()
	done := b.mu.publish
	b.mu.publish = nil
	b.mu.Unlock()
	if done != nil {
		done(err)
	}
}

// rename moves the blob's file to its name, never over another file than the one
// it is to replace. The directory it enters is to be left.
func (s *Store) rename(b *Blob, in *inDir) error {
	dir, err := in.enter(path.Dir(b.name))
	if isFull(err) {
		return s.noSpace(err)
	}
	if err != nil {
		return fmt.Errorf("publish %q: %w", b.name, err)
	}
	step("about to rename")
	if old := b.toReplace(); old.isAt(dir, path.Base(b.name)) {
		err = s.exchange(b, old, dir, path.Base(b.name))
	} else {
		err = renameNoReplace(s.blobsDir, b.id(), dir, path.Base(b.name))
	}
	if errors.Is(err, fs.ErrExist) && s.shared == nil {
		return &InTheWayError{b.name, "appeared while it was being fetched"}
	}
	if errors.Is(err, fs.ErrExist) {
		if err := s.adoptTwin(b, dir, path.Base(b.name)); err != nil {
			return err
		}
		err = nil
	}
	if isFull(err) {
		return s.noSpace(err)
	}
	if err != nil {
		return fmt.Errorf("publish %q: %w", b.name, err)
	}
	step("renamed")
	in.changed = true
	b.stands(dir, path.Base(b.name))
	return nil
}

// inDir is the directory of the output directory that files are being moved into.
// It is opened and forced to disk once for all that are moved there in a row.
type inDir struct {
	store   *Store
	name    string
	dir     *os.File // nil for none
	changed bool     // since it was entered
	err     error    // error of forcing the directories that were left
}

// enter returns the directory of that name, made if need be. It is d's.
func (d *inDir) enter(name string) (*os.File, error) {
	if d.dir != nil && d.name == name {
		return d.dir, nil
	}
	d.leave() // an error is kept in d.err
	if err := d.store.makeParent(name); err != nil {
		return nil, err
	}
	dir, err := d.store.root.Open(name)
	if err != nil {
		return nil, err
	}
	d.name, d.dir, d.changed = name, dir, false
	return dir, nil
}

// leave forces the directory to disk, and says what that or an earlier one met.
func (d *inDir) leave() error {
	if d.dir != nil {
		if d.changed {
			d.err = errors.Join(d.err, d.dir.Sync())
		}
		d.err = errors.Join(d.err, d.dir.Close())
		d.dir = nil
	}
	return d.err
}

// makeParent makes a directory of the output directory, and has its name on disk
// before anything is moved there: the name a file has left may be gone after a
// crash although a directory above its new one is not there. Names that are on
// disk are remembered; a directory that was there may be of a killed process.
func (s *Store) makeParent(dir string) error {
	if _, err := s.root.Stat(dir); err == nil && s.named[dir] {
		return nil
	}
	if err := s.root.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for d := dir; d != "."; d = path.Dir(d) {
		if err := s.syncDir(path.Dir(d)); err != nil {
			return err
		}
	}
	s.named[dir] = true
	return nil
}

// renameNoReplace renames atomically where the filesystem can refuse to
// replace, else as linkOrRename does.
func renameNoReplace(fromDir *os.File, from string, toDir *os.File, to string) error {
	ffd, tfd := int(fromDir.Fd()), int(toDir.Fd())
	err := renameNew(ffd, from, tfd, to)
	if isUnsupported(err) {
		return linkOrRename(ffd, from, tfd, to)
	}
	return err
}

// sameFile reports whether both names are one file: a link was made, and then
// the process died.
func sameFile(adir int, a string, bdir int, b string) bool {
	var as, bs unix.Stat_t
	return unix.Fstatat(adir, a, &as, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		unix.Fstatat(bdir, b, &bs, unix.AT_SYMLINK_NOFOLLOW) == nil && as.Dev == bs.Dev && as.Ino == bs.Ino
}

// syncDir forces a directory of the output directory to disk, or a file.
func (s *Store) syncDir(name string) error {
	d, err := s.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// stands marks the blob as published, as the file of that name in dir, with the
// inode and the time that has now. If they cannot be had, the next start takes the file for
// edited.
func (b *Blob) stands(dir *os.File, name string) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		st = unix.Stat_t{}
	}
	own := st.Ino
	if b.store.shared != nil {
		own = 0 // other processes rely on the file
	}
	b.standsSince(st.Mtim.Nano(), own)
}

// standsSince takes note that the blob stands in the output directory, with this modification
// time in nanoseconds, by which a later start tells the file from another. own is its inode if
// this store has put it there, else 0.
func (b *Blob) standsSince(mtime int64, own uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.published, b.mu.mtime, b.mu.own, b.mu.replaces, b.mu.extends = true, mtime, own, standing{}, false
}

// record describes the blob as the index is to keep it.
func (b *Blob) record() record {
	b.mu.Lock()
	defer b.mu.Unlock()
	return record{gen: b.gen, version: b.version, note: b.Note(), published: b.mu.recorded, mtime: b.mu.mtime, own: b.mu.own, replaces: b.mu.replaces, extends: b.mu.extends}
}
