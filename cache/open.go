package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeDir makes a directory with its parents, and forces the names it made to
// disk.
func makeDir(dir string) error {
	// changed are the directories that get a new name: each has to be synced for that name to last.
	var changed []string
	for d := dir; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		changed = append(changed, filepath.Dir(d))
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, d := range changed {
		f, err := os.Open(d)
		if errors.Is(err, fs.ErrPermission) {
			continue // its owner may write to it and not read it
		}
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// OpenState opens DIR/.dlfs, and makes it if need be. It fails where Open would
// refuse it. The caller closes it.
func OpenState(dir string) (*os.File, error) {
	root, err := openRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	state, file, err := subdir(root, ".dlfs")
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return file, state.Close()
}

// subdir makes and opens a directory of the state, see openSubdir.
func subdir(parent *os.Root, name string) (*os.Root, *os.File, error) {
	if err := parent.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		if isFull(err) {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("directory %s cannot be made there: %w; give a directory on a disk", name, errors.Unwrap(err))
	}
	return openSubdir(parent, name)
}

// openSubdir opens a directory of the state that is there. What is opened is
// checked, not its name: the directory must belong to this user, root not excepted,
// and no other user may write to it. Otherwise another user could put symbolic links
// there, and badger, which opens its files by path, would follow them. A symbolic
// link in place of the directory is refused.
func openSubdir(parent *os.Root, name string) (*os.Root, *os.File, error) {
	info, err := parent.Lstat(name)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		return nil, nil, fmt.Errorf("%s is not a directory; move it away", name)
	}
	// Lstat and OpenRoot may see two directories; ownDir looks at the one that is open.
	root, err := parent.OpenRoot(name)
	if owner := info.Sys().(*syscall.Stat_t).Uid; errors.Is(err, fs.ErrPermission) && int(owner) != os.Geteuid() {
		return nil, nil, foreign(name, owner)
	}
	if err != nil {
		return nil, nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	if err := ownDir(dir, name); err != nil {
		return nil, nil, errors.Join(err, dir.Close(), root.Close())
	}
	return root, dir, nil
}

// ownDir refuses an open directory that another user owns or may write to. On FAT
// and exFAT, owner and mode are those of the mount; they have no links.
func ownDir(dir *os.File, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	me := os.Geteuid()
	if int(st.Uid) == me && st.Mode&0o022 == 0 {
		return nil
	}
	var disk unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &disk); err != nil {
		return fmt.Errorf("statfs %s: %w", name, err)
	}
	if hasNoOwners(&disk) {
		return nil
	}
	if int(st.Uid) != me {
		return foreign(name, st.Uid)
	}
	return fmt.Errorf("%s may be written to by other users (mode %04o); look into it and chmod it to 0700, or move it away", name, st.Mode&0o777)
}

// foreign returns the error of a part of the state that another user owns.
func foreign(name string, owner uint32) error {
	return fmt.Errorf("%s belongs to user %d and this is user %d; run as that user, or look into it and chown it, or move it away", name, owner, os.Geteuid())
}

// closeToOthers sets the mode of the state directory to 0700, which keeps other users from
// everything in it: the mode was changed, or the directory was copied without it. A
// filesystem without modes, such as FAT, refuses; there, the options of its mount decide.
func (s *Store) closeToOthers() error {
	info, err := s.stateDir.Stat()
	if err != nil || info.Mode().Perm() == 0o700 {
		return err
	}
	err = s.stateDir.Chmod(0o700)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
		s.log.Warn("state directory is open to others, and its mode cannot be changed", "mode", info.Mode().Perm())
		return nil
	}
	if err == nil {
		s.log.Warn("state directory was open to others, or closed to its owner; its mode is mended", "mode", info.Mode().Perm())
	}
	return err
}

// takeLock makes this process the only one with the store. The kernel
// releases the lock when the process ends, also after kill -9.
func (s *Store) takeLock() (err error) {
	if s.lock, err = openRegularAs(s.state, "lock", os.O_RDWR|os.O_CREATE); err != nil {
		return inTheWay(err)
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder := make([]byte, 200)
		n, _ := s.lock.ReadAt(holder, 0) // best effort, for the message
		return fmt.Errorf("%w by %s; stop that one, or ask it with \"dlfs status\"", ErrInUse, holder[:n])
	}
	// The text is for people alone. The lock itself is what keeps other processes out.
	if err := s.lock.Truncate(0); err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.lock, "process %d (%s)", os.Getpid(), s.opts.Owner)
	return err
}

// sweep removes the blobs that no record points at: what a crash left between a
// new generation and its record, or after a publish. Where the index has lost
// something, a blob may be without a record because of that: then the blobs are
// kept, see keepOrphans.
func (s *Store) sweep() error {
	blobs, err := fs.ReadDir(s.blobs.FS(), ".")
	if err != nil {
		return err
	}
	if len(blobs) == 0 {
		return nil
	}
	live := map[string]bool{}
	err = s.index.scan(recordPrefix, func(key, value []byte) {
		if r, ok := s.index.decode(string(key[len(recordPrefix):]), value); ok && !r.published {
			live[blobID(r.gen)] = true
		}
	})
	// A blob that a damaged record points at would look like one without a record.
	if errors.Is(err, errDamaged) {
		return nil // what is live cannot be told
	}
	if err != nil {
		return err
	}
	orphans := slices.DeleteFunc(blobs, func(e fs.DirEntry) bool {
		return live[e.Name()] || s.shared != nil && !blobName.MatchString(e.Name()) // alive, and what NFS makes
	})
	if s.index.lost.Load() {
		return s.keepOrphans(orphans)
	}
	for _, e := range orphans {
		if err := s.blobs.RemoveAll(e.Name()); err != nil {
			return err
		}
		step("orphan removed")
	}
	return nil
}

// keepOrphans moves blobs to a directory of their own, and tells how large they
// are. Their bytes are right, and only a person can tell whether they are still of
// use. dlfs never removes them.
func (s *Store) keepOrphans(orphans []fs.DirEntry) error {
	if len(orphans) == 0 {
		return nil
	}
	parent, work := s.work()
	kept := "blobs.kept-" + stamp()
	if err := parent.Mkdir(kept, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	var bytes int64
	for _, e := range orphans {
		if info, err := e.Info(); err == nil {
			bytes += allocated(info)
		}
		if err := parent.Rename(work+"/"+e.Name(), kept+"/"+e.Name()); err != nil {
			return err
		}
	}
	s.log.Warn("the state database has lost which files these bytes are of; they are kept, remove the directory when they are not needed",
		"directory", filepath.Join(s.path, ".dlfs", kept), "files", len(orphans), "bytes", bytes)
	return nil
}
