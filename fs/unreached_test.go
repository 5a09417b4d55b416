//go:build linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// A file that cannot be had is shown beside those that can, with its reason, and a program
// that copies it fails: it finds no empty file.
func TestAFailedNameHasAttributesAndItsReason(t *testing.T) {
	x := newRig(t)
	for i := range 30 {
		x.add(fmt.Sprintf("good%02d", i), 10)
	}
	for _, tt := range []struct {
		name   string
		status int
	}{{"bad", 500}, {"gone", 404}, {"refused", 403}} {
		x.add(tt.name, 8*bs)
		x.Inject(origintest.Status(tt.status).On("/" + tt.name))
	}
	x.add("listed", 8*bs)
	x.Inject(origintest.Status(500).On("/listed"))
	x.config.Entries[len(x.config.Entries)-1].Details = &listfile.Details{Size: 8 * bs}
	x.start()

	for range 2 { // the first look makes the contact, the second one knows how it ended
		out, err := exec.Command("ls", "-l", x.config.Point).CombinedOutput()
		if err != nil || strings.Contains(string(out), "?") || strings.Count(string(out), "-rw-r--r-- 1 ") != 34 {
			t.Fatalf("ls: %v\n%s", err, out)
		}
	}
	to := t.TempDir()
	for name, want := range map[string]struct {
		size  uint64
		why   string
		state string
		errno syscall.Errno
	}{
		"bad":     {1, "500 Internal Server Error", "failed", syscall.EIO},
		"gone":    {1, "404 Not Found", "failed", syscall.ENOENT},
		"refused": {1, "403 Forbidden", "needs-url", syscall.EACCES},
		"listed":  {8 * bs, "500 Internal Server Error", "failed", syscall.EIO},
	} {
		if st := statx(t, x.path(name)); st.Size != want.size || st.Blocks != 0 {
			t.Errorf("%s: size %d, %d blocks", name, st.Size, st.Blocks)
		}
		if v, err := xattr(x.path(name), xattrError); err != nil || !strings.Contains(v, want.why) {
			t.Errorf("%s: error %q, %v", name, v, err)
		}
		if v, err := xattr(x.path(name), xattrState); err != nil || v != want.state {
			t.Errorf("%s: state %q, %v", name, v, err)
		}
		if _, err := os.Open(x.path(name)); !errors.Is(err, want.errno) {
			t.Errorf("%s: open: %v, want %v", name, err, want.errno)
		}
		out, err := exec.Command("cp", x.path(name), to).CombinedOutput()
		if err == nil || !strings.Contains(strings.ToLower(string(out)), want.errno.Error()) {
			t.Errorf("cp %s: %v, %s", name, err, out)
		}
		if _, err := os.Lstat(filepath.Join(to, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("cp has made %s: %v", name, err)
		}
	}
	archive := filepath.Join(to, "archive.tar")
	if out, err := exec.Command("tar", "-cf", archive, "-C", x.config.Point, ".").CombinedOutput(); err == nil {
		t.Errorf("tar is content:\n%s", out)
	}
	out, err := exec.Command("tar", "-tf", archive).Output()
	must(t, err)
	if n := strings.Count(string(out), "good"); n != 30 || strings.Count(string(out), "\n") != n+1 {
		t.Errorf("archived:\n%s", out)
	}
}

// A file that is had at last shows its size at once, by whatever call it was had.
func TestAFailedNameComesBack(t *testing.T) {
	x := newRig(t)
	x.add("stat", 8*bs)
	x.add("open", 8*bs)
	x.Inject(origintest.Status(500))
	x.start()
	before := map[string]uint64{}
	for _, name := range []string{"stat", "open"} {
		st := statx(t, x.path(name))
		before[name] = st.Ino
		if st.Size != 1 {
			t.Errorf("%s has %d bytes", name, st.Size)
		}
	}
	x.Clear()
	x.until("shown at last", func() bool { return statx(t, x.path("stat")).Size == 8*bs }) // after failureMemory
	var f *os.File
	x.until("opened at last", func() bool {
		var err error
		f, err = os.Open(x.path("open"))
		return err == nil
	})
	defer f.Close()
	if st := statx(t, x.path("open")); st.Size != 8*bs || st.Ino == before["open"] {
		t.Errorf("open has %d bytes, inode %d", st.Size, st.Ino)
	}
	x.read(f, "open", 0, 8*bs)
	x.read(x.open("stat"), "stat", 0, 8*bs)
	if v, err := xattr(x.path("open"), xattrError); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("error of a file that is there: %q, %v", v, err)
	}
}

// Of an origin that says nothing, the first look waits for the read timeout, and those that
// follow do not: they show what is known.
func TestAMuteNameIsShownAtOnceTheSecondTime(t *testing.T) {
	x := newRig(t)
	x.add("mute", 8*bs)
	x.config.ReadTimeout = time.Second
	x.start()
	release := make(chan struct{})
	x.holdAnswer(release)
	if st := statx(t, x.path("mute")); st.Size != 1 {
		t.Errorf("%d bytes", st.Size)
	}
	if v, err := xattr(x.path("mute"), xattrError); err != nil || v != "gave up after --read-timeout, 1s" {
		t.Errorf("error %q, %v", v, err)
	}
	close(release)
	x.until("shown at last", func() bool { return statx(t, x.path("mute")).Size == 8*bs }) // the attempt went on
	x.read(x.open("mute"), "mute", 0, 8*bs)
	if v, err := xattr(x.path("mute"), xattrError); !errors.Is(err, syscall.ENODATA) {
		t.Errorf("error of a file that is there: %q, %v", v, err)
	}
	x.stop()
	n := 0
	for _, line := range x.seen {
		if strings.Contains(line, "stat file") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lookups waited for the read timeout", n)
	}
}
