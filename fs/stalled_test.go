//go:build linux

package fs

import (
	"errors"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

func TestStalledReadGivesUp(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.add("b", 8*bs)
	x.config.ReadTimeout = time.Second
	x.start()
	f := x.open("a")
	stall := origintest.StallAfter(0).Method("GET")
	x.Inject(stall)
	read := func() time.Duration {
		t.Helper()
		begin := time.Now()
		if _, err := f.ReadAt(make([]byte, 10), 4*bs); !errors.Is(err, syscall.EIO) {
			t.Errorf("read: %v", err)
		}
		return time.Since(begin)
	}
	if d := read(); d < x.config.ReadTimeout {
		t.Errorf("gave up after %v", d)
	}
	if d := read(); d >= x.config.ReadTimeout {
		t.Errorf("the second attempt waited %v", d)
	}
	must(t, stall.Wait(x.ctx, 1))

	x.Inject(origintest.FirstByteAfter(time.Minute).Method("HEAD"))
	begin := time.Now()
	if st := statx(t, x.path("b")); st.Size != 1 {
		t.Errorf("stat: %d bytes", st.Size)
	}
	if d := time.Since(begin); d < x.config.ReadTimeout {
		t.Errorf("stat gave up after %v", d)
	}
	x.Clear()
	x.read(x.open("a"), "a", 4*bs, bs) // another handle has no memory
	x.stop()
	n := 0
	for _, line := range x.seen {
		if strings.Contains(line, "read of file failed") && strings.Contains(line, "read-timeout") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the read waited %d times", n)
	}
}

// The kernel has those who first look a file up wait in line; they give up
// together. What a read gave up for is told while attempts go on.
func TestWaitersInLineGiveUpTogether(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.add("b", 8*bs)
	x.config.ReadTimeout = time.Second
	x.start()
	f := x.open("b")
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	x.holdAnswer(release)
	const waiters = 20
	sizes := make(chan int64, waiters)
	for range waiters {
		go func() { // ends with the read timeout
			info, err := os.Lstat(x.path("a"))
			if err != nil {
				t.Error(err)
				sizes <- -1
				return
			}
			sizes <- info.Size()
		}()
	}
	for range waiters {
		select {
		case size := <-sizes:
			if size != 1 {
				t.Errorf("stat: %d bytes", size)
			}
		case <-x.ctx.Done():
			t.Fatal("hang")
		}
	}
	if _, err := f.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	if v, err := xattr(x.path("b"), xattrError); err != nil || v != "gave up after --read-timeout, 1s" {
		t.Errorf("error: %q, %v", v, err)
	}
	x.Clear()
	free()
	x.read(x.open("b"), "b", 0, 8*bs)
	if v, err := xattr(x.path("b"), xattrError); !errors.Is(err, unix.ENODATA) {
		t.Errorf("error after a read that went well: %q, %v", v, err)
	}
	x.until("shown at last", func() bool { return statx(t, x.path("a")).Size == 8*bs })
	x.stop()
	n := 0
	for _, line := range x.seen {
		if strings.Contains(line, "stat file") && strings.Contains(line, "name=a ") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lookups waited", n)
	}
}
