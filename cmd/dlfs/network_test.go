package main

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

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// outages are ways a network dies. Somebody gets stuck in file 1, of which some
// is there; or in one whose host nobody has found yet.
var outages = []struct {
	name      string
	stuck     int    // the file to get stuck with
	off       int64  // and where in it
	tailed    string // the file that somebody gets interrupted in: the kernel has two first lookups of a name wait in line
	cut, heal func(l *link)
}{
	{"packets vanish", 1, 60 << 20, "1",
		func(l *link) { l.ip("-n", l.far, "route", "add", "blackhole", nearAddr+"/32") },
		func(l *link) { l.ip("-n", l.far, "route", "del", "blackhole", nearAddr+"/32") }},
	{"cable is pulled", 1, 60 << 20, "1",
		func(l *link) { l.ip("-n", l.far, "link", "set", "cable", "down") },
		func(l *link) { l.ip("-n", l.far, "link", "set", "cable", "up") }},
	{"server is frozen", 1, 60 << 20, "1",
		func(l *link) { l.origin.Process.Signal(syscall.SIGSTOP) },
		func(l *link) { l.origin.Process.Signal(syscall.SIGCONT) }},
	{"names are not answered", 2, 0, "4",
		func(l *link) { l.deaf.Store(everyone) },
		func(*link) {}},
}

// TestDeadNetwork has the network die under readers: nothing outlives the read
// timeout, what needs no network does not wait for it, and all goes on when the
// network does. Then it dies again, and dlfs is to end.
func TestDeadNetwork(t *testing.T) {
	hosttest.NeedTime(t)
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			// What ends by the read timeout alone is to be told from what is slow
			// for another reason.
			const size, present, readTimeout = 64 << 20, 1 << 20, busyMachine + 4*time.Second
			l := newLink(t, 1<<28, size, size, 1<<20, 1<<20, 1<<20)
			l.deaf.Store(newcomer)
			cmd, ended, root := l.mount(fmt.Sprint("--read-timeout=", readTimeout))
			for _, i := range []int{0, 1} {
				if err := l.read(root, i, 0, present); err != nil {
					t.Fatal(err)
				}
			}
			o.cut(l)
			begin := time.Now()
			stuck := make(chan error, 1)
			go func() { stuck <- l.read(root, o.stuck, o.off, 100) }() // bounded by the read timeout
			first := make(chan error, 1)
			go func() { // bounded, too: it shows a file that cannot be opened
				info, err := os.Stat(filepath.Join(root, "3"))
				if err == nil && info.Size() == 1 {
					err = syscall.EIO
				}
				first <- err
			}()
			interrupted := exec.CommandContext(l.ctx, "tail", "-c", "100", filepath.Join(root, o.tailed))
			if err := interrupted.Start(); err != nil {
				t.Fatal(err)
			}
			waitsForMount(l, interrupted.Process.Pid)
			if err := l.offline(root, present); err != nil {
				t.Error(err)
			}
			t.Logf("answered offline after %v", time.Since(begin))
			interrupted.Process.Signal(os.Interrupt)
			asked := time.Now()
			if err := interrupted.Wait(); err == nil {
				t.Error("tail ended well without a network")
			}
			t.Logf("Ctrl-C freed a reader after %v", time.Since(asked))
			if len(stuck) > 0 || len(first) > 0 {
				t.Errorf("what needs no network, and a Ctrl-C, took as long as --read-timeout")
			}
			for what, done := range map[string]chan error{"read": stuck, "stat": first} {
				if err := await(l, what, done); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", what, err)
				}
				wantWithin(t, "failed "+what, begin, readTimeout)
			}
			l.told(root, o.stuck, fmt.Sprint("gave up after --read-timeout, ", readTimeout))

			o.heal(l)
			l.deaf.Store(nobody)
			back := time.Now()
			l.until("reads go on", func() bool { return l.read(root, o.stuck, o.off, 100) == nil })
			t.Logf("went on %v after the network", time.Since(back))
			if err := l.read(root, 2, 0, 1<<20); err != nil {
				t.Error(err)
			}

			o.cut(l)
			defer o.heal(l)
			go func() { stuck <- l.read(root, 1, 40<<20, 100) }() // ends with dlfs
			if o.stuck == 1 {
				tail := exec.CommandContext(l.ctx, "dd", "bs=4096", "skip=12000", "count=1", "status=none", "if="+filepath.Join(root, "1"))
				if err := tail.Start(); err != nil {
					t.Fatal(err)
				}
				defer tail.Wait() // it fails when dlfs ends
				waitsForMount(l, tail.Process.Pid)
			}
			asked = time.Now()
			cmd.Process.Signal(syscall.SIGTERM)
			if err := await(l, "end of dlfs", ended); exitCode(err) != exitInterrupted {
				t.Errorf("dlfs ended with %v", err)
			}
			wantWithin(t, "end by SIGTERM", asked, 2*time.Second)
			await(l, "end of a read", stuck)
		})
	}
}

