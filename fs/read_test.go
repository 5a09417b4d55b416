//go:build linux

package fs

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

func TestFSInterface(t *testing.T) {
	x := newRig(t)
	sizes := map[string]int64{"empty": 0, "one": 1, "dir/block": bs, "dir/sub/more": bs + 1, "dir/less": bs - 1, "three": 3 * bs}
	var list []string
	for name, size := range sizes {
		x.add(name, size)
		list = append(list, name)
	}
	x.start()
	must(t, fstest.TestFS(os.DirFS(x.config.Point), list...))
	for name, c := range x.content {
		p, err := os.ReadFile(x.path(name))
		must(t, err)
		if !bytes.Equal(p, c.Bytes()) {
			t.Errorf("%s: other bytes", name)
		}
	}
}

func TestReadsAtEveryEdge(t *testing.T) {
	for _, size := range []int64{0, 1, bs - 1, bs, bs + 1, 4*bs + 123} {
		x := newRig(t)
		x.add("a", size)
		x.start()
		f := x.open("a")
		edges := []int64{size}
		for e := int64(0); e <= size; e += bs {
			edges = append(edges, e)
		}
		for _, e := range edges {
			for _, d := range []int64{-4097, -2, -1, 0, 1, 2, 4095} {
				for _, n := range []int64{0, 1, 2, 4096, bs, bs + 1, 3 * bs} {
					if off := e + d; off >= 0 {
						x.read(f, "a", off, n)
					}
				}
			}
		}
	}
}

// A page fault holds its thread where the runtime cannot reach it, so a process
// that maps a file must not be the one that serves it, nor the origin: a garbage
// collection meanwhile would wait for the fault, and the fault for the origin.
func TestMmapOfAnIncompleteFile(t *testing.T) {
	if path := os.Getenv("DLFS_FS_TEST_MMAP"); path != "" {
		check := origintest.Content{}
		must(t, json.Unmarshal([]byte(os.Getenv("DLFS_FS_TEST_CONTENT")), &check))
		readMapped(t, path, check)
		return
	}
	needFUSE(t)
	x := newRig(t)
	c := x.add("a", 40*bs+77)
	x.start()
	content, err := json.Marshal(c)
	must(t, err)
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), "DLFS_FS_TEST_MMAP="+x.path("a"), "DLFS_FS_TEST_CONTENT="+string(content))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// readMapped maps a file and reads it, its middle first.
func readMapped(t *testing.T, path string, c origintest.Content) {
	f, err := os.Open(path)
	must(t, err)
	defer f.Close()
	p, err := unix.Mmap(int(f.Fd()), 0, int(c.Size), unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(p)
	must(t, c.Check(p[33*bs+5:33*bs+10], 33*bs+5))
	must(t, c.Check(p, 0))
}

func TestDirectIO(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 5*bs+100)
	x.start()
	fd, err := unix.Open(x.path("a"), unix.O_RDONLY|unix.O_DIRECT|unix.O_CLOEXEC, 0)
	must(t, err)
	f := os.NewFile(uintptr(fd), "a")
	defer f.Close()
	p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON) // aligned
	must(t, err)
	defer unix.Munmap(p)
	for _, off := range []int64{bs - 4096, 3 * bs, 0, 5 * bs} {
		n, err := f.ReadAt(p, off)
		if err != nil && err != io.EOF || int64(n) != min(4096, c.Size-off) {
			t.Fatalf("%d bytes at %d: %v", n, off, err)
		}
		must(t, c.Check(p[:n], off))
	}
}

