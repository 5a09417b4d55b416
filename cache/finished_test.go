package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestStateThatOthersMayWrite is refused and left as it is: what is in it may have
// been put there by them.
func TestStateThatOthersMayWrite(t *testing.T) {
	for _, name := range []string{".dlfs", ".dlfs/blobs", ".dlfs/db"} {
		for _, mode := range []fs.FileMode{0o720, 0o702, 0o777} {
			dir := closedStore(t)
			check(t, os.Chmod(filepath.Join(dir, name), mode))
			_, err := Open(dir, Options{})
			asked := err
			if name != ".dlfs/db" { // a question copies its regular files only
				_, asked = OpenReadOnly(dir, Options{})
			}
			for _, err := range []error{err, asked} {
				if err == nil || !strings.Contains(err.Error(), filepath.Base(name)+" may be written to by other users") {
					t.Errorf("%s of mode %v: %v", name, mode, err)
				}
			}
			info, err := os.Stat(filepath.Join(dir, name))
			check(t, err)
			if info.Mode().Perm() != mode {
				t.Errorf("mode %v became %v", mode, info.Mode().Perm())
			}
		}
	}
}

// TestLinksInTheDatabase puts symbolic links where badger makes its files. None is
// followed, and the database is not set aside.
func TestLinksInTheDatabase(t *testing.T) {
	for _, name := range []string{"LOCK", "MANIFEST", "MANIFEST-REWRITE", "KEYREGISTRY", "REWRITE-KEYREGISTRY", "DISCARD",
		"00001.mem", "00002.mem", "00009.mem", "000000.vlog", "000001.vlog", "000001.sst", "000009.sst"} {
		for _, target := range []string{"there", "new"} {
			dir, elsewhere := closedStore(t), t.TempDir()
			check(t, os.WriteFile(elsewhere+"/there", []byte("secret"), 0o600))
			planted := filepath.Join(dir, ".dlfs/db", name)
			check(t, os.RemoveAll(planted))
			check(t, os.Symlink(filepath.Join(elsewhere, target), planted))
			_, err := Open(dir, Options{})
			if err == nil || !strings.Contains(err.Error(), "db/"+name+" is a symbolic link") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: %v", name, err)
			}
			wantDir(t, elsewhere, "there")
			if b, err := os.ReadFile(elsewhere + "/there"); string(b) != "secret" {
				t.Errorf("%s: it reads %q, %v", name, b, err)
			}
			if _, err := os.Lstat(planted); err != nil {
				t.Errorf("%s was moved: %v", name, err)
			}
		}
	}
}

// TestNoRegularFileInPlaceOfAFinishedOne: it is an error at once, whether it was put
// there before the start or after the blob was found.
func TestNoRegularFileInPlaceOfAFinishedOne(t *testing.T) {
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, make([]byte, blobSize), 0o600))
	for kind, plant := range map[string]func(path string) error{
		"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"socket":    func(path string) error { return unix.Mknod(path, unix.S_IFSOCK|0o600, 0) },
		"link":      func(path string) error { return os.Symlink(outside, path) },
		"near link": func(path string) error { return os.Symlink("other", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		t.Run(kind, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			b, err := s.Create("a", version(blobSize))
			check(t, err)
			check(t, b.Acquire())
			putAll(t, b)
			check(t, publish(t, b))
			syncNow(t, s)
			b.Release()
			check(t, os.WriteFile(filepath.Join(s.Path(), "other"), make([]byte, blobSize), 0o600))
			check(t, os.Remove(filepath.Join(s.Path(), "a")))
			check(t, plant(filepath.Join(s.Path(), "a")))
			var inTheWay *InTheWayError
			if err := b.Acquire(); !errors.As(err, &inTheWay) {
				t.Errorf("acquire: %v", err)
			}
			if _, err := s.Create("a", version(blobSize)); !errors.As(err, &inTheWay) {
				t.Errorf("create: %v", err)
			}
			if found, err := s.Lookup("a"); found != nil || err != nil {
				t.Errorf("lookup: %v, %v", found, err)
			}
		})
	}
}
