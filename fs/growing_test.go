//go:build linux

package fs

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// endless adds a file whose length the origin does not tell. After
// each number of bytes it waits until the function returned for it is called.
func (x *rig) endless(name string, size int64, holds ...int64) (goOn []func()) {
	x.add(name, size)
	faults := []*origintest.Fault{origintest.NoLength().On("/" + name)}
	for _, n := range holds {
		release := make(chan struct{})
		f := sync.OnceFunc(func() { close(release) })
		x.tb.Cleanup(f)
		goOn = append(goOn, f)
		faults = append(faults, origintest.HoldAfter(n, release).On("/"+name).Method("GET"))
	}
	x.Inject(faults...)
	return goOn
}

// pages is what is shown of n bytes while more may come.
func pages(n int64) int64 { return n - n%int64(os.Getpagesize()) }

// sized returns the file's attributes once it is size bytes long.
func (x *rig) sized(name string, size int64) (st unix.Stat_t) {
	x.tb.Helper()
	for last := int64(0); x.ctx.Err() == nil; last = st.Size {
		must(x.tb, unix.Stat(x.path(name), &st)) // which the kernel must not answer by itself
		if st.Size < last || st.Size > size {
			x.tb.Fatalf("%s has %d bytes, after %d; it should come to %d", name, st.Size, last, size)
		}
		if st.Size == size {
			return st
		}
	}
	x.tb.Fatalf("%s does not become %d bytes long: hang", name, size)
	return st
}

// output starts a command that reads the mount, and returns its output's end.
func (x *rig) output(name string, arg ...string) (end func() []byte) {
	x.tb.Helper()
	cmd := exec.CommandContext(x.ctx, name, arg...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	must(x.tb, cmd.Start())
	return func() []byte {
		x.tb.Helper()
		if err := cmd.Wait(); err != nil {
			x.tb.Fatalf("%s: %v: %s", name, err, complaints.String())
		}
		return out.Bytes()
	}
}

// compare compares p with all of a file.
func (x *rig) compare(name string, p []byte) {
	x.tb.Helper()
	if c := x.content[name]; int64(len(p)) != c.Size {
		x.tb.Errorf("%s: %d bytes, want %d", name, len(p), c.Size)
	} else if len(p) > 0 {
		must(x.tb, c.Check(p, 0))
	}
}

func TestAGrowingFileIsReadToItsEnd(t *testing.T) {
	for _, no := range []bool{false, true} {
		x := newRig(t)
		x.config.NoPassthrough = no
		const first, second, size = 3*bs + 100, 7 * bs, 20*bs + 7
		goOn := x.endless("a", size, first, second)
		x.start()
		f := x.open("a")
		cat := x.output("cat", x.path("a"))
		growing := x.sized("a", pages(first))
		p := make([]byte, size+10)
		n, err := io.ReadFull(f, p[:first])
		if n != first || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		for off := int64(0); off < first; off += 12345 { // at random, past the page cache
			k, err := f.ReadAt(p[n:n+10], off)
			if err != nil {
				t.Fatal(err)
			}
			must(t, x.content["a"].Check(p[n:n+k], off))
		}
		goOn[0]()
		if n, err := io.ReadFull(f, p[first:second]); n != second-first || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
		x.sized("a", second)
		goOn[1]()
		rest, err := io.ReadAll(f)
		must(t, err)
		x.compare("a", append(p[:second], rest...))
		x.compare("a", cat())
		x.published("a")

		st := x.sized("a", size)
		if st.Mtim != growing.Mtim {
			t.Errorf("mtime became another")
		}
		after := x.open("a")
		x.read(after, "a", 0, size+1)
		if st := fstat(t, after); st.Size != size {
			t.Errorf("size is %d", st.Size)
		}
		x.read(f, "a", 0, size) // who has it open since then
		if n, err := f.ReadAt(p, size); n != 0 || err != io.EOF {
			t.Errorf("beyond the end: %d, %v", n, err)
		}
		got, err := os.ReadFile(x.path("a"))
		must(t, err)
		x.compare("a", got)
		if n := x.Counts().Requests; n > 4 {
			t.Errorf("%d requests: %v", n, x.Log())
		}
	}
}

func TestAFileWithoutLengthMayBeEmpty(t *testing.T) {
	x := newRig(t)
	x.endless("a", 0)
	x.endless("b", 1)
	x.start()
	for name := range x.content {
		got, err := os.ReadFile(x.path(name))
		must(t, err)
		x.compare(name, got)
	}
}

func TestTailAndTarFollowAGrowingFile(t *testing.T) {
	x := newRig(t)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	inner := origintest.Content{Seed: 5, Size: 9*bs + 1}
	for i := range 3 {
		must(t, w.WriteHeader(&tar.Header{Name: fmt.Sprint("f", i), Mode: 0o644, Size: inner.Size}))
		_, err := w.Write(inner.Bytes())
		must(t, err)
	}
	must(t, w.Close())
	goOn := x.endless("a.tar", int64(archive.Len()), bs, 12*bs)
	x.Put("/a.tar", origintest.File{Body: bytes.NewReader(archive.Bytes()), Size: int64(archive.Len())})
	x.start()
	dir := t.TempDir()
	tarred := x.output("tar", "xf", x.path("a.tar"), "-C", dir)
	tailed := x.output("tail", "-c", "+"+fmt.Sprint(bs+1), x.path("a.tar"))
	x.sized("a.tar", bs)
	goOn[0]()
	x.sized("a.tar", 12*bs)
	goOn[1]()
	tarred()
	if got := tailed(); !bytes.Equal(got, archive.Bytes()[bs:]) {
		t.Errorf("tail gives %d bytes of %d, or others", len(got), archive.Len()-bs)
	}
	for i := range 3 {
		p, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("f", i)))
		must(t, err)
		if int64(len(p)) != inner.Size || inner.Check(p, 0) != nil {
			t.Errorf("f%d: %d bytes, or others", i, len(p))
		}
	}
}