// offline does all that needs no network.
func (l *link) offline(root string, present int64) error {
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != len(l.sizes) {
		return fmt.Errorf("listing: %v, %w", entries, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil || fs.Blocks == 0 {
		return fmt.Errorf("statfs: %+v, %w", fs, err)
	}
	for i := range 2 {
		path := filepath.Join(root, fmt.Sprint(i))
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, &st)
		if err != nil || int64(st.Size) != l.sizes[i] {
			return fmt.Errorf("stat: size %d, %w", st.Size, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil { // have dlfs asked
			return err
		}
		if err := l.read(root, i, 0, present-1); err != nil {
			return fmt.Errorf("read of what is there: %w", err)
		}
		if _, err := unix.Getxattr(path, "user.dlfs.state", make([]byte, 100)); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

// told checks that the log says why a read of file i failed, and so does its
// attribute if it is a file that somebody has found.
func (l *link) told(root string, i int, why string) {
	l.t.Helper()
	if log := l.log(); !strings.Contains(log, why) {
		l.t.Errorf("the log does not say: %s", why)
	}
	if i != 1 {
		return
	}
	p := make([]byte, 1000)
	n, err := unix.Getxattr(filepath.Join(root, "1"), "user.dlfs.error", p)
	if err != nil || string(p[:n]) != why {
		l.t.Errorf("user.dlfs.error is %q, want %q: %v", p[:max(n, 0)], why, err)
	}
}

// waitsForMount returns once a process waits in the kernel for a FUSE answer.
func waitsForMount(l *link, pid int) {
	l.t.Helper()
	l.until("the process waits", func() bool {
		where, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		if err != nil {
			l.t.Fatal(err)
		}
		for _, s := range []string{"fuse", "folio", "page", "request_wait"} {
			if strings.Contains(string(where), s) {
				return true
			}
		}
		return false
	})
}

// TestFlappingLink fetches over a cable that is pulled and put back, again and
// again while bytes come.
func TestFlappingLink(t *testing.T) {
	hosttest.NeedTime(t)
	t.Parallel()
	const flaps = 5
	l := newLink(t, 1<<20, 9<<20, 3<<20)
	dir := filepath.Join(l.dir, "out")
	cmd, ended := l.dlfs("fetch", l.list(), dir, "--timeout=2s", "--connect-timeout=1s", "--retry-wait=100ms")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for seen, n := int64(0), 0; n < flaps; n++ {
		l.until("more bytes come", func() bool {
			s, err := askStatus(l.ctx, dir)
			more := err == nil && s.PresentBytes > seen
			if more {
				seen = s.PresentBytes
			}
			return more || len(ended) > 0
		})
		if len(ended) > 0 {
			t.Fatalf("fetch ended after %d flaps", n)
		}
		l.ip("-n", l.far, "link", "set", "cable", "down")
		for range 1 + n%3 {
			<-tick.C
		}
		l.ip("-n", l.far, "link", "set", "cable", "up")
	}
	if err := await(l, "fetch", ended); err != nil {
		t.Fatalf("fetch: %v", err)
	}
	if cmd.ProcessState.ExitCode() != 0 {
		t.Error(cmd.ProcessState)
	}
	for i, size := range l.sizes {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) != size {
			t.Errorf("file %d has %d bytes, want %d", i, len(b), size)
		} else if err := contentOf(i, size).Check(b, 0); err != nil {
			t.Errorf("file %d: %v", i, err)
		}
	}
}
