package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

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
			if os.Getenv("DLFS_TEST_ALL") != "" {
				t.Fatalf("mount: %v", err)
			}
			t.Skipf("mount: %v", err)
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

// TestDatesBeyondNanoseconds: a date that no 64 bits of nanoseconds hold is as near
// as the filesystem has it, and the file is known again.
func TestDatesBeyondNanoseconds(t *testing.T) {
	for _, date := range []string{"Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:01 GMT", "Sat, 01 Jan 2300 00:00:00 GMT", "Thu, 01 Jan 1600 00:00:00 GMT"} {
		var log logLines
		s := open(t, t.TempDir(), Options{Log: log.logger()})
		b, err := s.Create("a", Version{Size: blobSize, LastModified: date})
		check(t, err)
		acquire(t, b)
		putAll(t, b)
		check(t, publish(t, b))
		info, err := os.Stat(filepath.Join(s.Path(), "a"))
		check(t, err)
		want, has := b.version.ModTime(), info.ModTime()
		if epoch := time.Unix(0, 0); want.Before(epoch) && has.After(epoch) || want.After(epoch) && has.Year() < 2037 {
			t.Errorf("%s became %v", date, has)
		}
		s = reopen(t, s)
		if b := lookup(t, s, "a"); !b.Published() || !b.Complete() {
			t.Errorf("%s: the file is not known again", date)
		}
		log.wantNone(t)
	}
}
