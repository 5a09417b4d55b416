package cache

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// TestSpaceThatIsNotReported: a filesystem that counts nothing is not full.
func TestSpaceThatIsNotReported(t *testing.T) {
	for _, c := range []struct {
		st            unix.Statfs_t
		bytes, inodes int64
	}{
		{unix.Statfs_t{}, math.MaxInt64, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096}, math.MaxInt64, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096, Blocks: 10}, 0, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096, Blocks: 10, Bavail: 2, Files: 5}, 8192, 0},
		{unix.Statfs_t{Bsize: 4096, Blocks: math.MaxUint64, Bavail: math.MaxUint64, Files: math.MaxUint64, Ffree: math.MaxUint64},
			math.MaxInt64 / 4096 * 4096, math.MaxInt64},
	} {
		if bytes, inodes := spaceOf(&c.st); bytes != c.bytes || inodes != c.inodes {
			t.Errorf("%+v: %d bytes and %d inodes are free", c.st, bytes, inodes)
		}
	}
}

// TestNoInodes has the inodes run out before a store is made, and at several steps
// of storing. It is told as that, and with inodes the same store goes on. Between
// them it is badger that fails, which leaves files open.
func TestNoInodes(t *testing.T) {
	for _, n := range []int{0, 16, 20, 30, 45} {
		dir, giveBack := inodesOn(t, n)
		s, err := Open(dir, Options{MinFree: 1})
		if err == nil {
			var b *Blob
			for i := range 40 {
				b, err = s.Create(fmt.Sprint("f", i), version(BlockSize))
				check(t, err)
				check(t, b.Acquire())
				err = b.Put(0, pattern(b.name, 0, BlockSize))
				if err != nil {
					break
				}
				check(t, publish(t, b))
				b.Release()
			}
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, ErrNoInodes) || s.HasRoom() || s.Full() != ErrNoInodes {
				t.Fatalf("%d inodes: %v", n, err)
			}
			giveBack()
			if !s.HasRoom() {
				t.Fatalf("%d inodes: with inodes again there is no room", n)
			}
			check(t, b.Put(0, pattern(b.name, 0, BlockSize)))
			check(t, publish(t, b))
			b.Release()
			check(t, s.Close())
		} else {
			if n > 0 || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrNoInodes) || !strings.Contains(err.Error(), "no inodes are left") {
				t.Fatalf("%d inodes: %v", n, err)
			}
			giveBack()
		}
		s, err = Open(dir, Options{MinFree: 1})
		check(t, err)
		check(t, s.Close())
	}
}

// inodesOn makes all but n inodes of a small filesystem used, and returns a
// directory on it and what gives them back.
func inodesOn(t *testing.T, n int) (dir string, giveBack func()) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=100m,nr_inodes=64"); err != nil {
		hosttest.Need(t, fmt.Errorf("mount a tmpfs: %w", err))
	}
	t.Cleanup(func() { check(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	var used []string
	for {
		var st unix.Statfs_t
		check(t, unix.Statfs(dir, &st))
		if int(st.Ffree) <= n {
			break
		}
		used = append(used, filepath.Join(dir, fmt.Sprint("used", len(used))))
		check(t, os.WriteFile(used[len(used)-1], nil, 0o600))
	}
	return dir, func() {
		for _, name := range used {
			check(t, os.Remove(name))
		}
	}
}
