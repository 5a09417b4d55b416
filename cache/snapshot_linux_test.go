package cache

import (
	"errors"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// TestReadOnlyFilesystem: a question needs no right to write.
func TestReadOnlyFilesystem(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	dir := closedStore(t)
	check(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, unix.EROFS) {
		t.Errorf("a start says %v", err)
	}
	r, err := OpenReadOnly(dir, Options{})
	check(t, err)
	wantBlocks(t, lookup(t, r, "unfinished"), 0, 2)
	check(t, r.Close())
}
