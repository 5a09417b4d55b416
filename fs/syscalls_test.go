//go:build linux

package fs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const syscallsEnv = "DLFS_FS_TEST_SYSCALLS"

// Every system call has the answer it has on any read-only filesystem, for root
// and for an ordinary user.
func TestSystemCalls(t *testing.T) {
	if point := os.Getenv(syscallsEnv); point != "" {
		checkSyscalls(t, point)
		return
	}
	for _, user := range []bool{false, true} {
		t.Run(fmt.Sprintf("user=%v", user), func(t *testing.T) {
			x := newRig(t)
			self := "/proc/self/exe"
			if user {
				x.asUser()
				self = filepath.Join(filepath.Dir(x.config.Dir), "test") // where the user may read it
				p, err := os.ReadFile("/proc/self/exe")
				must(t, err)
				must(t, os.WriteFile(self, p, 0o755))
			}
			x.config.ControlSocket = "/nowhere/control.sock"
			x.add("file", 10*bs)
			x.add("dir/file", 10)
			x.start()
			cmd := exec.CommandContext(x.ctx, self, "-test.run=^TestSystemCalls$", "-test.v")
			cmd.Env = append(os.Environ(), syscallsEnv+"="+x.config.Point)
			cmd.Dir = "/"
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: x.cred}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			for line := range strings.Lines(string(out)) {
				if strings.Contains(line, "calls") {
					t.Log(strings.TrimSpace(line))
				}
			}
		})
	}
}

