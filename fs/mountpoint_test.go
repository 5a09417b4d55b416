//go:build linux

package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountpointWithSpaces(t *testing.T) {
	x := newRig(t)
	x.config.Point = filepath.Join(filepath.Dir(x.config.Point), "a b\\040\n")
	must(t, os.Mkdir(x.config.Point, 0o755))
	x.add("a", 10)
	x.start()
	if ours, err := mounted(x.config.Point); !ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	x.read(x.open("a"), "a", 0, 10)
	x.kill()
	if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
}

// A mountpoint that is reached by a symbolic link is the same mountpoint.
func TestMountpointBySymlink(t *testing.T) {
	x := newRig(t)
	target := x.config.Point
	x.config.Point = filepath.Join(filepath.Dir(target), "link")
	must(t, os.Symlink(target, x.config.Point))
	x.add("a", 10)
	x.start()
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	if ours, err := mounted(x.config.Point); !ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	x.open("a")
	if busy := x.stop(); !strings.Contains(busy, fmt.Sprint(os.Getpid())) {
		t.Errorf("busy: %q", busy)
	}
	x.start()
	x.kill()
	if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
}
