//go:build !linux

package cache

import (
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Where there is no Linux, the functions of system_linux.go do what POSIX can, or fail with
// EOPNOTSUPP; then the callers do without.

func punch(*os.File, int64, int64) error { return syscall.EOPNOTSUPP }

func allocate(*os.File, bool, int64) error { return nil }

func renameNew(int, string, int, string) error { return syscall.EOPNOTSUPP }

func swapNames(int, string, int, string) error { return syscall.EOPNOTSUPP }

func datasync(f *os.File) error { return f.Sync() }

func beginWriting(*os.File) {}

// spaceOf takes the counts, which are signed on some systems, as they are; those below zero
// say that the room for users is used up.
func spaceOf(st *unix.Statfs_t) (bytes, inodes int64) {
	bytes, inodes = math.MaxInt64, math.MaxInt64
	if size := int64(st.Bsize); st.Blocks > 0 && size > 0 {
		bytes = min(max(0, int64(st.Bavail)), math.MaxInt64/size) * size
	}
	if st.Files > 0 {
		inodes = max(0, int64(st.Ffree))
	}
	return bytes, inodes
}

// hasNoOwners knows FAT by its name, which is msdos on macOS and msdosfs on FreeBSD.
func hasNoOwners(st *unix.Statfs_t) bool {
	name := unix.ByteSliceToString(st.Fstypename[:])
	return name == "msdos" || name == "msdosfs" || name == "exfat"
}

func absent(*os.File, string) bool { return false }

func placeOf(dir *os.File, name string) (place, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, 0); err != nil {
		return place{}, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	return place{device: uint64(st.Dev)}, nil
}

// openElsewhere cannot be told here.
func openElsewhere(*os.File) (bool, error) { return false, syscall.EOPNOTSUPP }
