//go:build linux

package fs

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

// gone reports whether err is what a mount without its process answers.
func gone(err error) bool {
	return errors.Is(err, syscall.ENOTCONN) || errors.Is(err, syscall.ECONNABORTED)
}

// whole brings a file and returns once it is published.
func (x *rig) whole(name string) {
	x.tb.Helper()
	f, err := os.Open(x.path(name))
	must(x.tb, err)
	x.read(f, name, 0, x.content[name].Size)
	must(x.tb, f.Close())
	x.published(name)
}

func TestPassthroughOutlivesTheProcess(t *testing.T) {
	needRoot(t)
	x := newRig(t)
	c := x.add("a", 32*bs+5)
	x.start()
	x.whole("a")
	x.stop() // what the kernel keeps goes with the mount
	x.start()
	f, mapped := x.open("a"), x.open("a")
	p, err := unix.Mmap(int(mapped.Fd()), 0, int(c.Size), unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	defer unix.Munmap(p)
	x.kill()
	x.read(f, "a", 0, c.Size)
	x.read(f, "a", 17*bs-3, 100)
	must(t, c.Check(p, 0))
	if _, err := os.Open(x.path("a")); !gone(err) {
		t.Errorf("open: %v", err)
	}
}

func TestCachedHandleEndsWithTheProcess(t *testing.T) {
	needRoot(t)
	for _, no := range []bool{false, true} {
		x := newRig(t)
		x.config.NoPassthrough = no
		x.add("a", 32*bs)
		x.start()
		if no {
			x.whole("a") // else incomplete: read through the process in any case
			x.stop()
			x.start()
		}
		f := x.open("a")
		x.kill()
		if _, err := f.ReadAt(make([]byte, 10), 20*bs); !gone(err) {
			t.Errorf("no passthrough %v: %v", no, err)
		}
	}
}

func TestOpenBeforeAndAfterCompletion(t *testing.T) {
	needRoot(t)
	for _, no := range []bool{false, true} {
		x := newRig(t)
		x.config.NoPassthrough = no
		c := x.add("a", 16*bs+1)
		x.start()
		before := x.open("a")
		x.read(before, "a", 3*bs, 10)
		x.whole("a")
		second := x.open("a")
		x.read(second, "a", 0, c.Size)
		x.read(before, "a", 0, c.Size)
		must(t, before.Close())
		third := x.open("a") // second still reads through the page cache
		x.read(third, "a", 0, c.Size)
		x.read(second, "a", 5*bs, bs)
		must(t, second.Close())
		must(t, third.Close())
		fourth := x.open("a")
		x.read(fourth, "a", 0, c.Size)
		if busy := x.stop(); busy == "" {
			t.Error("this process has the file open, and is not seen")
		}
	}
}

func TestRandomOpensWhileFilesComplete(t *testing.T) {
	needRoot(t)
	for _, no := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoPassthrough=%v", no), func(t *testing.T) {
			seed := *lifeSeed
			replay(t, seed)
			x := newRig(t)
			x.config.NoPassthrough, x.config.Run, x.config.Prefetch = no, true, fetch.PrefetchAll
			const files, workers, steps = 12, 6, 50
			for i := range files {
				x.add(fmt.Sprint("f", i), int64(i%4)*4*bs+bs+int64(i))
			}
			x.Inject(origintest.Throttle(2 << 20).Method("GET"))
			x.start()
			errs := make([]error, workers)
			var wg sync.WaitGroup
			for w := range workers {
				wg.Go(func() { errs[w] = x.randomly(rand.New(rand.NewPCG(seed, uint64(w))), steps, files) })
			}
			wg.Wait()
			for _, err := range errs {
				if err != nil {
					t.Error(err)
				}
			}
			for i := range files {
				x.whole(fmt.Sprint("f", i))
			}
			if busy := x.stop(); busy != "" {
				t.Errorf("busy: %s", busy)
			}
		})
	}
}

// randomly opens, reads and closes files, with up to three open at a time.
func (x *rig) randomly(rng *rand.Rand, steps, files int) error {
	var open []*os.File
	defer func() {
		for _, f := range open {
			f.Close()
		}
	}()
	var held []string
	for range steps {
		name := fmt.Sprint("f", rng.IntN(files))
		f, err := os.Open(x.path(name))
		if err != nil {
			return err
		}
		open, held = append(open, f), append(held, name)
		for i, f := range open {
			c := x.content[held[i]]
			off := rng.Int64N(c.Size)
			if err := pread(f, c, off, 1+rng.Int64N(3*bs)); err != nil {
				return fmt.Errorf("%s: %w", held[i], err)
			}
		}
		if len(open) > 3 {
			i := rng.IntN(len(open))
			open[i].Close()
			open, held = append(open[:i], open[i+1:]...), append(held[:i], held[i+1:]...)
		}
	}
	return nil
}
