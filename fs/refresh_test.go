//go:build linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// absent fails unless nothing is found by name.
func (x *rig) absent(names ...string) {
	x.tb.Helper()
	for _, name := range names {
		if _, err := os.Lstat(x.path(name)); !errors.Is(err, syscall.ENOENT) {
			x.tb.Errorf("%s is found: %v", name, err)
		}
		if _, err := os.Open(x.path(name)); !errors.Is(err, syscall.ENOENT) {
			x.tb.Errorf("%s is opened: %v", name, err)
		}
	}
}

func TestReloadShowsTheNamesOfNow(t *testing.T) {
	x := newRig(t)
	for _, name := range []string{"a", "old", "dir/b", "dir/old", "gone/c", "gone/deep/d", "new", "dir/new", "dir/sub/e", "fresh/f/g"} {
		x.add(name, bs+10)
	}
	all := x.config.Entries
	x.config.Entries = all[:6]
	x.start()
	x.config.Entries = all
	for _, e := range all[:6] {
		x.whole(e.Name) // the kernel keeps the name for an hour
	}
	x.absent("new", "dir/new", "dir/sub", "fresh/f/g")
	root, dir := statx(t, x.path("")), statx(t, x.path("dir"))
	before := x.Counts().Requests
	x.reload("a", "dir/b", "new", "dir/new", "dir/sub/e", "fresh/f/g")
	x.absent("old", "dir/old", "gone", "gone/c", "gone/deep", "gone/deep/d")
	for path, want := range map[string][]string{
		"":        {"a", "dir/", "fresh/", "new"},
		"dir":     {"b", "new", "sub/"},
		"dir/sub": {"e"},
		"fresh":   {"f/"},
		"fresh/f": {"g"},
	} {
		if got := names(t, x.path(path)); !slices.Equal(got, want) {
			t.Errorf("%q lists %q, want %q", path, got, want)
		}
	}
	if n := x.Counts().Requests; n != before {
		t.Errorf("%d requests: %v", n-before, x.Log())
	}
	for _, name := range []string{"a", "dir/b", "new", "dir/new", "dir/sub/e", "fresh/f/g"} {
		x.read(x.open(name), name, 0, 2*bs)
	}
	var st unix.Stat_t // what the kernel keeps
	must(t, unix.Stat(x.path("dir"), &st))
	if st.Ino != dir.Ino || st.Nlink != 3 || st.Mtim.Nano() <= time.Unix(dir.Mtime.Sec, int64(dir.Mtime.Nsec)).UnixNano() {
		t.Errorf("dir: %+v, before %+v", st, dir)
	}
	must(t, unix.Stat(x.path(""), &st))
	if st.Ino != root.Ino || st.Nlink != 4 {
		t.Errorf("root: %+v, before %+v", st, root)
	}
	x.reload("a", "dir/b", "new", "dir/new", "dir/sub/e", "fresh/f/g", "gone/c") // nothing goes
	must(t, unix.Stat(x.path(""), &st))
	if st.Nlink != 5 {
		t.Errorf("root has %d links", st.Nlink)
	}
}

func TestReadersGoOnWhenTheirFileIsRemoved(t *testing.T) {
	x := newRig(t)
	x.add("kept", 20*bs)
	x.add("removed", 20*bs)
	x.add("dir/removed", 20*bs)
	x.start()
	var held []*os.File
	all := []string{"kept", "removed", "dir/removed"}
	for _, name := range all {
		f := x.open(name)
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
		x.read(f, name, 0, 100)
		held = append(held, f)
	}
	for i := range int64(5) {
		x.reload("kept")
		x.absent("removed", "dir/removed", "dir")
		for k, f := range held {
			x.read(f, all[k], (3*i+1)*bs, bs) // not there yet
		}
		x.reload(all...)
		for k, f := range held {
			x.read(f, all[k], (3*i+2)*bs, bs)
			again := x.open(all[k])
			x.read(again, all[k], (3*i+3)*bs, bs)
			a, b := fstat(t, f), fstat(t, again)
			if a.Ino != b.Ino || a.Size != b.Size || b.Nlink != 1 {
				t.Errorf("%s: %+v, the one held %+v", all[k], b, a)
			}
			must(t, again.Close())
		}
	}
}

func fstat(tb testing.TB, f *os.File) (st unix.Stat_t) {
	tb.Helper()
	must(tb, unix.Fstat(int(f.Fd()), &st))
	return st
}

// resident counts the pages of a file that the kernel keeps.
func resident(tb testing.TB, f *os.File, size int64) (n int) {
	tb.Helper()
	p, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	must(tb, err)
	defer unix.Munmap(p)
	in := make([]byte, (size+4095)/4096)
	if _, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&p[0])), uintptr(size), uintptr(unsafe.Pointer(&in[0]))); errno != 0 {
		tb.Fatal(errno)
	}
	for _, b := range in {
		n += int(b & 1)
	}
	return n
}

