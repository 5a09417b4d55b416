package cache

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
)

// TestBoundNeedsHoles: a filesystem that cannot punch holes is refused at once where there is
// a bound, and only there.
func TestBoundNeedsHoles(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	hosttest.Need(t, hosttest.Mounts())
	dir := t.TempDir()
	check(t, unix.Mount("ramfs", dir, "ramfs", 0, ""))
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	s, err := Open(dir, Options{MaxSize: testBound})
	if err == nil {
		s.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "cannot punch holes into files, which --max-size needs") {
		t.Errorf("with a bound: %v", err)
	}
	s, err = Open(dir, Options{})
	check(t, err)
	check(t, s.Close())
}
