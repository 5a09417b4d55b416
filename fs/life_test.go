//go:build linux

package fs

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

var (
	remounts   = flag.Int("remounts", 10, "how often a mount is taken away and made again")
	readersFor = flag.Duration("readers-for", 2*time.Second, "how long many readers read")
	lifeSeed   = flag.Uint64("life-seed", uint64(time.Now().UnixNano()), "seed of the random readers")
)

// ebb is by how much goroutines and descriptors differ without a leak: flights,
// connections, and how many goroutines listen to the kernel. A hundred rounds of
// anything show a leak of any size.
const ebb = 30

// One process mounts, is read from, and unmounts, again and again, and nothing
// is left of it.
func TestRemountsLeaveNothing(t *testing.T) {
	x := newRig(t)
	x.limit(hang + time.Duration(*remounts)*time.Second)
	x.config.Run, x.config.Prefetch = true, fetch.PrefetchAll
	for i := range 3 {
		x.add(fmt.Sprintf("d/f%d", i), 3*bs+int64(i))
	}
	x.add("waits", 4*bs)
	x.Inject(origintest.StallAfter(bs).On("/waits").Method("GET"))
	x.start()
	use := func() rigState {
		for i := range 3 {
			name := fmt.Sprintf("d/f%d", i)
			f, err := os.Open(x.path(name))
			must(t, err)
			x.read(f, name, 0, 4*bs)
			must(t, f.Close())
		}
		names(t, x.path("d"))
		return x.ask(rigRequest{})
	}
	use()
	var first, last rigState
	for i := range *remounts {
		x.ask(rigRequest{Remount: true})
		if types, err := kinds(x.config.Point); err != nil || !slices.Equal(types, []string{fsType}) {
			t.Fatalf("mounts: %q, %v", types, err)
		}
		last = use()
		if i == 2 {
			first = last
		}
	}
	for x.ctx.Err() == nil && last.Nodes > first.Nodes { // RELEASE comes after close
		last = x.ask(rigRequest{})
	}
	if last.Goroutines > first.Goroutines+ebb || last.Descriptors > first.Descriptors+ebb || last.Nodes > first.Nodes {
		t.Errorf("after 3 remounts %+v, after %d %+v", first, *remounts, last)
	}
	t.Logf("after 3 remounts %+v, after %d %+v", first, *remounts, last)
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
	if types, err := kinds(x.config.Point); err != nil || len(types) != 0 {
		t.Errorf("left: %q, %v", types, err)
	}
}

// limit sets the hang guard.
func (x *rig) limit(d time.Duration) {
	x.guard.Reset(d)
}

// A process that is killed under load leaves its readers an error, not a hang;
// the next start takes its place.
func TestKilledUnderLoad(t *testing.T) {
	replay(t, *lifeSeed)
	x := newRig(t)
	x.config.Run, x.config.Prefetch = true, fetch.PrefetchAll
	const files, readers, kills = 8, 16, 3
	for i := range files {
		x.add(fmt.Sprint("f", i), 40*bs+int64(i))
	}
	x.Inject(origintest.Throttle(4 << 20).Method("GET"))
	for n := range kills {
		x.start()
		var started, ended sync.WaitGroup
		var dying atomic.Bool
		errs := make(chan error, readers)
		for r := range readers {
			started.Add(1)
			ended.Go(func() { // ends with the process
				rng := rand.New(rand.NewPCG(*lifeSeed, uint64(n*readers+r)))
				once := sync.OnceFunc(started.Done)
				defer once()
				for {
					i := rng.IntN(files)
					c := x.content[fmt.Sprint("f", i)]
					f, err := os.Open(x.path(fmt.Sprint("f", i)))
					if err == nil {
						err = pread(f, c, rng.Int64N(c.Size), 2*bs)
						f.Close()
					}
					if errors.Is(err, syscall.EIO) && dying.Load() {
						continue // the kernel's, for a request that a dying thread took
					}
					if err != nil {
						errs <- err
						return
					}
					once()
				}
			})
		}
		started.Wait()
		mounts, err := mountsAt(x.config.Point)
		must(t, err)
		dying.Store(true)
		must(t, x.child.cmd.Process.Kill())
		if err := mounts[len(mounts)-1].ask(hang); !gone(err) {
			t.Errorf("asked while it dies: %v", err)
		}
		x.join(x.child.done, "end of the child")
		done := make(chan struct{})
		go func() { // ends with the readers
			ended.Wait()
			close(done)
		}()
		x.join(done, "end of the readers")
		for range readers {
			if err := <-errs; !gone(err) {
				t.Errorf("a reader got %v", err)
			}
		}
		if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
			t.Fatalf("ClearDead = %v, %v", cleared, err)
		}
	}
	x.Clear()
	x.start()
	for name := range x.content {
		x.whole(name)
	}
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
}