func TestAReloadLosesNoPages(t *testing.T) {
	x := newRig(t)
	x.config.NoPassthrough = true
	x.add("dir/a", 8*bs)
	x.add("dir/b", 1)
	x.add("c", 1)
	x.start()
	f := x.open("dir/a")
	x.read(f, "dir/a", 0, 8*bs)
	x.published("dir/a")
	if n := resident(t, f, 8*bs); n != 8*bs/4096 {
		t.Fatalf("%d pages before", n)
	}
	before := statx(t, x.path("dir/a"))
	must(t, f.Close())
	x.reload("dir/a")
	x.reload("dir/a", "dir/b")
	if now := statx(t, x.path("dir/a")); now.Ino != before.Ino {
		t.Errorf("inode %d, before %d", now.Ino, before.Ino)
	}
	if n := resident(t, x.open("dir/a"), 8*bs); n != 8*bs/4096 {
		t.Errorf("%d pages after", n)
	}
}

func TestPassthroughOutlivesAReload(t *testing.T) {
	needRoot(t)
	x := newRig(t)
	c := x.add("a", 16*bs+5)
	x.add("b", 16*bs+5)
	x.add("c", 1)
	x.start()
	x.whole("a")
	x.whole("b")
	x.stop() // no handle may be left that is not passed through
	x.start()
	kept, removed := x.open("a"), x.open("b")
	p, err := unix.Mmap(int(kept.Fd()), 0, int(c.Size), unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(p)
	x.reload("a", "c")
	x.absent("b")
	x.read(kept, "a", 0, c.Size)
	x.read(removed, "b", 0, c.Size)
	x.read(x.open("a"), "a", 0, c.Size)
	x.reload("a", "b")
	x.read(x.open("b"), "b", 0, c.Size)
	x.read(removed, "b", 0, c.Size)
	x.reload("a")
	x.kill() // the kernel reads by itself
	x.read(kept, "a", 0, c.Size)
	x.read(removed, "b", 0, c.Size)
	must(t, c.Check(p, 0))
}

func TestANameChangesItsKind(t *testing.T) {
	x := newRig(t)
	x.add("x", 3*bs)
	x.add("x/y", 3*bs)
	x.add("x/y/z", 3*bs)
	all := x.config.Entries
	x.config.Entries = all[:1]
	x.start()
	x.config.Entries = all
	part := func(name string) *os.File { // for a whole one would be in the way, in the output directory
		f := x.open(name)
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
		x.read(f, name, bs, 10)
		return f
	}
	part("x")
	var held []*os.File
	var of []string
	for _, name := range []string{"x/y", "x/y/z", "x", "x/y/z", "x/y", "x", "x/y"} {
		x.reload(name)
		held, of = append(held, part(name)), append(of, name)
		for i, f := range held {
			x.read(f, of[i], bs+20, 10)
		}
		for _, other := range []string{"x/y/z", "x/y", "x"} {
			fi, err := os.Lstat(x.path(other))
			if other == name && (err != nil || fi.IsDir()) {
				t.Errorf("%s: %v", other, err)
			}
			if len(other) < len(name) && (err != nil || !fi.IsDir()) {
				t.Errorf("%s above %s: %v", other, name, err)
			}
			if len(other) > len(name) && !errors.Is(err, syscall.ENOTDIR) && !errors.Is(err, syscall.ENOENT) {
				t.Errorf("%s below %s: %v", other, name, err)
			}
		}
	}
}

// A directory that goes is gone for a process that has it as its working directory, and the one that comes
// back is good for all others.
func TestSomebodyStandsInARemovedDirectory(t *testing.T) {
	x := newRig(t)
	x.add("a", 10)
	x.add("dir/sub/b", 10)
	x.start()
	x.whole("dir/sub/b")
	stand, err := os.Open(x.path("dir/sub"))
	must(t, err)
	defer stand.Close()
	shell := exec.Command("cat")
	shell.Dir = x.path("dir/sub")
	stdin, err := shell.StdinPipe()
	must(t, err)
	must(t, shell.Start())
	defer shell.Wait()
	defer stdin.Close()
	for range 3 {
		x.reload("a")
		x.absent("dir/sub/b", "dir/sub", "dir")
		x.reload("a", "dir/sub/b")
		x.read(x.open("dir/sub/b"), "dir/sub/b", 0, 10)
		if got := names(t, x.path("dir")); !slices.Equal(got, []string{"sub/"}) {
			t.Errorf("dir lists %q", got)
		}
		if _, err := stand.Stat(); err != nil {
			t.Errorf("stat of the directory that went: %v", err)
		}
		if fd, err := unix.Openat(int(stand.Fd()), "b", unix.O_RDONLY|unix.O_CLOEXEC, 0); !errors.Is(err, syscall.ENOENT) {
			t.Errorf("the directory that went has b: %d, %v", fd, err)
		}
	}
}

// A URL that is no good any more is replaced by a reload; a program that has the file
// open reads on.
func TestAReloadBringsAnotherURL(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 20*bs)
	x.start()
	f := x.open("a")
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	x.read(f, "a", 0, 10)
	before := fstat(t, f)
	x.Inject(origintest.Status(403).On("/a"))
	if _, err := f.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.EACCES) {
		t.Errorf("read: %v", err)
	}
	if v, err := xattr(x.path("a"), xattrState); v != "needs-url" || err != nil {
		t.Errorf("state is %q, %v", v, err)
	}
	if v, err := xattr(x.path("a"), xattrError); v == "" || err != nil {
		t.Errorf("error is %q, %v", v, err)
	}
	x.Put("/elsewhere", origintest.File{Content: c})
	x.config.Entries[0].URL = x.url + "/elsewhere"
	x.reload("a")
	x.read(f, "a", 5*bs, bs)
	x.read(x.open("a"), "a", 0, c.Size)
	if now := statx(t, x.path("a")); now.Ino != before.Ino {
		t.Errorf("inode %d, before %d", now.Ino, before.Ino)
	}
	if v, err := xattr(x.path("a"), xattrURL); v != x.url+"/elsewhere" || err != nil {
		t.Errorf("URL is %q, %v", v, err)
	}
}

