package cache

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// openFinished opens a finished file of the output directory for reading. Other
// users may write to that directory, so what has the name is looked at before it is
// opened, and once more when it is open: a symbolic link is not followed, a pipe is
// not waited for, and a device is not touched. What is no regular file is an
// *InTheWayError.
func (s *Store) openFinished(name string) (*os.File, error) {
	dir, err := s.root.Open(path.Dir(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	base := path.Base(name)
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, &InTheWayError{name, "is not a regular file"}
	}
	fd, err := openatRetry(int(dir.Fd()), base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC)
	if errors.Is(err, unix.ELOOP) {
		return nil, &InTheWayError{name, "is not a regular file"}
	}
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	if err := unix.Fstat(fd, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.Join(&InTheWayError{name, "is not a regular file"}, err, unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, false); err != nil { // O_NONBLOCK was for what is no regular file
		return nil, errors.Join(&os.PathError{Op: "open", Path: name, Err: err}, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// openatRetry is openat(2), again when a signal interrupts it.
func openatRetry(dir int, name string, flags int) (fd int, err error) {
	for {
		if fd, err = unix.Openat(dir, name, flags, 0); !errors.Is(err, unix.EINTR) {
			return fd, err
		}
	}
}