func TestCopies(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 12*bs+9)
	x.add("b", 12*bs+9)
	x.add("c", 12*bs+9)
	x.start()

	whole := func(name string, p []byte, err error) {
		t.Helper()
		must(t, err)
		if c := x.content[name]; int64(len(p)) != c.Size {
			t.Fatalf("%d bytes", len(p))
		} else {
			must(t, c.Check(p, 0))
		}
	}
	// io.Copy to a file tries copy_file_range.
	out, err := os.Create(filepath.Join(t.TempDir(), "copy"))
	must(t, err)
	defer out.Close()
	n, err := io.Copy(out, x.open("a"))
	if err != nil || n != c.Size {
		t.Fatalf("%d bytes, %v", n, err)
	}
	p, err := os.ReadFile(out.Name())
	whole("a", p, err)

	for name, move := range map[string]func(w, r *os.File) (int64, error){
		"b": func(w, r *os.File) (n int64, err error) {
			for {
				k, err := unix.Splice(int(r.Fd()), nil, int(w.Fd()), nil, 1<<20, 0)
				if errors.Is(err, syscall.EINTR) {
					continue
				}
				if n += k; err != nil || k == 0 {
					return n, err
				}
			}
		},
		"c": func(w, r *os.File) (int64, error) { return io.Copy(w, r) },
	} {
		r, w, err := os.Pipe()
		must(t, err)
		f := x.open(name)
		moved := make(chan error, 1)
		go func() { // ends with the file
			_, err := move(w, f)
			w.Close()
			moved <- err
		}()
		p, err := io.ReadAll(r)
		r.Close()
		must(t, <-moved)
		whole(name, p, err)
	}
}

func TestPresentBytesAskNobody(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	x.read(x.open("a"), "a", 0, 8*bs)
	x.published("a")
	n := x.Counts()
	x.Inject(origintest.Status(500))
	for range 3 {
		x.read(x.open("a"), "a", 0, 8*bs)
	}
	if got := x.Counts(); got.Requests != n.Requests {
		t.Errorf("%d requests more", got.Requests-n.Requests)
	}
}

// A program that reads a mounted file reads a file like any other.
func TestReader(t *testing.T) {
	for _, no := range []bool{false, true} {
		x := newRig(t)
		x.config.NoPassthrough = no
		c := x.add("a", 3*bs+11)
		x.start()
		must(t, iotest.TestReader(x.open("a"), c.Bytes()))
		x.published("a")
		must(t, iotest.TestReader(x.open("a"), c.Bytes()))
	}
}

// The system calls that move or only announce bytes.
func TestOtherWaysToRead(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 6*bs+3)
	for _, name := range []string{"b", "c", "d"} {
		x.add(name, 6*bs+3)
	}
	x.start()
	copied := func(name string, move func(dst, src int) (int, error)) {
		t.Helper()
		out, err := os.Create(filepath.Join(t.TempDir(), "copy"))
		must(t, err)
		defer out.Close()
		src := x.open(name)
		for {
			n, err := move(int(out.Fd()), int(src.Fd()))
			if errors.Is(err, syscall.EINTR) {
				continue
			}
			must(t, err)
			if n == 0 {
				break
			}
		}
		must(t, pread(out, x.content[name], 0, c.Size+1))
	}
	copied("a", func(dst, src int) (int, error) { return unix.Sendfile(dst, src, nil, 1<<20) })
	copied("b", func(dst, src int) (int, error) {
		n, err := unix.CopyFileRange(src, nil, dst, nil, 1<<20, 0)
		if errors.Is(err, syscall.EXDEV) { // where the kernel copies within one filesystem only
			return unix.Sendfile(dst, src, nil, 1<<20)
		}
		return n, err
	})
	f := x.open("c")
	if _, _, errno := unix.Syscall(unix.SYS_READAHEAD, f.Fd(), 0, uintptr(c.Size)); errno != 0 {
		t.Errorf("readahead: %v", errno)
	}
	x.read(f, "c", 0, c.Size)
	f = x.open("d")
	for _, advice := range []int{unix.FADV_WILLNEED, unix.FADV_SEQUENTIAL, unix.FADV_RANDOM, unix.FADV_DONTNEED, unix.FADV_NORMAL} {
		if err := unix.Fadvise(int(f.Fd()), 0, 0, advice); err != nil {
			t.Errorf("advice %d: %v", advice, err)
		}
		x.read(f, "d", 0, c.Size)
	}
	if n, err := unix.Seek(int(f.Fd()), -1, io.SeekEnd); n != c.Size-1 || err != nil {
		t.Errorf("seek to the end: %d, %v", n, err)
	}
}