// The kernel takes a name away between two lookups in its directory; one that
// waits for its origin must not hold up all others.
func TestAReloadBesideAStalledLookupHoldsUpNobody(t *testing.T) {
	x := newRig(t)
	x.config.ReadTimeout = 2 * hang // of no help
	for _, name := range []string{"gone", "kept", "other", "stalled", "dir/gone", "dir/kept"} {
		x.add(name, 10)
	}
	x.start()
	x.whole("gone")
	x.whole("dir/gone")
	stall := origintest.FirstByteAfter(2 * hang).On("/stalled")
	x.Inject(stall)
	stalled := x.cat("stalled")
	must(t, stall.Wait(x.ctx, 1))
	x.blocked(stalled)
	x.reload("kept", "other", "stalled", "dir/kept")
	x.absent("dir/gone") // no process waits there
	x.read(x.open("other"), "other", 0, 10)
	if got := names(t, x.path("")); !slices.Equal(got, []string{"dir/", "kept", "other", "stalled"}) {
		t.Errorf("listed: %q", got)
	}
	x.blocked(stalled) // as before
	x.Clear()
	must(t, stalled.cmd.Process.Kill())
	x.join(stalled.done, "end of the stalled reader")
	for x.ctx.Err() == nil {
		if _, err := os.Lstat(x.path("gone")); errors.Is(err, syscall.ENOENT) {
			return
		}
	}
	t.Error("the name that is gone is found: hang")
}

func TestReloadsWhileFilesAreRead(t *testing.T) {
	needRoot(t)
	x := newRig(t)
	const files, workers, rounds = 12, 4, 60
	var even, odd, kept []string
	for i := range files {
		name := fmt.Sprintf("d%d/f%d", i%3, i)
		x.add(name, int64(i%4)*4*bs+bs+int64(i))
		switch {
		case i < 4:
			kept = append(kept, name)
		case i%2 == 0:
			even = append(even, name)
		default:
			odd = append(odd, name)
		}
	}
	x.start()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := x.config.Entries[i%files].Name
				f, err := os.Open(x.path(name))
				if errors.Is(err, syscall.ENOENT) && !slices.Contains(kept, name) {
					continue
				}
				if err == nil {
					err = pread(f, x.content[name], 0, 20*bs)
					f.Close()
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	for i := range rounds {
		some := [][]string{even, odd}[i%2]
		x.reload(slices.Concat(kept, some)...)
		x.absent([][]string{even, odd}[1-i%2]...)
	}
	close(stop)
	wg.Wait()
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
}

func TestAThousandReloadsLeakNothing(t *testing.T) {
	x := newRig(t)
	lists := [2][]string{{"kept"}, {"kept"}}
	x.add("kept", 10)
	for i := range 20 {
		name := fmt.Sprintf("d%d/e/f%d", i%4, i)
		x.add(name, 10)
		lists[i%2] = append(lists[i%2], name)
	}
	x.start()
	for name := range x.content {
		x.whole(name)
	}
	held := x.open("kept")
	before := x.reload("kept")
	for i := range 1000 {
		x.reload(lists[i%2]...)
		for _, name := range lists[i%2] {
			if i%10 > 1 {
				break // at most reloads no process is looking
			}
			f, err := os.Open(x.path(name))
			must(t, err)
			must(t, pread(f, x.content[name], 0, 10))
			must(t, f.Close())
		}
	}
	after := x.reload("kept")
	for x.ctx.Err() == nil && (after.Nodes > 3 || after.Goroutines > before.Goroutines+ebb) { // the kernel forgets a moment later
		after = x.ask(rigRequest{})
	}
	if after.Nodes > 3 || after.Goroutines > before.Goroutines+ebb || after.Descriptors > before.Descriptors+ebb {
		t.Errorf("before %+v, after %+v", before, after)
	}
	x.read(held, "kept", 0, 10)
}