// A program that knows the file from when it grew is never shown its size of then.
func TestNoSizeOfAGrowingFileIsKept(t *testing.T) {
	x := newRig(t)
	const size = 10*bs + 3
	goOn := x.endless("dir/a", size, bs, 2*bs, 3*bs)
	x.start()
	held := x.open("dir/a")
	for i, n := range []int64{bs, 2 * bs, 3 * bs} {
		x.sized("dir/a", n)
		if st := fstat(t, held); st.Size != n {
			t.Errorf("fstat says %d, not %d", st.Size, n)
		}
		x.reload("dir/a") // changes nothing
		goOn[i]()
	}
	x.published("dir/a")
	x.sized("dir/a", size)
	if st := fstat(t, held); st.Size != size {
		t.Errorf("fstat says %d at the end", st.Size)
	}
	f := x.open("dir/a")
	if n, err := unix.Seek(int(f.Fd()), 0, io.SeekEnd); n != size || err != nil {
		t.Errorf("its end is at %d, %v", n, err)
	}
	p, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(p)
	must(t, x.content["dir/a"].Check(p, 0))
	x.stop()
	x.start()
	x.sized("dir/a", size)
}

func TestMappingsOfAGrowingFile(t *testing.T) {
	x := newRig(t)
	goOn := x.endless("a", 4*bs, bs+100)
	x.start()
	f := x.open("a")
	x.sized("a", bs)
	if _, err := unix.Mmap(int(f.Fd()), 0, bs, unix.PROT_READ, unix.MAP_SHARED); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("shared: %v", err)
	}
	p, err := unix.Mmap(int(f.Fd()), 0, 2*bs, unix.PROT_READ, unix.MAP_PRIVATE)
	must(t, err)
	defer unix.Munmap(p)
	must(t, x.content["a"].Check(p[:bs], 0))
	goOn[0]()
	x.published("a")
	if st := fstat(t, f); st.Size != 4*bs {
		t.Errorf("size is %d", st.Size)
	}
	must(t, x.content["a"].Check(p, 0))
}

