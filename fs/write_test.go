//go:build linux

package fs

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNothingCanBeWritten(t *testing.T) {
	x := newRig(t)
	x.add("file", 10)
	x.add("dir/file", 10)
	x.start()
	file, dir, fresh := x.path("file"), x.path("dir"), x.path("fresh")
	held := x.open("file")
	fd := int(held.Fd())
	open := func(path string, flags int) func() error {
		return func() error {
			fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
			if err == nil {
				unix.Close(fd)
			}
			return err
		}
	}
	for name, try := range map[string]func() error{
		"O_WRONLY":         open(file, unix.O_WRONLY),
		"O_RDWR":           open(file, unix.O_RDWR),
		"O_TRUNC":          open(file, unix.O_RDONLY|unix.O_TRUNC),
		"O_WRONLY|O_TRUNC": open(file, unix.O_WRONLY|unix.O_TRUNC),
		"O_APPEND":         open(file, unix.O_WRONLY|unix.O_APPEND),
		"O_CREAT":          open(fresh, unix.O_RDONLY|unix.O_CREAT),
		"O_CREAT|O_EXCL":   open(fresh, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL),
		"O_CREAT in dir":   open(filepath.Join(dir, "fresh"), unix.O_WRONLY|unix.O_CREAT),
		"O_CREAT existing": open(file, unix.O_WRONLY|unix.O_CREAT),
		"O_TMPFILE":        open(dir, unix.O_WRONLY|unix.O_TMPFILE),
		"mkdir":            func() error { return unix.Mkdir(fresh, 0o755) },
		"rmdir":            func() error { return unix.Rmdir(dir) },
		"unlink":           func() error { return unix.Unlink(file) },
		"rename":           func() error { return unix.Rename(file, fresh) },
		"rename over":      func() error { return unix.Rename(file, x.path("dir/file")) },
		"link":             func() error { return unix.Link(file, fresh) },
		"symlink":          func() error { return unix.Symlink("file", fresh) },
		"chmod":            func() error { return unix.Chmod(file, 0o600) },
		"fchmod":           func() error { return unix.Fchmod(fd, 0o600) },
		"chmod of dir":     func() error { return unix.Chmod(dir, 0o700) },
		"chown":            func() error { return unix.Chown(file, 1, 1) },
		"fchown":           func() error { return unix.Fchown(fd, 1, 1) },
		"utimes":           func() error { return unix.Utimes(file, make([]unix.Timeval, 2)) },
		"utimensat":        func() error { return unix.UtimesNano(file, make([]unix.Timespec, 2)) },
		"truncate":         func() error { return unix.Truncate(file, 0) },
		"setxattr":         func() error { return unix.Setxattr(file, xattrState, []byte("x"), 0) },
		"setxattr own":     func() error { return unix.Setxattr(file, "user.own", []byte("x"), 0) },
		"fsetxattr":        func() error { return unix.Fsetxattr(fd, "user.own", []byte("x"), 0) },
		"removexattr":      func() error { return unix.Removexattr(file, xattrState) },
		"mknod":            func() error { return unix.Mknod(fresh, unix.S_IFREG|0o644, 0) },
		"mkfifo":           func() error { return unix.Mkfifo(fresh, 0o644) },
		"access":           func() error { return unix.Access(file, unix.W_OK) },
	} {
		if err := try(); !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: %v, want %v", name, err, syscall.EROFS)
		}
	}
	if _, err := os.Lstat(fresh); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("fresh: %v", err)
	}
	x.read(held, "file", 0, 10)
	x.read(x.open("file"), "file", 0, 10)
}
