package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"dlfs/fs"
)

// checkPlaces says in one sentence what keeps dir from being an output directory, and
// state, unless it is empty, from having the state of it. Both may have yet to be made.
func checkPlaces(dir, state string) error {
	if state == "" {
		return checkPlace(dir)
	}
	if err := checkDir(dir, ""); err != nil {
		return err
	}
	return checkDir(state, "give --state a directory on a local disk or on tmpfs")
}

// checkPlace is checkPlaces for an output directory in which the state lies, too.
func checkPlace(dir string) error {
	return checkDir(dir, `give a directory on a local disk ("dlfs mount --dir"), or one for the state with --state`)
}

// checkDir says what keeps dir from being written. Of a directory that is not there
// yet, the nearest one above it that is there is asked. If dir is to have the state,
// inStead says what to do where its filesystem is not safe for that (unfitDisk); it is
// "" for a directory of files alone, which may lie on any filesystem.
func checkDir(dir, inStead string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return errors.New("the current directory is gone; change to another one")
	}
	// there goes up until something exists.
	there := abs
	for {
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory; give another one", there)
		}
		if err == nil {
			break
		}
		if info, err := os.Lstat(there); err == nil && info.Mode()&os.ModeSymlink != 0 {
			return fmt.Errorf("%s is a symbolic link to what does not exist; give another directory", there)
		} else if err == nil {
			continue // another process has just made it
		}
		if there == "/" {
			return err
		}
		there = filepath.Dir(there)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(there, &st); err != nil {
		return fmt.Errorf("directory %s: %w", there, err)
	}
	if isAutomount(&st) {
		return fmt.Errorf("%s is an automount point, which holds no files; give a directory for them with --dir, in /etc/fstab with the option dir=DIR", abs)
	}
	if kind := unfitDisk(&st); kind != "" && inStead != "" && !(kind == "FUSE" && isKernels(there)) {
		return fmt.Errorf("%s is on %s, where the state of dlfs is not safe; %s", abs, kind, inStead)
	}
	// AT_EACCESS has the effective user count, as it does when the directory is written.
	switch err := unix.Faccessat(unix.AT_FDCWD, there, unix.W_OK|unix.X_OK, unix.AT_EACCESS); {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is on a read-only filesystem; give a directory that can be written", abs)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s may not be written by this user; give another directory", there)
	}
	return nil
}

// isKernels reports whether dir, which is on FUSE, is served by no process of this
// machine: virtiofs has a directory of the host, fuseblk a local disk. Both keep a
// state as safely as a disk.
func isKernels(dir string) bool {
	kind, err := fs.Kind(dir)
	return err == nil && (kind == "virtiofs" || kind == "fuseblk")
}
