package cache

import (
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// The system calls of Linux that other systems have not got, or have in another form; see
// system_other.go.

// punch gives the room of [off +n) of a file back to the disk. What is read there from then
// on is zeros.
func punch(f *os.File, off, n int64) error {
	return fallocate(f, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}

// allocate gives the first n bytes of f room on the disk, where the filesystem can. The file
// is as long as before if keepSize is true, and at least n bytes long otherwise.
func allocate(f *os.File, keepSize bool, n int64) error {
	mode := uint32(0)
	if keepSize {
		mode = unix.FALLOC_FL_KEEP_SIZE
	}
	err := fallocate(f, mode, 0, n)
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// fallocate is fallocate(2), called again where a signal has interrupted it.
func fallocate(f *os.File, mode uint32, off, n int64) error {
	for {
		if err := unix.Fallocate(int(f.Fd()), mode, off, n); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// renameNew renames a file, and fails with EEXIST if the new name is taken.
func renameNew(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
}

// swapNames has each of two files get the name of the other.
func swapNames(aDir int, a string, bDir int, b string) error {
	return unix.Renameat2(aDir, a, bDir, b, unix.RENAME_EXCHANGE)
}

// datasync forces the bytes of a file to disk, and what is needed to find them.
func datasync(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// beginWriting has the kernel begin to write the bytes of a file to disk. Nothing is durable
// by that. The error is of no use: without a flag to wait the call reports no failed write
// and leaves it to fsync(2), so datasync meets what goes wrong.
func beginWriting(f *os.File) {
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE)
}

// spaceOf returns what is free. Of what a filesystem does not count, there is
// plenty: some FUSE and network filesystems report no blocks, and btrfs and FAT no
// inodes.
func spaceOf(st *unix.Statfs_t) (bytes, inodes int64) {
	bytes, inodes = math.MaxInt64, math.MaxInt64
	if st.Blocks > 0 && st.Bsize > 0 {
		bytes = int64(min(st.Bavail, uint64(math.MaxInt64/st.Bsize))) * st.Bsize
	}
	if st.Files > 0 {
		inodes = int64(min(st.Ffree, math.MaxInt64))
	}
	return bytes, inodes
}

// hasNoOwners reports whether a filesystem is FAT or exFAT, where owner and mode are those
// of the mount.
func hasNoOwners(st *unix.Statfs_t) bool {
	return st.Type == unix.MSDOS_SUPER_MAGIC || st.Type == unix.EXFAT_SUPER_MAGIC
}

// absent reports whether nothing stands under name in a directory. It reports false where one
// system call does not tell: before Linux 5.6, which has no openat2(2), and where a symbolic
// link on the way is absolute or leads out of the directory.
func absent(dir *os.File, name string) bool {
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH})
	if err == nil {
		unix.Close(fd) // nothing was written to it
	}
	return errors.Is(err, unix.ENOENT)
}

// placeOf tells the filesystem and the mount that a name in an open directory is on. A kernel
// before Linux 5.8 does not tell the mount (statx, STATX_MNT_ID); then it is 0.
func placeOf(dir *os.File, name string) (place, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(dir.Fd()), name, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil {
		return place{}, &os.PathError{Op: "statx", Path: name, Err: err}
	}
	p := place{device: unix.Mkdev(st.Dev_major, st.Dev_minor)}
	if st.Mask&unix.STATX_MNT_ID != 0 {
		p.mount = st.Mnt_id
	}
	return p, nil
}

// openElsewhere reports whether the file is open, or mapped, through any other description
// than f. It asks for a lease to write, which the kernel gives to the only one that has the
// file open (F_SETLEASE in fcntl(2)), and gives it back. The error says that the filesystem
// has no leases, or that the file belongs to another user.
func openElsewhere(f *os.File) (bool, error) {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_WRLCK)
	if errors.Is(err, unix.EAGAIN) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	_, err = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	return false, err
}
