package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// statx asks the mount, not what the kernel keeps.
func statx(tb testing.TB, path string) (st unix.Statx_t) {
	tb.Helper()
	must(tb, unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, &st))
	return st
}

func names(tb testing.TB, dir string) (list []string) {
	tb.Helper()
	entries, err := os.ReadDir(dir)
	must(tb, err)
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			name += "/"
		}
		list = append(list, name)
	}
	return list
}

func TestListingAsksNobody(t *testing.T) {
	x := newRig(t)
	for _, name := range []string{"b", "a", "dir/sub/deep", "dir/c", "dir2/d"} {
		x.add(name, 100)
	}
	x.start()
	for dir, want := range map[string][]string{
		"":        {"a", "b", "dir/", "dir2/"},
		"dir":     {"c", "sub/"},
		"dir/sub": {"deep"},
		"dir2":    {"d"},
	} {
		if got := names(t, x.path(dir)); !slices.Equal(got, want) {
			t.Errorf("%q lists %q, want %q", dir, got, want)
		}
		st := statx(t, x.path(dir))
		if st.Mode != syscall.S_IFDIR|0o755 || st.Ino == 0 {
			t.Errorf("%q: mode %o, inode %d", dir, st.Mode, st.Ino)
		}
	}
	if st := statx(t, x.path("dir")); st.Nlink != 3 {
		t.Errorf("dir has %d links", st.Nlink)
	}
	if n := x.Counts().Requests; n != 0 {
		t.Errorf("%d requests: %v", n, x.Log())
	}
	for _, name := range []string{"none", "dir/none", "a/none", "dir/sub/deep/none", ".dlfs"} {
		want := syscall.ENOENT
		if name == "a/none" || name == "dir/sub/deep/none" {
			want = syscall.ENOTDIR
		}
		if _, err := os.Lstat(x.path(name)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
	if got := names(t, x.config.Point); len(got) != 0 {
		t.Errorf("the mountpoint has %q", got)
	}
}

func TestManyNamesList(t *testing.T) {
	x := newRig(t)
	want := map[string]bool{}
	for i := range 1200 { // several READDIRs
		name := fmt.Sprintf("a-name-of-some-length-%d", i)
		x.list(name, "/x")
		want[name] = true
	}
	x.start()
	for _, name := range names(t, x.config.Point) {
		if !want[name] {
			t.Errorf("%q is listed twice, or should not be", name)
		}
		delete(want, name)
	}
	if len(want) != 0 || x.Counts().Requests != 0 {
		t.Errorf("%d names missing, %d requests", len(want), x.Counts().Requests)
	}
}

func TestControlSocketIsFoundNotListed(t *testing.T) {
	x := newRig(t)
	x.add("a", 1)
	x.config.ControlSocket = "/run/some where/control.sock"
	x.start()
	for range 2 {
		if got := names(t, x.config.Point); !slices.Equal(got, []string{"a"}) {
			t.Errorf("listed: %q", got)
		}
		if to, err := os.Readlink(x.path(".dlfs/control.sock")); err != nil || to != x.config.ControlSocket {
			t.Errorf("%q, %v", to, err)
		}
		if _, err := os.Lstat(x.path(".dlfs/other")); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("other: %v", err)
		}
		// The kernel lets go of what it keeps, and asks again.
		os.WriteFile("/proc/sys/vm/drop_caches", []byte("2"), 0)
	}
	if fi, err := os.Lstat(x.path(".dlfs")); err != nil || !fi.IsDir() {
		t.Errorf(".dlfs: %v, %v", fi, err)
	}
}

func TestStatSurvivesARemountWithoutTheOrigin(t *testing.T) {
	x := newRig(t)
	mtime := time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)
	for _, name := range []string{"unread", "part", "dir/whole"} {
		c := x.add(name, 5*bs+17)
		x.Put("/"+name, origintest.File{Content: c, ModTime: mtime})
	}
	type stat struct {
		size, ino uint64
		mtime     int64
		mode      uint16
		uid       uint32
	}
	stats := func() map[string]stat {
		all := map[string]stat{}
		for name := range x.content {
			st := statx(t, x.path(name))
			all[name] = stat{st.Size, st.Ino, st.Mtime.Sec, st.Mode, st.Uid}
			if n := st.Blksize; n != bs {
				t.Errorf("%s: block size %d", name, n)
			}
		}
		return all
	}
	x.start()
	first := stats()
	for name, st := range first {
		if st.size != 5*bs+17 || st.mtime != mtime.Unix() || st.mode != syscall.S_IFREG|0o644 || st.uid != uint32(os.Getuid()) {
			t.Errorf("%s: %+v", name, st)
		}
	}
	x.read(x.open("part"), "part", bs, 1)
	x.read(x.open("dir/whole"), "dir/whole", 0, 6*bs)
	x.published("dir/whole")
	x.stop()

	x.Inject(origintest.Status(500)) // gone
	x.ResetCounts()
	x.start()
	for name, st := range stats() {
		if st != first[name] {
			t.Errorf("%s: %+v became %+v", name, first[name], st)
		}
	}
	x.read(x.open("dir/whole"), "dir/whole", 0, 6*bs)
	x.read(x.open("part"), "part", bs, bs)
	for _, dir := range []string{"", "dir"} {
		entries, err := os.ReadDir(x.path(dir))
		must(t, err)
		for _, e := range entries {
			fi, err := e.Info()
			must(t, err)
			name := filepath.Join(dir, e.Name())
			if st, ok := first[name]; ok && fi.Sys().(*syscall.Stat_t).Ino != st.ino {
				t.Errorf("%s: another inode number in the listing", name)
			}
		}
	}
	if n := x.Counts().Requests; n != 0 {
		t.Errorf("%d requests: %v", n, x.Log())
	}
}

