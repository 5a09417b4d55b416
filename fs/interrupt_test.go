//go:build linux

package fs

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// cat starts a process that reads a file, and takes SIGINT as it comes.
func (x *rig) cat(name string) *child {
	x.tb.Helper()
	ints := make(chan os.Signal, 1)
	signal.Notify(ints, os.Interrupt) // else what ignores it would hand that on
	defer signal.Stop(ints)
	cmd := exec.Command("cat", x.path(name))
	must(x.tb, cmd.Start())
	c := &child{cmd: cmd, done: make(chan struct{})}
	go func() { // ends with the process
		cmd.Wait()
		close(c.done)
	}()
	x.tb.Cleanup(func() { cmd.Process.Kill() })
	return c
}

var waits = regexp.MustCompile(`fuse|folio|page|request_wait`)

// blocked returns once the process waits for the mount.
func (x *rig) blocked(c *child) {
	x.tb.Helper()
	for x.ctx.Err() == nil {
		where, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", c.cmd.Process.Pid))
		if err != nil || string(where) == "" {
			x.tb.Fatalf("wchan %q, %v", where, err)
		}
		if waits.Match(where) {
			return
		}
	}
	x.tb.Fatal("the process does not wait: hang")
}

func TestInterruptedReadersEnd(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 4*bs)
	x.config.ReadTimeout = 2 * hang // of no help
	x.start()
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	hold := origintest.HoldAfter(100, release).Method("GET")
	x.Inject(hold)

	var readers []chan error
	read := func() {
		f, done := x.open("a"), make(chan error, 1)
		readers = append(readers, done)
		go func() { done <- pread(f, c, 0, 4*bs) }() // ends with the release, at the latest
	}
	for _, sig := range []os.Signal{os.Interrupt, os.Kill} {
		victim := x.cat("a")
		must(t, hold.Wait(x.ctx, 1))
		x.blocked(victim)
		read()
		must(t, victim.cmd.Process.Signal(sig))
		x.join(victim.done, "end of cat on "+sig.String())
		if ws := victim.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != sig {
			t.Errorf("cat: %v", victim.cmd.ProcessState)
		}
	}
	free()
	for _, done := range readers {
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("another reader: %v", err)
			}
		case <-x.ctx.Done():
			t.Fatal("another reader hangs")
		}
	}
}

func TestOpenersOfAStalledFileCanBeKilled(t *testing.T) {
	x := newRig(t)
	x.add("a", 4*bs)
	x.config.ReadTimeout = 2 * hang // of no help
	x.start()
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	x.Inject(origintest.HoldAfter(100, release).Method("GET"))
	var all []*child
	for range 20 {
		all = append(all, x.cat("a"))
	}
	for _, c := range all {
		x.blocked(c)
	}
	for _, c := range all {
		must(t, c.cmd.Process.Kill())
	}
	for _, c := range all {
		x.join(c.done, "end of an opener")
	}
	free()
	x.read(x.open("a"), "a", 0, 4*bs)
	if busy := x.stop(); busy == "" {
		t.Error("this process has the file open, and is not seen")
	}
}

func TestWhichSignalsEndACall(t *testing.T) {
	const blocked, ignored, caught = "SigBlk", "SigIgn", "SigCgt"
	for _, tt := range []struct {
		pending syscall.Signal
		is      string
		want    bool
	}{
		{0, "", false},
		{syscall.SIGKILL, "", true},
		{syscall.SIGALRM, "", true}, // not caught, it ends the program
		{syscall.SIGQUIT, "", true},
		{syscall.SIGALRM, caught, false},
		{syscall.SIGUSR1, caught, false},
		{syscall.SIGURG, caught, false},
		{syscall.SIGCHLD, "", false},
		{syscall.SIGWINCH, "", false},
		{syscall.SIGTSTP, "", false},
		{syscall.SIGCONT, "", false},
		{syscall.SIGINT, caught, true}, // a program that cleans up first
		{syscall.SIGTERM, caught, true},
		{syscall.SIGHUP, caught, true},
		{syscall.SIGINT, ignored, false},
		{syscall.SIGINT, blocked, false},
	} {
		for _, key := range []string{"SigPnd", "ShdPnd"} {
			status := fmt.Sprintf("Name:\tcat\nState:\tS (sleeping)\nPid:\t10\n%s:\t%016x\n", key, uint64(1)<<tt.pending>>1)
			if tt.is != "" {
				status += fmt.Sprintf("%s:\t%016x\n", tt.is, uint64(1)<<tt.pending>>1)
			}
			if got := endedBy([]byte(status)); got != tt.want {
				t.Errorf("%v %s, in %s: %v", tt.pending, tt.is, key, got)
			}
		}
	}
}

// pendingIn reports whether a thread of this process has a signal waiting.
func pendingIn(tid int) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/status", tid))
	return err == nil && !strings.Contains(string(status), "SigPnd:\t0000000000000000")
}

