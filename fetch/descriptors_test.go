package fetch

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"dlfs/cache"
)

// TestReadersShareOfFiles: readers open so many files and no more; a file that is
// open already costs nothing, and who is refused hurts nobody else.
func TestReadersShareOfFiles(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 4 {
			x.add(fmt.Sprint(i), bs)
		}
		x.opts.MaxFiles = 2
		x.start()
		a, b := x.open("0"), x.open("1")
		again := x.open("1")
		if _, err := x.File("2").Open(t.Context()); err == nil {
			t.Error("a third file is opened")
		} else {
			wantError(t, err, syscall.EMFILE)
		}
		x.read(a, 0, bs)
		b.Close()
		if _, err := x.File("2").Open(t.Context()); err == nil {
			t.Error("a third file is opened while one is open twice")
		}
		again.Close()
		c := x.open("2")
		x.read(c, 0, bs)
		check(t, x.Run(t.Context())) // which needs files of its own
		x.materialized(x.names()...)
		a.Close()
		c.Close()
		if n := len(x.Set.mu.held); n != 0 {
			t.Errorf("%d files are still held", n)
		}
	})
}

// TestFileWithoutDescriptorIsTriedAgain: a batch job does not end with an entry that
// failed because too many files were open.
func TestFileWithoutDescriptorIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4*bs)
		x.add("b", 4*bs)
		x.start()
		f := x.File("a")
		f.mu.Lock()
		f.failLocked(fmt.Errorf("put %q: %w", "a", syscall.EMFILE))
		f.mu.Unlock()
		start := time.Now()
		check(t, x.Run(t.Context()))
		x.materialized("a", "b")
		if took := time.Since(start); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// TestFewFilesWaitToBeDurable: the store says that it is behind when as many files
// are open as it was told.
func TestFewFilesWaitToBeDurable(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 40 {
			x.add(fmt.Sprint(i), 1000)
		}
		x.cacheOpts = cache.Options{MaxUnsynced: 4}
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized(x.names()...)
	})
}
