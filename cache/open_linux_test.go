package cache

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStateKeepsItsMode stands for a filesystem without modes.
func TestStateKeepsItsMode(t *testing.T) {
	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	check(t, s.stateDir.Chmod(0o755))
	if err := unix.IoctlSetPointerInt(int(s.stateDir.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE); err != nil {
		t.Skipf("no directory can be made immutable here: %v", err)
	}
	err := s.closeToOthers()
	check(t, unix.IoctlSetPointerInt(int(s.stateDir.Fd()), unix.FS_IOC_SETFLAGS, 0))
	check(t, err)
	log.want(t, 1, "its mode cannot be changed")
}

// TestFailedOpen has Open fail after the database is open, on an orphan that
// cannot be removed. The next Open must find nothing held.
func TestFailedOpen(t *testing.T) {
	dir := closedStore(t)
	orphan := filepath.Join(dir, ".dlfs", "blobs", blobID(42))
	check(t, os.WriteFile(orphan, nil, 0o600))
	f, err := os.Open(orphan)
	check(t, err)
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE); err != nil {
		t.Skipf("no file can be made immutable here: %v", err)
	}
	var log logLines
	_, failed := Open(dir, Options{Log: log.logger()})
	check(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0))
	if failed == nil {
		t.Fatal("the orphan was removed")
	}
	wantBlocks(t, lookup(t, open(t, dir, Options{Log: log.logger()}), "unfinished"), 0, 2)
	log.wantNone(t)
}