func TestBlocksGrowWithWhatIsPresent(t *testing.T) {
	x := newRig(t)
	const blocks = 8
	x.add("a", blocks*bs-100)
	x.start()
	f := x.open("a")
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	last := uint64(0)
	for i := range int64(blocks) {
		x.read(f, "a", i*bs, 10)
		st := statx(t, x.path("a"))
		present, err := xattr(x.path("a"), xattrPresent)
		must(t, err)
		var n uint64
		fmt.Sscan(present, &n)
		if st.Blocks > (n+511)/512 {
			t.Errorf("%d sectors of %d bytes present", st.Blocks, n)
		}
		if st.Blocks < last || st.Blocks == 0 || i == blocks-1 && st.Blocks != (blocks*bs-100+511)/512 {
			t.Errorf("%d sectors after block %d", st.Blocks, i)
		}
		last = st.Blocks
	}
}

func TestStatfsProgress(t *testing.T) {
	x := newRig(t)
	x.add("a", 16*bs)
	x.add("b", 4*bs)
	x.start()
	ask := func() (st unix.Statfs_t) {
		t.Helper()
		must(t, unix.Statfs(x.path(""), &st))
		if st.Bsize != 4096 || st.Namelen != 255 || st.Files != 2 || st.Flags&unix.ST_RDONLY == 0 || st.Bavail != st.Bfree {
			t.Errorf("%+v", st)
		}
		return st
	}
	if st := ask(); st.Blocks != 0 || st.Bfree != 0 || st.Ffree != 2 {
		t.Errorf("nothing known: %+v", st)
	}
	statx(t, x.path("a"))
	n := x.Counts().Requests
	if st := ask(); st.Blocks != 16*bs/4096 || st.Bfree > st.Blocks {
		t.Errorf("one size known: %+v", st)
	}
	if got := x.Counts().Requests; got != n {
		t.Errorf("statfs made %d requests", got-n)
	}
	x.read(x.open("b"), "b", 0, 4*bs)
	x.published("b")
	for x.ctx.Err() == nil && ask().Ffree != 1 { // counted a moment later
	}
	if st := ask(); st.Blocks != 20*bs/4096 || st.Blocks-st.Bfree < 4*bs/4096 || st.Ffree != 1 {
		t.Errorf("one complete: %+v", st)
	}
}
