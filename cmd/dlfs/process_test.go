package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"dlfs/fetch"
)

// served is a dlfs in the foreground.
type served struct {
	cmd    *exec.Cmd
	live   chan struct{} // closed when it says that it has mounted
	exited chan struct{}

	mu struct {
		sync.Mutex
		bytes.Buffer // what it said on standard error
		live         bool
	}
}

// startDlfs starts a dlfs that ends with the test.
func startDlfs(t *testing.T, env []string, args ...string) *served {
	t.Helper()
	return startCommand(t, dlfs(t, args...), env)
}

// startCommand starts a dlfs that ends with the test.
func startCommand(t *testing.T, cmd *exec.Cmd, env []string) *served {
	t.Helper()
	p := &served{cmd: cmd, live: make(chan struct{}), exited: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Stderr = p
	if p.cmd.SysProcAttr == nil {
		p.cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	p.cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process
		p.cmd.Wait()
		close(p.exited)
	}()
	return p
}

// serveMount starts a dlfs that mounts at mnt, and returns once that is live.
func serveMount(t *testing.T, mnt string, env []string, args ...string) *served {
	t.Helper()
	p := startDlfs(t, env, args...)
	p.awaitMount(t, mnt)
	return p
}

// awaitMount returns once the mount at mnt is live. It ends with the test.
func (p *served) awaitMount(t *testing.T, mnt string) {
	t.Helper()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.exited
		exec.Command("umount", "-l", mnt).Run() // fails if it is gone already
	})
	select {
	case <-p.live:
	case <-p.exited:
		t.Fatalf("mount: %v: %s", p.cmd.ProcessState, p.said())
	}
}

// within waits for d, or for the process to end.
func (p *served) within(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.exited:
	}
}

// Write takes what the process says on standard error.
func (p *served) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.Len() < 1<<20 {
		p.mu.Buffer.Write(b)
	}
	if !p.mu.live && strings.Contains(p.mu.String(), "stop with Ctrl-C") {
		p.mu.live = true
		close(p.live)
	}
	return len(b), nil
}

func (p *served) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mu.String()
}

// wait returns the exit code.
func (p *served) wait() int {
	<-p.exited
	return p.cmd.ProcessState.ExitCode()
}

// figuresEnv names a file in which this binary, when it is dlfs, tells again
// and again what only it knows of itself.
const figuresEnv = "DLFS_TEST_FIGURES"

func tellFigures() {
	path := os.Getenv(figuresEnv)
	if path == "" {
		return
	}
	os.Unsetenv(figuresEnv)
	tell := func() {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		text := fmt.Sprintln(runtime.NumGoroutine(), live[0].Value.Uint64())
		// Whoever reads sees the old file or the new one.
		if os.WriteFile(path+".new", []byte(text), 0o600) == nil {
			os.Rename(path+".new", path)
		}
	}
	tell()
	go func() { // ends with the process
		for range time.Tick(200 * time.Millisecond) {
			tell()
		}
	}()
}

// usage is what a process takes of the machine.
type usage struct {
	at                                        time.Duration
	rss, anon, heap, threads, fds, goroutines int64
}

func (x usage) String() string {
	return fmt.Sprintf("RSS %s (anonymous %s, live heap %s), %d goroutines, %d threads, %d descriptors",
		bytesText(x.rss), bytesText(x.anon), bytesText(x.heap), x.goroutines, x.threads, x.fds)
}

// usageOf asks the kernel, and for goroutines the file of figuresEnv.
func usageOf(pid int, figures string) (x usage, err error) {
	proc := fmt.Sprintf("/proc/%d", pid)
	status, err := os.ReadFile(filepath.Join(proc, "status"))
	if err != nil {
		return x, err
	}
	for line := range strings.Lines(string(status)) {
		key, rest, _ := strings.Cut(line, ":")
		number, _, _ := strings.Cut(strings.TrimSpace(rest), " ")
		n, _ := strconv.ParseInt(number, 10, 64) // other lines are not asked for
		switch key {
		case "VmRSS":
			x.rss = n << 10
		case "RssAnon":
			x.anon = n << 10
		case "Threads":
			x.threads = n
		}
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return x, err
	}
	x.fds = int64(len(fds))
	if b, err := os.ReadFile(figures); err == nil {
		fmt.Sscan(string(b), &x.goroutines, &x.heap) // 0 is noticed
	}
	return x, nil
}

// peak is the most of each.
func peak(samples []usage) (p usage) {
	for _, x := range samples {
		p.rss, p.anon, p.heap = max(p.rss, x.rss), max(p.anon, x.anon), max(p.heap, x.heap)
		p.threads, p.fds, p.goroutines = max(p.threads, x.threads), max(p.fds, x.fds), max(p.goroutines, x.goroutines)
	}
	return p
}

// askStatus asks the running process how far it is.
func askStatus(ctx context.Context, dir string) (*Status, error) {
	return wholeStatus(func(head func(*Status) error, each func(fetch.EntryStatus) error) error {
		return visitStatus(ctx, dir, selection{}, head, each)
	})
}

// wholeStatus puts a status together that comes in parts.
func wholeStatus(visit func(head func(*Status) error, each func(fetch.EntryStatus) error) error) (whole *Status, err error) {
	err = visit(func(s *Status) error {
		whole = s
		return nil
	}, func(e fetch.EntryStatus) error {
		whole.Entries = append(whole.Entries, e)
		return nil
	})
	return whole, err
}
