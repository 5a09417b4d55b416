//go:build linux

package fs

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
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

// setOf returns a Set that is not run, over a store of its own.
func setOf(t *testing.T, names ...string) *fetch.Set {
	t.Helper()
	store, err := cache.Open(t.TempDir(), cache.Options{})
	must(t, err)
	client := origin.New(origin.Options{})
	set := fetch.New(t.Context(), store, client, entriesOf(names...), fetch.Options{})
	t.Cleanup(func() {
		set.Close()
		client.Close()
		must(t, store.Close())
	})
	return set
}

func TestPreflightTable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if err := preflight(file, false); err == nil || err.Error() != "mountpoint "+file+" is not a directory; give another one" {
		t.Errorf("of a file: %v", err)
	}
	none := filepath.Join(dir, "none")
	if err := preflight(none, false); !errors.Is(err, iofs.ErrNotExist) || !strings.HasPrefix(err.Error(), "mountpoint "+none+": ") {
		t.Errorf("of nothing: %v", err)
	}
	needFUSE(t)
	if err := preflight(dir, false); err != nil {
		t.Errorf("of a directory: %v", err)
	}
}

func TestNewRefusesAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if m, err := New(setOf(t), file, Options{}); err == nil || m != nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("%v, %v", m, err)
	}
}

func TestMountErrorTable(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("mount: %w", unix.EPERM),
		fmt.Errorf("mount: %w", unix.ENOSPC),
		errors.New("fusermount exited with code 256"),
	} {
		got := mountError(err)
		if u := (*UnavailableError)(nil); !errors.As(got, &u) || errors.Is(got, err) || strings.Contains(got.Error(), "\n") {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := errors.New("other"); mountError(err) != err {
		t.Error("another error was changed")
	}
}

func TestChangedFileIsAnotherInode(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	old := x.open("a")
	must(t, unix.Fadvise(int(old.Fd()), 0, 0, unix.FADV_RANDOM))
	x.read(old, "a", 0, 100)
	before := statx(t, x.path("a"))

	c := origintest.Content{Seed: 77, Size: 9*bs + 5}
	x.Put("/a", origintest.File{Content: c})
	if _, err := old.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("read of what changed: %v", err)
	}
	f := x.open("a")
	must(t, pread(f, c, 0, 10*bs))
	after := statx(t, x.path("a"))
	if after.Ino == before.Ino || int64(after.Size) != c.Size {
		t.Errorf("%d bytes, inode %d, before %d", after.Size, after.Ino, before.Ino)
	}
	x.read(old, "a", 0, 100) // what was there stays
	if _, err := old.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("later read of what changed: %v", err)
	}
	if p, err := os.ReadFile(x.path("a")); err != nil || c.Check(p, 0) != nil || int64(len(p)) != c.Size {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}
