package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"dlfs/fs"
)

// checkPlace says in one sentence what keeps dir from being an output directory,
// which may have yet to be made.
func checkPlace(dir string) error {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return errors.New("the current directory is gone; change to another one")
	}
	there := abs
	for {
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is not a directory; give another one", there)
		}
		if err == nil {
			break
		}
		if _, err := os.Lstat(there); err == nil {
			return fmt.Errorf("%s is a symbolic link to what does not exist; give another directory", there)
		}
		if there == "/" {
			return err
		}
		there = filepath.Dir(there)
	}
	var st unix.Statfs_t
	if err := unix.Statfs(there, &st); err != nil {
		return fmt.Errorf("output directory %s: %w", there, err)
	}
	if kind := unfit(uint32(st.Type)); kind != "" && !(kind == "FUSE" && isKernels(there)) {
		return fmt.Errorf("%s is on %s, where the state of dlfs is not safe; give a directory on a local disk (\"dlfs mount --dir\")", abs, kind)
	}
	switch err := unix.Faccessat(unix.AT_FDCWD, there, unix.W_OK|unix.X_OK, unix.AT_EACCESS); {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s is on a read-only filesystem; give a directory that can be written", abs)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("%s may not be written by this user; give another directory", there)
	}
	return nil
}

// unfit names a filesystem, by its magic number, that does not keep the state:
// what is mapped, locked and synced there is not what others see, nor safe.
// Nothing is said of any other.
func unfit(magic uint32) string {
	switch magic {
	case unix.FUSE_SUPER_MAGIC:
		return "FUSE"
	case unix.NFS_SUPER_MAGIC:
		return "NFS"
	case unix.CIFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC:
		return "SMB"
	case unix.V9FS_MAGIC:
		return "9P"
	case unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC:
		return "AFS"
	case unix.CODA_SUPER_MAGIC:
		return "Coda"
	case unix.CEPH_SUPER_MAGIC:
		return "Ceph"
	}
	return ""
}

// isKernels reports whether dir, which is on FUSE, is served by no process of
// this machine: virtiofs has a host's directory, fuseblk a local disk.
func isKernels(dir string) bool {
	kind, err := fs.Kind(dir)
	return err == nil && (kind == "virtiofs" || kind == "fuseblk")
}
