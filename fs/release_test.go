//go:build linux

package fs

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"
)

// The kernel lets a handle of the other mode in as soon as the last cached one
// is closed, while its RELEASE is still under way.
func TestOpensWhileTheLastCachedHandleIsReleased(t *testing.T) {
	needRoot(t)
	const files = 150
	x := newRig(t)
	for i := range files {
		x.add(fmt.Sprint("f", i), 10)
	}
	x.start()
	var cached [files]*os.File
	for i := range files {
		name := fmt.Sprint("f", i)
		cached[i] = x.open(name)
		x.read(cached[i], name, 0, 10)
	}
	for i := range files {
		name := fmt.Sprint("f", i)
		x.published(name)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 20 {
					f, err := os.Open(x.path(name))
					if err == nil {
						err = pread(f, x.content[name], 0, 10)
						f.Close()
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
				}
			})
		}
		cached[i].Close()
		wg.Wait()
	}
}

// TestCloseAsksNobody closes descriptors while the process of the mount is stopped: from the
// second close on, the kernel does not ask it.
func TestCloseAsksNobody(t *testing.T) {
	x := newRig(t)
	x.add("a", 100)
	x.start()
	first := x.open("a")
	x.read(first, "a", 0, 100)
	var others []*os.File
	for range 20 { // the first of them may be closed before the process has stopped
		others = append(others, x.open("a"))
	}
	must(t, first.Close())
	must(t, x.child.cmd.Process.Signal(syscall.SIGSTOP))
	closed := make(chan struct{})
	go func() { // awaited below; the end of the child ends it, too
		defer close(closed)
		for _, f := range others {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		}
	}()
	x.join(closed, "end of close")
	must(t, x.child.cmd.Process.Signal(syscall.SIGCONT))
	x.read(x.open("a"), "a", 0, 100)
}