// The kernel serves sendfile from its page cache, whatever the handle says. What
// it gives is less than the file, and never other bytes.
func TestSendfileOfAGrowingFile(t *testing.T) {
	x := newRig(t)
	const size = 20*bs + 7
	goOn := x.endless("a", size, bs+100, 3*bs+5000)
	x.start()
	f := x.open("a")
	send := func() int64 {
		t.Helper()
		out, err := os.Create(filepath.Join(t.TempDir(), "copy"))
		must(t, err)
		defer out.Close()
		_, err = f.Seek(0, io.SeekStart)
		must(t, err)
		for {
			n, err := unix.Sendfile(int(out.Fd()), int(f.Fd()), nil, 1<<20)
			must(t, err)
			if n == 0 {
				break
			}
		}
		p, err := os.ReadFile(out.Name())
		must(t, err)
		must(t, x.content["a"].Check(p, 0))
		return int64(len(p))
	}
	for i, n := range []int64{bs, pages(3*bs + 5000)} {
		x.sized("a", n)
		fstat(t, f)
		if got := send(); got != n {
			t.Errorf("%d bytes, want %d", got, n)
		}
		goOn[i]()
	}
	x.published("a")
	fstat(t, f)
	if n := send(); n != size {
		t.Errorf("%d bytes at the end", n)
	}
}

func TestXattrsOfAGrowingFile(t *testing.T) {
	x := newRig(t)
	goOn := x.endless("a", 4*bs, bs)
	x.start()
	x.sized("a", bs)
	for name, want := range map[string]string{xattrState: "fetching", xattrPresent: fmt.Sprint(bs)} {
		if v, err := xattr(x.path("a"), name); v != want || err != nil {
			t.Errorf("%s is %q, %v; want %q", name, v, err, want)
		}
	}
	if v, err := xattr(x.path("a"), xattrLastModified); !strings.HasSuffix(v, " GMT") || err != nil {
		t.Errorf("last modified: %q, %v", v, err)
	}
	goOn[0]()
	x.published("a")
	if v, err := xattr(x.path("a"), xattrPresent); v != fmt.Sprint(4*bs) || err != nil {
		t.Errorf("present: %q, %v", v, err)
	}
}

func TestAReaderOfAGrowingFileCanBeInterrupted(t *testing.T) {
	x := newRig(t)
	x.config.ReadTimeout = 2 * hang // of no help
	goOn := x.endless("a", 4*bs, bs)
	x.start()
	for _, sig := range []os.Signal{os.Interrupt, os.Kill} {
		c := x.cat("a")
		x.sized("a", bs)
		x.blocked(c)
		must(t, c.cmd.Process.Signal(sig))
		x.join(c.done, "end of cat on "+sig.String())
	}
	rest := x.output("cat", x.path("a"))
	goOn[0]()
	x.compare("a", rest())
}

func TestAStalledGrowingFileGivesUp(t *testing.T) {
	x := newRig(t)
	x.config.ReadTimeout = time.Second
	goOn := x.endless("a", 4*bs, bs)
	x.start()
	f := x.open("a")
	x.sized("a", bs)
	if n, err := f.ReadAt(make([]byte, 10), bs); n != 0 || !errors.Is(err, syscall.EIO) {
		t.Errorf("%d bytes, %v", n, err)
	}
	goOn[0]()
	x.published("a")
	x.read(f, "a", 0, 4*bs)
}

// What breaks off and cannot be resumed starts again as another inode.
func TestAGrowingFileThatBreaksOffNeverMixes(t *testing.T) {
	x := newRig(t)
	const size = 10 * bs
	goOn := x.endless("a", size, 2*bs)
	x.Inject(origintest.CutAfter(4 * bs).Method("GET"))
	x.start()
	f := x.open("a")
	x.sized("a", 2*bs)
	c := origintest.Content{Seed: 99, Size: size + 5}
	x.content["a"] = c
	x.Clear()
	x.Put("/a", origintest.File{Content: c})
	x.Inject(origintest.NoLength())
	goOn[0]()
	if _, err := f.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("read of what broke off: %v", err)
	}
	got, err := os.ReadFile(x.path("a"))
	must(t, err)
	x.compare("a", got)
}

func TestARemovedGrowingFileReadsOn(t *testing.T) {
	x := newRig(t)
	goOn := x.endless("a", 5*bs, bs)
	x.add("b", 10)
	x.start()
	f := x.open("a")
	x.sized("a", bs)
	x.reload("b")
	x.absent("a")
	goOn[0]()
	p, err := io.ReadAll(f)
	must(t, err)
	x.compare("a", p)
	x.reload("a", "b")
	x.sized("a", 5*bs)
	x.read(x.open("a"), "a", 0, 5*bs)
}