// What first finds a file waits for the origin, and does not fail because the
// program gets a signal that is no reason to stop: a timer's, a child's end.
func TestFirstContactOutlastsSignals(t *testing.T) {
	for name, call := range map[string]func(path string) error{
		"stat": func(path string) error { return unix.Stat(path, new(unix.Stat_t)) },
		"open": func(path string) error {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newRig(t)
			x.add("a", 4*bs)
			x.start()
			release := make(chan struct{})
			free := sync.OnceFunc(func() { close(release) })
			defer free()
			held := x.holdAnswer(release)
			signals := make(chan os.Signal, 100)
			signal.Notify(signals, syscall.SIGUSR1)
			defer signal.Stop(signals)
			tids, done := make(chan int, 1), make(chan error, 1)
			go func() { // ends with the call
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				tids <- unix.Gettid()
				done <- call(x.path("a"))
			}()
			tid := <-tids
			x.join(held, "request")
			for range 5 {
				must(t, unix.Tgkill(os.Getpid(), tid, syscall.SIGUSR1))
				for x.ctx.Err() == nil && !pendingIn(tid) && len(done) == 0 {
					must(t, unix.Tgkill(os.Getpid(), tid, syscall.SIGUSR1)) // the last one came too early
				}
			}
			names(t, x.config.Point) // so it has had the time
			if len(done) > 0 {
				t.Fatalf("ended, the origin having said nothing: %v", <-done)
			}
			free()
			select {
			case err := <-done:
				must(t, err)
			case <-x.ctx.Done():
				t.Fatal("hang")
			}
		})
	}
}

// Who was stopped and continued in the meantime can be interrupted still.
func TestFirstContactEndsWithCtrlC(t *testing.T) {
	x, _ := silentRig(t)
	for _, before := range [][]syscall.Signal{{}, {syscall.SIGSTOP, syscall.SIGCONT}} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGALRM, syscall.SIGKILL} {
			victim := x.cat("a")
			x.blocked(victim)
			for _, s := range append(before, sig) {
				must(t, victim.cmd.Process.Signal(s))
			}
			x.join(victim.done, fmt.Sprintf("end of cat on %v %v", before, sig))
			if ws := victim.cmd.ProcessState.Sys().(syscall.WaitStatus); ws.Signal() != sig {
				t.Errorf("%v %v: %v", before, sig, victim.cmd.ProcessState)
			}
		}
	}
}

// A mount that is aborted from outside ends, though who waited is not to.
func TestFirstContactEndsWithTheConnection(t *testing.T) {
	needRoot(t)
	x, held := silentRig(t)
	var st unix.Stat_t
	must(t, unix.Stat(x.config.Point, &st))
	done := make(chan error, 1)
	go func() { done <- unix.Stat(x.path("a"), new(unix.Stat_t)) }() // ends with the connection
	x.join(held, "request")
	control := t.TempDir()
	must(t, unix.Mount("none", control, "fusectl", 0, ""))
	defer unix.Unmount(control, unix.MNT_DETACH)
	must(t, os.WriteFile(fmt.Sprintf("%s/%d/abort", control, unix.Minor(st.Dev)), []byte("1"), 0))
	select {
	case err := <-done:
		if !gone(err) {
			t.Errorf("stat: %v", err)
		}
	case <-x.ctx.Done():
		t.Fatal("hang")
	}
	x.wait("unserved")
}

// A program that catches Ctrl-C gets to its handler.
func TestCaughtCtrlCInterrupts(t *testing.T) {
	_, err := exec.LookPath("python3")
	hosttest.Need(t, err)
	x, held := silentRig(t)
	cmd := exec.CommandContext(x.ctx, "python3", "-c", `import os,sys
try: os.stat(sys.argv[1])
except KeyboardInterrupt: sys.exit(42)`, x.path("a"))
	must(t, cmd.Start())
	x.join(held, "request")
	must(t, cmd.Process.Signal(os.Interrupt))
	err = cmd.Wait()
	if e := new(exec.ExitError); !errors.As(err, &e) || e.ExitCode() != 42 {
		t.Errorf("python: %v", err)
	}
}

// silentRig is a rig with a file; the origin sends nothing of it before the end
// of the test, and with no timeout to help.
func silentRig(t *testing.T) (x *rig, held <-chan struct{}) {
	x = newRig(t)
	x.add("a", 4*bs)
	x.config.ReadTimeout = 2 * hang
	x.start()
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	return x, x.holdAnswer(release)
}

// holdAnswer has the origin say nothing until release is closed. What it returns
// gets a value for each request that waits.
func (x *rig) holdAnswer(release <-chan struct{}) (held <-chan struct{}) {
	arrived := make(chan struct{}, 1000)
	x.Inject(origintest.Status(500).When(func(*http.Request) bool {
		arrived <- struct{}{}
		<-release
		return false
	}))
	return arrived
}
