package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"
)

// OpenReadOnly opens the store in dir for questions. It reads a copy of the index,
// made in the directory for temporary files, so nothing in dir is locked, written
// or made, not even where a process was killed, and another process may open the
// store at any time. What that one writes later is not seen.
//
// Dir may also be a state directory that is apart from its output directory; that one
// is then found.
//
// Blobs of a read-only store are as Lookup and Recorded give them. Nothing may be
// put into them, and nothing of the store is to be changed. Dir must be a store.
func OpenReadOnly(dir string, opts Options) (_ *Store, err error) {
	if opts.State == "" {
		output, err := OutputOf(dir)
		if err != nil {
			return nil, fmt.Errorf("read the state of %s: %w", dir, err)
		}
		if output != "" {
			dir, opts.State = output, dir
		}
	}
	s, err := newStore(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := s.openReadOnly(); err != nil {
		return nil, errors.Join(fmt.Errorf("read the state of %s: %w", dir, err), s.closeReadOnly())
	}
	close(s.stopped) // there is no syncer
	return s, nil
}

// openReadOnly opens a store without writing to its directory: the index is copied to a
// temporary directory and opened there. So a question about a directory changes nothing in it
// and holds no lock of it.
func (s *Store) openReadOnly() (err error) {
	if s.root, err = openRoot(s.path); err != nil {
		return err
	}
	if s.dir, err = s.root.Open("."); err != nil {
		return err
	}
	if s.state, s.stateDir, err = s.openStateReadOnly(); err != nil {
		return err
	}
	s.findEvicted()
	if s.snapshot, err = makeTemp(s.log); err != nil {
		return err
	}
	to, err := openRoot(s.snapshot)
	if err != nil {
		return err
	}
	defer to.Close()
	if s.lock, err = lockTemp(to); err != nil {
		return err
	}
	if err := s.openBlobsReadOnly(to); err != nil {
		return err
	}
	if err := copyIndex(to, s.state); err != nil {
		return err
	}
	// The copy is thrown away, so a full disk does not matter to it.
	plenty := func() error { return nil }
	s.index, err = openIndex(opener{state: to, base: s.snapshot, log: s.log, copied: true}, plenty, plenty)
	return err
}

// openStateReadOnly opens the directory of the state.
func (s *Store) openStateReadOnly() (*os.Root, *os.File, error) {
	if s.opts.State == "" {
		return openSubdir(s.root, ".dlfs")
	}
	local, err := openRoot(s.opts.State)
	if err != nil {
		return nil, nil, err
	}
	defer local.Close()
	return openSubdir(local, ".dlfs")
}

// openBlobsReadOnly opens the directory for unfinished files. If there is none, an empty
// one is made in spare.
func (s *Store) openBlobsReadOnly(spare *os.Root) (err error) {
	if s.opts.State != "" {
		return s.openWorkReadOnly(spare)
	}
	if s.blobs, s.blobsDir, err = openSubdir(s.state, "blobs"); errors.Is(err, fs.ErrNotExist) {
		s.blobs, s.blobsDir, err = subdir(spare, "blobs")
	}
	return err
}

// makeTemp makes a directory for temporary files where one can be made. It removes what killed
// processes left there first, since their copies may fill the room.
func makeTemp(log *slog.Logger) (dir string, err error) {
	for _, parent := range []string{os.TempDir(), os.Getenv("XDG_RUNTIME_DIR"), "/dev/shm", "/var/tmp"} {
		if parent == "" {
			continue
		}
		removeLeftovers(parent, log)
		dir, err2 := os.MkdirTemp(parent, tempPrefix)
		if err2 == nil {
			return dir, nil
		}
		if err == nil {
			err = fmt.Errorf("no directory for temporary files can be written (set TMPDIR to one that can): %w", err2)
		}
	}
	return "", err
}

// closeReadOnly closes what openReadOnly opened, and removes the copy.
func (s *Store) closeReadOnly() error {
	var err error
	if s.index != nil {
		err = s.index.close()
	}
	err = errors.Join(err, s.closeFiles())
	if s.snapshot != "" {
		err = errors.Join(err, os.RemoveAll(s.snapshot))
	}
	return err
}

// copyTries is how often a copy of an index is begun again because a process wrote
// to the index meanwhile.
const copyTries = 50

// copyIndex copies the files of an index that is not open, or is being opened at
// this moment. A copy whose source changed meanwhile is thrown away, so that logs,
// tables and manifest belong together.
func copyIndex(to, from *os.Root) error {
	for range copyTries {
		before, err := indexFiles(from)
		if err != nil {
			return err
		}
		// The error counts only if nothing has changed: a file may go while it is copied.
		err = copyFiles(to, from, before)
		after, err2 := indexFiles(from)
		if err2 != nil {
			return err2
		}
		if slices.Equal(before, after) {
			return err
		}
		if err := to.RemoveAll("db"); err != nil {
			return err
		}
	}
	return errors.New("another process writes to it all the time; ask again")
}

// copyFiles copies the files of an index, each under its name. The count of writes stands
// beside the directory of the index, and an older copy of it is replaced.
func copyFiles(to, from *os.Root, files []indexFile) error {
	if err := to.Mkdir("db", 0o700); err != nil {
		return err
	}
	for _, f := range files {
		name := "db/" + f.name
		if f.name == countFile {
			name = countFile
			if err := to.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if err := copyRegular(to, name, from, name); err != nil {
			return err
		}
	}
	return nil
}

// indexFile is a file of an index, and tells whether it has changed.
type indexFile struct {
	name  string
	size  int64
	mtime time.Time
}

// indexFiles returns the files of the index under state, and its count. Files of
// other programs are left out, and so are empty logs.
func indexFiles(state *os.Root) (files []indexFile, err error) {
	if info, err := state.Lstat("db"); err == nil && !info.IsDir() && !info.Mode().IsRegular() {
		return nil, errors.New("db is not a directory; move it away")
	}
	entries, err := fs.ReadDir(state.FS(), "db")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, e := range entries {
		name := e.Name()
		// LOCK is badger's own, and would keep the copy from being opened.
		known := isLog(name) || tableName.MatchString(name) || fixedName.MatchString(name) && name != "LOCK"
		if !known || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // the next look tells whether it has gone
		}
		if err != nil {
			return nil, err
		}
		if info.Size() > 0 {
			files = append(files, indexFile{name, info.Size(), info.ModTime()})
		}
	}
	if info, err := state.Lstat(countFile); err == nil && info.Mode().IsRegular() {
		files = append(files, indexFile{countFile, info.Size(), time.Time{}})
	}
	return files, nil
}
