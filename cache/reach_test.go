//go:build linux

package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// TestMountInTheOutputDirectory: a file that could not be moved to its name is
// refused before any of it is fetched, whether another filesystem is mounted there
// or a directory of the same one. Other files are not.
func TestMountInTheOutputDirectory(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for kind, mount := range map[string]func(at string) error{
		"filesystem": func(at string) error { return unix.Mount("none", at, "tmpfs", 0, "") },
		"bind":       func(at string) error { return unix.Mount(at, at, "", unix.MS_BIND, "") },
	} {
		at := filepath.Join(s.Path(), kind)
		check(t, os.Mkdir(at, 0o755))
		if err := mount(at); err != nil {
			hosttest.Need(t, fmt.Errorf("mount: %w", err))
		}
		t.Cleanup(func() { check(t, unix.Unmount(at, 0)) })
		for _, name := range []string{kind + "/a", kind + "/new/dir/a"} {
			if _, err := s.Create(name, version(blobSize)); !errors.Is(err, unix.EXDEV) {
				t.Errorf("create %s: %v", name, err)
			}
			if _, err := s.Stream(name, version(UnknownSize)); !errors.Is(err, unix.EXDEV) {
				t.Errorf("stream %s: %v", name, err)
			}
		}
	}
	check(t, os.Mkdir(filepath.Join(s.Path(), "plain"), 0o755))
	for _, name := range []string{"a", "plain/a", "plain/new/a", "other/new/a"} {
		b := create(t, s, name, blobSize)
		putAll(t, b)
		check(t, publish(t, b))
	}
}
