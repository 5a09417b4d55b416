package fs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origin"
)

// Whoever reads a mounted file reads a file.
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

// The reason in the log is the reason: a connection that timed out is not the
// read timeout.
func TestFailSaysWhy(t *testing.T) {
	x := setOf(t, "a")
	var b bytes.Buffer
	f := &fileSystem{log: slog.New(slog.NewTextHandler(&b, nil)), opts: Options{ReadTimeout: time.Hour}}
	dial := &net.Dialer{Timeout: time.Nanosecond}
	_, err := dial.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Skipf("a dial timeout is %v", err)
	}
	code, _ := f.fail("read", x.File("a"), &origin.Error{Kind: origin.Transient, Err: err})
	if code != syscall.EIO || strings.Contains(b.String(), "read-timeout") {
		t.Errorf("%v: %s", code, b.String())
	}
}

func TestMountpointWithSpaces(t *testing.T) {
	x := newRig(t)
	x.config.Point = filepath.Join(filepath.Dir(x.config.Point), "a b\\040\n")
	must(t, os.Mkdir(x.config.Point, 0o755))
	x.add("a", 10)
	x.start()
	if ours, err := mounted(x.config.Point); !ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	x.read(x.open("a"), "a", 0, 10)
	x.kill()
	if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
}

// A mountpoint that is reached by a symbolic link is the same mountpoint.
func TestMountpointBySymlink(t *testing.T) {
	x := newRig(t)
	target := x.config.Point
	x.config.Point = filepath.Join(filepath.Dir(target), "link")
	must(t, os.Symlink(target, x.config.Point))
	x.add("a", 10)
	x.start()
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	if ours, err := mounted(x.config.Point); !ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	x.open("a")
	if busy := x.stop(); !strings.Contains(busy, fmt.Sprint(os.Getpid())) {
		t.Errorf("busy: %q", busy)
	}
	x.start()
	x.kill()
	if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
}

// A shell that stood in the directory before it was mounted over does not hold
// the mount.
func TestCloseInPlaceWithSomebodyBelow(t *testing.T) {
	x := newRig(t)
	x.config.Dir = x.config.Point
	x.add("a", 10)
	shell := exec.Command("cat")
	shell.Dir = x.config.Point
	stdin, err := shell.StdinPipe()
	must(t, err)
	must(t, shell.Start())
	defer shell.Wait()
	defer stdin.Close()
	x.start()
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
}

// A mapping alone holds the mount, and so does a running program.
func TestCloseNamesWhoHasAFileMapped(t *testing.T) {
	x := newRig(t)
	x.add("a", 10)
	x.start()
	f := x.open("a")
	p, err := unix.Mmap(int(f.Fd()), 0, 10, unix.PROT_READ, unix.MAP_PRIVATE)
	must(t, err)
	defer unix.Munmap(p)
	must(t, f.Close())
	if busy := x.stop(); !strings.Contains(busy, fmt.Sprint(os.Getpid())) {
		t.Errorf("busy: %q", busy)
	}
}

// An image that is attached to a loop device holds the mount, and no process does.
func TestCloseNamesALoopDevice(t *testing.T) {
	x := newRig(t)
	needRoot(t)
	x.add("a", 64<<10)
	x.start()
	out, err := exec.Command("losetup", "--read-only", "--find", "--show", x.path("a")).Output()
	if err != nil {
		err = fmt.Errorf("no loop device can be had: %w", err)
	}
	hosttest.Need(t, err)
	loop := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "--detach", loop).Run()
	if busy := x.stop(); !strings.Contains(busy, loop) {
		t.Errorf("busy: %q, want %s", busy, loop)
	}
}
