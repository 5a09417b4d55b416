package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dlfs/cache/hosttest"
)

func TestStateIsPrivate(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	put(t, create(t, s, "a", blobSize), 0)
	syncNow(t, s)
	wantDir(t, s.Path(), ".dlfs")
	wantDir(t, filepath.Join(s.Path(), ".dlfs"), "ballast", "blobs", "db", "lock", "writes")
	for _, name := range []string{".dlfs", ".dlfs/blobs", ".dlfs/db"} {
		info, err := os.Stat(filepath.Join(s.Path(), name))
		check(t, err)
		if info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// TestStateIsClosedToOthers: a mode that lets others read is mended, once.
func TestStateIsClosedToOthers(t *testing.T) {
	for _, mode := range []fs.FileMode{0o755, 0o500, 0o711} {
		dir := closedStore(t)
		check(t, os.Chmod(filepath.Join(dir, ".dlfs"), mode))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.want(t, 1, "state directory was open to others")
		info, err := os.Stat(filepath.Join(dir, ".dlfs"))
		check(t, err)
		if info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("mode %v became %v", mode, info.Mode())
		}
		reopen(t, s)
		log.wantNone(t)
	}
}

// TestStateOfAnotherUser is refused, to root as well: that user could have root
// write to any file, through links that badger follows.
func TestStateOfAnotherUser(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	dir := closedStore(t)
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	openAs := func(user string) string {
		opener := exec.CommandContext(t.Context(), os.Args[0], dir, user)
		opener.Env = append(os.Environ(), role+"=opener")
		said, _ := opener.CombinedOutput() // what it said tells all
		return string(said)
	}
	if said := openAs("12345"); !strings.Contains(said, ".dlfs belongs to user 0 and this is user 12345; run as") {
		t.Errorf("root's state, opened by another: %q", said)
	}
	for _, name := range []string{".dlfs", ".dlfs/blobs", ".dlfs/db"} {
		check(t, os.Chown(filepath.Join(dir, name), 12345, -1))
		if said := openAs("0"); !strings.Contains(said, filepath.Base(name)+" belongs to user 12345 and this is user 0; run as") {
			t.Errorf("another's %s, opened by root: %q", name, said)
		}
		check(t, os.Chown(filepath.Join(dir, name), 0, -1))
	}
	if said := openAs("0"); said != "" {
		t.Errorf("root's own state: %q", said)
	}
}

// TestStatePathOutlivesARename stands for a mount over DIR: the old path leads
// elsewhere, and the store goes on.
func TestStatePathOutlivesARename(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	s := open(t, dir, Options{})
	check(t, os.Rename(dir, dir+".moved"))
	check(t, os.Mkdir(dir, 0o755))
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	check(t, publish(t, b))
	check(t, s.SetList([]Listed{{Name: "a"}}))
	if _, err := os.Stat(s.StatePath() + "/lock"); err != nil {
		t.Error(err)
	}
	check(t, s.Close())
	wantDir(t, dir)
	wantDir(t, dir+".moved", ".dlfs", "a")
}

func TestStateThatIsNotADirectory(t *testing.T) {
	elsewhere := t.TempDir()
	for name, plant := range map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(elsewhere, path) },
		"dangling link": func(path string) error { return os.Symlink(elsewhere+"/none", path) },
		"file":          func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, place := range []string{".dlfs", ".dlfs/blobs"} {
				dir := t.TempDir()
				check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, place)), 0o700))
				check(t, plant(filepath.Join(dir, place)))
				_, err := Open(dir, Options{})
				if err == nil || !strings.Contains(err.Error(), "is not a directory; move it away") {
					t.Errorf("open: %v", err)
				}
				wantDir(t, elsewhere)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	s := open(t, t.TempDir(), Options{Owner: "the mount at /mnt"})
	holder := fmt.Sprintf("in use by process %d (the mount at /mnt)", os.Getpid())

	_, err := Open(s.Path(), Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), holder) {
		t.Errorf("open by this process: %v", err)
	}

	opener := exec.CommandContext(t.Context(), os.Args[0], s.Path())
	opener.Env = append(os.Environ(), role+"=opener")
	said, err := opener.CombinedOutput()
	if err == nil || !strings.Contains(string(said), holder) {
		t.Errorf("open by another process: %v, %q", err, said)
	}

	check(t, s.Close())
	s = open(t, s.Path(), Options{Owner: "me"}) // in fewer words
	_, err = Open(s.Path(), Options{})
	if holder := fmt.Sprintf("by process %d (me);", os.Getpid()); err == nil || !strings.Contains(err.Error(), holder) {
		t.Errorf("open after another owner: %v", err)
	}
	check(t, s.Close())
	opener = exec.CommandContext(t.Context(), os.Args[0], s.Path())
	opener.Env = append(os.Environ(), role+"=opener")
	if said, err := opener.CombinedOutput(); err != nil {
		t.Errorf("open after Close: %v, %q", err, said)
	}
}
