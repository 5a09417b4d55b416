package fs

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"sync"
	"syscall"
	"testing"

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
