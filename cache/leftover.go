package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// tempPrefix begins the name of each directory with the copy of an index.
	tempPrefix = "dlfs-state-"
	// tempLock is a file in such a directory. Its process holds a lock of it (flock(2)), which
	// the kernel releases when the process ends, also after kill -9.
	tempLock = "dlfs.in-use"
)

// lockTemp marks a directory made by makeTemp as one that is in use. The file has its name only
// once it is locked, so that removeLeftovers never sees it without its lock. Where the
// filesystem has no locks there is no mark, and the directory is never removed by another process.
func lockTemp(dir *os.Root) (*os.File, error) {
	// The file is first made under another name, and gets its own by a rename once it is locked.
	f, err := dir.OpenFile(tempLock+".new", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	// Without a lock the file keeps the other name, under which removeLeftover does not look for it.
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return f, nil
	}
	if err := dir.Rename(tempLock+".new", tempLock); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// removeLeftovers removes the copies of indexes that killed processes of this user left in
// parent. A copy that cannot be removed stays, since no question fails because of it.
func removeLeftovers(parent string, log *slog.Logger) {
	root, err := openRoot(parent)
	if err != nil {
		return // makeTemp says so
	}
	defer root.Close()
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		log.Debug("left-over copies of states cannot be looked for", "dir", parent, "err", err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), tempPrefix) || !e.IsDir() {
			continue
		}
		if err := removeLeftover(root, e.Name()); err != nil {
			log.Debug("a left-over copy of a state cannot be removed", "dir", parent, "name", e.Name(), "err", err)
		}
	}
}

// removeLeftover removes one directory if it is a copy that no process uses. The lock goes last,
// so that the next question goes on where a kill ended this one.
func removeLeftover(parent *os.Root, name string) (err error) {
	dir, err := openOwnDir(parent, name)
	if err != nil {
		return err
	}
	defer dir.Close()
	lock, err := openRegularAs(dir, tempLock, os.O_RDWR)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a directory of the user, or a copy that is just being made
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	// If the lock can be had, the process that made the copy has ended.
	err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(dir.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() == tempLock {
			continue
		}
		if err := dir.RemoveAll(e.Name()); err != nil {
			return err
		}
	}
	if err := dir.Remove(tempLock); err != nil {
		return err
	}
	return parent.Remove(name)
}

// openOwnDir opens a directory that belongs to this user, and follows no link.
func openOwnDir(parent *os.Root, name string) (*os.Root, error) {
	seen, err := parent.Lstat(name)
	if err != nil {
		return nil, err
	}
	if owner := seen.Sys().(*syscall.Stat_t).Uid; !seen.IsDir() || int(owner) != os.Geteuid() {
		return nil, fmt.Errorf("%s is no directory of this user: %w", name, fs.ErrPermission)
	}
	dir, err := parent.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	// Another process may have put a link in the place of the directory after Lstat has seen it.
	opened, err := dir.Stat(".")
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("%s was replaced while it was opened", name)
	}
	if err != nil {
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}
