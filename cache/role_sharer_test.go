package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// sharerMain is a process of TestSharedDisk. It publishes files in os.Args[1] with the
// state in os.Args[2], and looks at what then stands there. When it has published
// os.Args[3] files, it is killed, unless that is 0.
func sharerMain() int {
	killAt, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = share(os.Args[1], os.Args[2], killAt)
	}
	if err == nil {
		err = isPoor(os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const sharedFiles = 12

func share(dir, state string, killAt int) error {
	s, err := Open(dir, Options{State: state, SyncEvery: 5 * time.Millisecond})
	if err != nil {
		return err
	}
	for n := range sharedFiles {
		if killAt > 0 && n == killAt {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
		if err := shareFile(s, fmt.Sprintf("sub%d/%d", n%3, n)); err != nil {
			return errors.Join(err, s.Close())
		}
	}
	return s.Close()
}

// shareFile publishes a file, or finds it published.
func shareFile(s *Store, name string) error {
	const size = 3*BlockSize + 1
	b, err := s.Lookup(name)
	if b == nil && err == nil {
		b, err = s.Create(name, version(size))
	}
	if err != nil {
		return err
	}
	if err := b.Acquire(); err != nil {
		return err
	}
	defer b.Release()
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		if err := b.Put(off, pattern(name, off, n)); err != nil {
			return err
		}
	}
	published := make(chan error, 1)
	b.Publish(func(err error) { published <- err })
	if err := errors.Join(s.Sync(context.Background()), <-published); err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(s.Path(), name))
	if err == nil && !bytes.Equal(got, pattern(name, 0, size)) {
		err = fmt.Errorf("%s has other bytes", name)
	}
	return err
}

// isPoor returns an error if the disk can do what TestSharedDisk is to do without.
func isPoor(dir string) error {
	path := filepath.Join(dir, "sub0", "0")
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		return errors.New("the disk has flock(2)")
	}
	if _, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err == nil {
		return errors.New("the disk has shared mappings")
	}
	if err := renameNew(unix.AT_FDCWD, path, unix.AT_FDCWD, path+"2"); !errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("the disk has RENAME_NOREPLACE: %w", err)
	}
	return nil
}