// checkSyscalls makes the calls of the table on the mount at point.
func checkSyscalls(t *testing.T, point string) {
	at := func(name string) string { return filepath.Join(point, name) }
	file, dir, none, link := at("file"), at("dir"), at("none"), at(".dlfs/control.sock")
	long := at(strings.Repeat("n", 256))
	longest := at(strings.Repeat("p/", 2100))
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	d, err := os.Open(dir)
	must(t, err)
	defer d.Close()
	fd, dfd := int(f.Fd()), int(d.Fd())
	open := func(path string, flags int) error {
		fd, err := unix.Open(path, flags|unix.O_CLOEXEC, 0o644)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	lock := func(cmd int, kind int16) error {
		return unix.FcntlFlock(uintptr(fd), cmd, &unix.Flock_t{Type: kind, Whence: 0, Start: 0, Len: 10})
	}
	one := make([]byte, 1)
	n := 0
	for _, tt := range []struct {
		name string
		want error // nil: it works
		call func() error
	}{
		// What writes.
		{"open to write", unix.EROFS, func() error { return open(file, unix.O_WRONLY) }},
		{"open to read and write", unix.EROFS, func() error { return open(file, unix.O_RDWR) }},
		{"open to truncate", unix.EROFS, func() error { return open(file, unix.O_RDONLY|unix.O_TRUNC) }},
		{"open to append", unix.EROFS, func() error { return open(file, unix.O_WRONLY|unix.O_APPEND) }},
		{"create", unix.EROFS, func() error { return open(none, unix.O_RDWR|unix.O_CREAT) }},
		{"create what is there", nil, func() error { return open(file, unix.O_RDONLY|unix.O_CREAT) }},
		{"create anew what is there", unix.EEXIST, func() error { return open(file, unix.O_RDONLY|unix.O_CREAT|unix.O_EXCL) }},
		{"create below a file", unix.ENOTDIR, func() error { return open(at("file/x"), unix.O_RDWR|unix.O_CREAT) }},
		{"create below nothing", unix.ENOENT, func() error { return open(at("none/x"), unix.O_RDWR|unix.O_CREAT) }},
		{"O_TMPFILE", unix.EROFS, func() error { return open(dir, unix.O_RDWR|unix.O_TMPFILE) }},
		{"open a directory to write", unix.EISDIR, func() error { return open(dir, unix.O_WRONLY) }},
		{"mkdir", unix.EROFS, func() error { return unix.Mkdir(none, 0o755) }},
		{"mkdir what is there", unix.EEXIST, func() error { return unix.Mkdir(dir, 0o755) }},
		{"mkdir below a file", unix.ENOTDIR, func() error { return unix.Mkdir(at("file/x"), 0o755) }},
		{"rmdir", unix.EROFS, func() error { return unix.Rmdir(dir) }},
		{"unlink", unix.EROFS, func() error { return unix.Unlink(file) }},
		{"unlinkat", unix.EROFS, func() error { return unix.Unlinkat(dfd, "file", 0) }},
		{"rename", unix.EROFS, func() error { return unix.Rename(file, none) }},
		{"rename a directory", unix.EROFS, func() error { return unix.Rename(dir, none) }},
		{"rename out", unix.EXDEV, func() error { return unix.Rename(file, "/tmp/dlfs-none") }},
		{"exchange", unix.EROFS, func() error { return unix.Renameat2(unix.AT_FDCWD, file, dfd, "file", unix.RENAME_EXCHANGE) }},
		{"link", unix.EROFS, func() error { return unix.Link(file, none) }},
		{"link out", unix.EXDEV, func() error { return unix.Link(file, "/tmp/dlfs-none") }},
		{"symlink", unix.EROFS, func() error { return unix.Symlink("file", none) }},
		{"symlink to what is there", unix.EEXIST, func() error { return unix.Symlink("file", dir) }},
		{"mknod of a file", unix.EROFS, func() error { return unix.Mknod(none, unix.S_IFREG|0o644, 0) }},
		{"mknod of a pipe", unix.EROFS, func() error { return unix.Mknod(none, unix.S_IFIFO|0o644, 0) }},
		{"mknod of a socket", unix.EROFS, func() error { return unix.Mknod(none, unix.S_IFSOCK|0o644, 0) }},
		{"chmod", unix.EROFS, func() error { return unix.Chmod(file, 0o600) }},
		{"fchmod", unix.EROFS, func() error { return unix.Fchmod(fd, 0o600) }},
		{"chmod of a directory", unix.EROFS, func() error { return unix.Chmod(dir, 0o700) }},
		{"chown", unix.EROFS, func() error { return unix.Chown(file, 1, 1) }},
		{"fchown", unix.EROFS, func() error { return unix.Fchown(fd, 1, 1) }},
		{"lchown", unix.EROFS, func() error { return unix.Lchown(link, 1, 1) }},
		{"utimensat", unix.EROFS, func() error { return unix.UtimesNano(file, make([]unix.Timespec, 2)) }},
		{"truncate", unix.EROFS, func() error { return unix.Truncate(file, 1) }},
		{"truncate a directory", unix.EISDIR, func() error { return unix.Truncate(dir, 1) }},
		{"setxattr", unix.EROFS, func() error { return unix.Setxattr(file, "user.own", one, 0) }},
		{"fsetxattr", unix.EROFS, func() error { return unix.Fsetxattr(fd, xattrState, one, 0) }},
		{"removexattr", unix.EROFS, func() error { return unix.Removexattr(file, xattrState) }},
		{"access to write", unix.EROFS, func() error { return unix.Access(file, unix.W_OK) }},
		{"access to write a directory", unix.EROFS, func() error { return unix.Access(dir, unix.W_OK) }},

		// What writes to a descriptor that is to read.
		{"write", unix.EBADF, func() error { _, err := unix.Write(fd, one); return err }},
		{"pwrite", unix.EBADF, func() error { _, err := unix.Pwrite(fd, one, 0); return err }},
		{"ftruncate", unix.EINVAL, func() error { return unix.Ftruncate(fd, 0) }},
		{"fallocate", unix.EBADF, func() error { return unix.Fallocate(fd, 0, 0, 100) }},
		{"punch a hole", unix.EBADF, func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 100) }},
		{"copy_file_range into it", unix.EBADF, func() error { _, err := unix.CopyFileRange(fd, nil, fd, nil, 10, 0); return err }},
		{"map to write", unix.EACCES, func() error {
			_, err := unix.Mmap(fd, 0, 4096, unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		}},

		// Paths that lead nowhere.
		{"stat of nothing", unix.ENOENT, func() error { return unix.Stat(none, new(unix.Stat_t)) }},
		{"stat of an empty path", unix.ENOENT, func() error { return unix.Stat("", new(unix.Stat_t)) }},
		{"stat below a file", unix.ENOTDIR, func() error { return unix.Stat(at("file/x"), new(unix.Stat_t)) }},
		{"stat of a file as a directory", unix.ENOTDIR, func() error { return unix.Stat(file+"/", new(unix.Stat_t)) }},
		{"stat of a name too long", unix.ENAMETOOLONG, func() error { return unix.Stat(long, new(unix.Stat_t)) }},
		{"stat of a path too long", unix.ENAMETOOLONG, func() error { return unix.Stat(longest, new(unix.Stat_t)) }},
		{"create a name too long", unix.ENAMETOOLONG, func() error { return open(long, unix.O_WRONLY|unix.O_CREAT) }},
		{"mkdir of a name too long", unix.ENAMETOOLONG, func() error { return unix.Mkdir(long, 0o755) }},
		{"unlink nothing", unix.EROFS, func() error { return unix.Unlink(none) }},
		{"rmdir nothing", unix.EROFS, func() error { return unix.Rmdir(none) }},
		{"open a file as a directory", unix.ENOTDIR, func() error { return open(file, unix.O_RDONLY|unix.O_DIRECTORY) }},
		{"open a link and not follow", unix.ELOOP, func() error { return open(link, unix.O_RDONLY|unix.O_NOFOLLOW) }},
		{"open a link to nothing", unix.ENOENT, func() error { return open(link, unix.O_RDONLY) }},
		{"readlink of a file", unix.EINVAL, func() error { _, err := unix.Readlink(file, make([]byte, 10)); return err }},
		{"readlink", nil, func() error { _, err := unix.Readlink(link, make([]byte, 100)); return err }},
		{"chdir to a file", unix.ENOTDIR, func() error { return unix.Chdir(file) }},
		{"chdir", nil, func() error { return unix.Chdir(dir) }},
		{"chdir back", nil, func() error { return unix.Chdir("/") }},
		{"execve", unix.EACCES, func() error { return unix.Exec(file, []string{"file"}, nil) }},
		{"execve of a directory", unix.EACCES, func() error { return unix.Exec(dir, []string{"dir"}, nil) }},

		// What reads.
		{"read", nil, func() error { _, err := unix.Read(fd, one); return err }},
		{"read a directory", unix.EISDIR, func() error { _, err := unix.Read(dfd, one); return err }},
		{"pread before the start", unix.EINVAL, func() error { _, err := unix.Pread(fd, one, -1); return err }},
		{"pread past the end", nil, func() error { _, err := unix.Pread(fd, one, 1<<40); return err }},
		{"getdents of a file", unix.ENOTDIR, func() error { _, err := unix.Getdents(fd, make([]byte, 1000)); return err }},
		{"seek before the start", unix.EINVAL, func() error { _, err := unix.Seek(fd, -1, unix.SEEK_SET); return err }},
		{"seek to the end", nil, func() error { _, err := unix.Seek(fd, 0, unix.SEEK_END); return err }},
		{"seek to data past the end", unix.ENXIO, func() error { _, err := unix.Seek(fd, 1<<40, unix.SEEK_DATA); return err }},
		{"seek to a hole", nil, func() error { _, err := unix.Seek(fd, 0, unix.SEEK_HOLE); return err }},
		{"access to read", nil, func() error { return unix.Access(file, unix.R_OK) }},
		{"access to run", unix.EACCES, func() error { return unix.Access(file, unix.X_OK) }},
		{"access to search", nil, func() error { return unix.Access(dir, unix.X_OK) }},
		{"getxattr that is not there", unix.ENODATA, func() error { _, err := unix.Getxattr(file, "user.none", one); return err }},
		{"getxattr with no room", unix.ERANGE, func() error { _, err := unix.Getxattr(file, xattrState, one); return err }},
		{"listxattr", nil, func() error { _, err := unix.Listxattr(file, nil); return err }},
		{"statfs", nil, func() error { return unix.Statfs(file, new(unix.Statfs_t)) }},
		{"fsync", nil, func() error { return unix.Fsync(fd) }},
		{"fdatasync", nil, func() error { return unix.Fdatasync(fd) }},
		{"fsync of a directory", nil, func() error { return unix.Fsync(dfd) }},
		{"syncfs", nil, func() error { return unix.Syncfs(fd) }},
		{"dup", nil, func() error {
			other, err := unix.Dup(fd)
			unix.Close(other)
			return err
		}},
		{"map to read", nil, func() error {
			p, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
			if err == nil {
				err = unix.Munmap(p)
			}
			return err
		}},
		{"map to write for oneself", nil, func() error {
			p, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
			if err == nil {
				p[0]++
				err = unix.Munmap(p)
			}
			return err
		}},

		// Locks, to read.
		{"flock shared", nil, func() error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) }},
		{"flock exclusive", nil, func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) }},
		{"unlock", nil, func() error { return unix.Flock(fd, unix.LOCK_UN) }},
		{"lock to read", nil, func() error { return lock(unix.F_SETLK, unix.F_RDLCK) }},
		{"lock to write", unix.EBADF, func() error { return lock(unix.F_SETLK, unix.F_WRLCK) }},
		{"ask for a lock", nil, func() error { return lock(unix.F_GETLK, unix.F_RDLCK) }},
		{"unlock an extent", nil, func() error { return lock(unix.F_SETLK, unix.F_UNLCK) }},

		// What files do not do.
		{"ioctl", unix.ENOTTY, func() error {
			_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
			return err
		}},
		{"afterwards, the file is as before", nil, func() error {
			var st unix.Stat_t
			if err := unix.Stat(file, &st); err != nil || st.Size != 10*bs || st.Mode != unix.S_IFREG|0o644 || st.Nlink != 1 {
				return fmt.Errorf("%+v, %w", st, err)
			}
			return nil
		}},
	} {
		n++
		if got := tt.call(); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	t.Logf("%d calls", n)
	entries, err := os.ReadDir(point)
	if err != nil || len(entries) != 2 {
		t.Errorf("afterwards there are %v, %v", entries, err)
	}
}