// A mount that is detached from outside while files are open serves those to
// the end, and ends with them.
func TestDetachedFromOutside(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	f := x.open("a")
	x.read(f, "a", 0, 10)
	must(t, Detach(x.config.Point))
	if _, err := os.Stat(x.path("a")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
	x.read(f, "a", 5*bs, 2*bs) // a part is missing
	must(t, f.Close())
	x.wait("unserved")
}

// A mount on a mount hides it, and shows it again.
func TestMountOnAMount(t *testing.T) {
	needRoot(t)
	x := newRig(t)
	point := x.config.Point
	must(t, unix.Mount("none", point, "tmpfs", 0, ""))
	t.Cleanup(func() { unix.Unmount(point, unix.MNT_DETACH) })
	must(t, os.WriteFile(x.path("below"), []byte("below"), 0o644))
	x.add("a", 100)
	x.start()
	if got := names(t, point); !slices.Equal(got, []string{"a"}) {
		t.Errorf("listed: %q", got)
	}
	must(t, unix.Mount("none", point, "tmpfs", 0, "")) // and one on top of it
	if cleared, err := ClearDead(point); cleared || err != nil {
		t.Errorf("of what is not on top, ClearDead = %v, %v", cleared, err)
	}
	must(t, unix.Unmount(point, 0))
	x.read(x.open("a"), "a", 0, 100)
	x.kill()
	if cleared, err := ClearDead(point); !cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
	if b, err := os.ReadFile(x.path("below")); string(b) != "below" {
		t.Errorf("below: %q, %v", b, err)
	}
}

// What stood in the directory before it was mounted over stands there after.
func TestMountOverADirectoryWithFiles(t *testing.T) {
	x := newRig(t)
	x.config.Dir = x.config.Point
	x.add("dir/a", 5*bs+1)
	must(t, os.MkdirAll(filepath.Join(x.config.Dir, "dir/other"), 0o755))
	for _, name := range []string{"mine", "dir/mine", "dir/other/mine"} {
		must(t, os.WriteFile(filepath.Join(x.config.Dir, name), []byte(name), 0o640))
	}
	x.start()
	for _, name := range []string{"mine", "dir/mine", "dir/other"} {
		if _, err := os.Lstat(x.path(name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s shows: %v", name, err)
		}
	}
	x.whole("dir/a")
	x.stop()
	for _, name := range []string{"mine", "dir/mine", "dir/other/mine"} {
		if b, err := os.ReadFile(x.path(name)); string(b) != name {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
}

// Processes that share a mapping from before a fork read what arrives.
func TestForkWithAMapping(t *testing.T) {
	_, err := exec.LookPath("python3")
	hosttest.Need(t, err)
	x := newRig(t)
	x.config.Run, x.config.Prefetch = true, fetch.PrefetchAll
	c := x.add("a", 64*bs+99)
	x.Inject(origintest.Throttle(8 << 20).Method("GET"))
	x.start()
	want := filepath.Join(t.TempDir(), "want")
	must(t, os.WriteFile(want, c.Bytes(), 0o644))
	out, err := exec.CommandContext(x.ctx, "python3", "-c", `
import mmap, os, random, sys
got, want = open(sys.argv[1], "rb"), open(sys.argv[2], "rb").read()
m = mmap.mmap(got.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_SHARED)
children = []
for seed in range(6):
    pid = os.fork()
    if pid == 0:
        r = random.Random(seed)
        for _ in range(200):
            off = r.randrange(len(want)); n = r.randrange(1, 100000)
            if m[off:off+n] != want[off:off+n] or os.pread(got.fileno(), n, off) != want[off:off+n]:
                os._exit(1)
        os._exit(0)
    children.append(pid)
sys.exit(any([os.waitpid(pid, 0)[1] for pid in children]))`, x.path("a"), want).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// What is stopped and goes on, as with a suspend, answers as before.
func TestStoppedProcessGoesOn(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 32*bs)
	x.add("b", 4*bs)
	x.start()
	statx(t, x.path("a"))
	x.freeze()
	cat := x.cat("a")
	x.blocked(cat)
	done := make(chan error, 2)
	go func() { // ends once it goes on
		f, err := os.Open(x.path("a"))
		if err == nil {
			defer f.Close()
			err = pread(f, c, 20*bs, 3*bs)
		}
		done <- err
	}()
	go func() { // ends once it goes on
		_, err := os.Stat(x.path("b"))
		done <- err
	}()
	must(t, x.child.cmd.Process.Signal(syscall.SIGCONT))
	for range 2 {
		select {
		case err := <-done:
			must(t, err)
		case <-x.ctx.Done():
			t.Fatal("hang")
		}
	}
	x.join(cat.done, "end of cat")
	if !cat.cmd.ProcessState.Success() {
		t.Errorf("cat: %v", cat.cmd.ProcessState)
	}
}

// Tools that copy, follow and watch work as on any disk.
func TestCopyFollowAndWatch(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 5*bs+7)
	x.add("b", 5*bs+7)
	x.start()
	to := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.CommandContext(x.ctx, "cp", "--reflink=auto", "--sparse=auto", x.path("a"), to).CombinedOutput(); err != nil {
		t.Errorf("cp: %v: %s", err, out)
	}
	p, err := os.ReadFile(to)
	must(t, err)
	if int64(len(p)) != c.Size || c.Check(p, 0) != nil {
		t.Errorf("the copy has %d bytes, or others", len(p))
	}
	if err := exec.CommandContext(x.ctx, "cp", "--reflink=always", x.path("a"), to).Run(); err == nil {
		t.Error("a reflink was made")
	}

	events, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	must(t, err)
	watcher := os.NewFile(uintptr(events), "inotify")
	defer watcher.Close()
	_, err = unix.InotifyAddWatch(events, x.path("b"), unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE)
	must(t, err)

	follow := exec.CommandContext(x.ctx, "tail", "-c", "+1", "-f", x.path("b"))
	out, err := follow.StdoutPipe()
	must(t, err)
	must(t, follow.Start())
	p = make([]byte, c.Size)
	_, err = io.ReadFull(out, p)
	must(t, err)
	must(t, x.content["b"].Check(p, 0))
	must(t, follow.Process.Kill())
	follow.Wait() // it says that it was killed

	must(t, watcher.SetReadDeadline(time.Now().Add(hang)))
	buf := make([]byte, 1<<16)
	for seen := uint32(0); seen != unix.IN_OPEN|unix.IN_ACCESS|unix.IN_CLOSE_NOWRITE; {
		n, err := watcher.Read(buf)
		must(t, err)
		for e := buf[:n]; len(e) >= unix.SizeofInotifyEvent; e = e[unix.SizeofInotifyEvent:] {
			seen |= uint32(e[4]) | uint32(e[5])<<8 // the mask; of a file there is no name
		}
	}
}

// Many readers of many files, while all of them are fetched over a network that
// breaks all the time: every byte is compared. Each round starts with nothing.
func TestManyReaders(t *testing.T) {
	end := time.Now().Add(*readersFor)
	for round := uint64(0); time.Now().Before(end) && !t.Failed(); round++ {
		t.Run(fmt.Sprint(round), func(t *testing.T) { manyReaders(t, *lifeSeed+round) })
	}
}

// replay prints the command that repeats a test.
func replay(t *testing.T, seed uint64) {
	name, _, _ := strings.Cut(t.Name(), "/")
	t.Logf("to replay: go test ./fs -run '%s$' -life-seed %d", name, seed)
}

func manyReaders(t *testing.T, seed uint64) {
	const files, readers = 100, 64
	x := newRig(t)
	x.config.Run, x.config.Prefetch, x.config.Tries = true, fetch.PrefetchAll, 100
	x.config.ReadTimeout = hang / 4
	for i := range files {
		x.add(fmt.Sprintf("d%d/f%d", i%7, i), int64(i*i%23)*bs+int64(i)*101)
	}
	replay(t, seed)
	faults := []*origintest.Fault{
		origintest.Status(500).Method("GET").Chance(0.02, seed),
		origintest.CutAfter(bs+100).Method("GET").Chance(0.1, seed+1),
		origintest.ResetAfter(2*bs+1).Method("GET").Chance(0.05, seed+2),
		origintest.PauseAfter(5000, 50*time.Millisecond).Method("GET").Chance(0.1, seed+3),
	}
	x.Inject(faults...)
	x.start()
	var wg sync.WaitGroup
	var mu sync.Mutex
	reads, bytes := 0, int64(0)
	end := time.Now().Add(min(*readersFor, 5*time.Second))
	for r := range readers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(seed, uint64(r)))
			for n := int64(0); time.Now().Before(end) && !t.Failed(); n = 0 {
				i := rng.IntN(files)
				name := fmt.Sprintf("d%d/f%d", i%7, i)
				f, err := os.Open(x.path(name))
				if err == nil {
					for range 1 + rng.IntN(8) {
						off, size := rng.Int64N(x.content[name].Size+1), 1+rng.Int64N(4*bs)
						if err = pread(f, x.content[name], off, size); err != nil {
							err = fmt.Errorf("[%d +%d): %w", off, size, err)
							break
						}
						n += min(size, x.content[name].Size-off)
					}
					f.Close()
				}
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				mu.Lock()
				reads, bytes = reads+1, bytes+n
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	t.Logf("%d opens, %d bytes compared", reads, bytes)
	for _, f := range faults {
		t.Logf("%v: met %d times", f, f.Hits())
	}
	if faults[1].Hits() == 0 {
		t.Error("the network never broke")
	}
	for name := range x.content {
		if x.content[name].Size > 0 {
			x.whole(name)
		}
	}
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
	for name, c := range x.content {
		p, err := os.ReadFile(filepath.Join(x.config.Dir, name))
		if err == nil && int64(len(p)) != c.Size {
			err = fmt.Errorf("%d bytes, want %d", len(p), c.Size)
		}
		if err == nil {
			err = c.Check(p, 0)
		}
		if err != nil {
			t.Errorf("published %s: %v", name, err)
		}
	}
}
