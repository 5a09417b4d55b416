//go:build linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

func TestCloseOfABusyMountNamesTheHolder(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	f := x.open("a")
	cwd := exec.Command("cat") // only its working directory is in the mount
	cwd.Dir = x.config.Point
	stdin, err := cwd.StdinPipe()
	must(t, err)
	must(t, cwd.Start())
	defer cwd.Wait()
	defer stdin.Close()
	busy := x.stop()
	for _, pid := range []int{os.Getpid(), cwd.Process.Pid} {
		if !strings.Contains(busy, fmt.Sprintf("(%d)", pid)) {
			t.Errorf("process %d is not named: %s", pid, busy)
		}
	}
	if !strings.Contains(busy, "cat (") {
		t.Errorf("cat is not named: %s", busy)
	}
	if types, err := kinds(x.config.Point); err != nil || len(types) != 0 {
		t.Errorf("mounts: %q, %v", types, err)
	}
	if _, err := f.ReadAt(make([]byte, 10), 5*bs); !gone(err) {
		t.Errorf("read after the end: %v", err)
	}
}

func TestCloseWithAStalledOriginEnds(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	stall := origintest.StallAfter(100).Method("GET")
	x.Inject(stall)
	reader := x.cat("a")
	must(t, stall.Wait(x.ctx, 1))
	x.stop() // the set ends before the mount, and the read with it
	x.join(reader.done, "end of the reader")
	if reader.cmd.ProcessState.Success() {
		t.Error("the reader took a stalled file for a good one")
	}
}

func TestUnmountFromOutside(t *testing.T) {
	x := newRig(t)
	x.add("a", 10)
	x.start()
	f := x.open("a")
	if err := Unmount(x.config.Point); err == nil || !strings.Contains(err.Error(), x.config.Point) {
		t.Errorf("of a busy mount: %v", err)
	}
	must(t, f.Close())
	must(t, Unmount(x.config.Point))
	if ours, err := mounted(x.config.Point); ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	x.child.stdin.Close()
	select {
	case <-x.child.done: // Close has nothing to unmount; what it returns does not matter
	case <-x.ctx.Done():
		t.Fatal("the child does not end: hang")
	}
}

func TestMountOverTheOutputDirectory(t *testing.T) {
	x := newRig(t)
	x.config.Dir = x.config.Point
	x.config.Run, x.config.Prefetch = true, fetch.PrefetchAll
	x.config.ControlSocket = filepath.Join(x.config.Dir, ".dlfs", "control.sock")
	x.add("a", 5*bs+1)
	x.add("dir/b", 3)
	x.start()
	if got := names(t, x.config.Point); !slices.Equal(got, []string{"a", "dir/"}) {
		t.Errorf("listed: %q", got)
	}
	for name := range x.content {
		x.whole(name)
	}
	if _, err := os.Lstat(x.path(".dlfs/db")); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("the store shows: %v", err)
	}
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
	for name, c := range x.content {
		p, err := os.ReadFile(filepath.Join(x.config.Dir, name))
		must(t, err)
		if int64(len(p)) != c.Size || c.Check(p, 0) != nil {
			t.Errorf("%s: %d bytes, or others", name, len(p))
		}
	}
	if got := names(t, x.config.Dir); !slices.Equal(got, []string{".dlfs/", "a", "dir/"}) {
		t.Errorf("left: %q", got)
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
