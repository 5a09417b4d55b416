//go:build linux

package fetch

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache"
)

// fillDisk has the fixture's disk be full, by a store's floor that is a little
// below what is free and a file that takes that and more. The function returned
// makes room again.
func (x *fixture) fillDisk() (makeRoom func()) {
	x.t.Helper()
	const margin = 96 << 20
	if dir := x.t.TempDir(); unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1g") == nil {
		x.dir = dir // its own, where no other test takes room or makes some
		x.t.Cleanup(func() {
			x.stop()
			check(x.t, unix.Unmount(dir, 0))
		})
	} else if dir, err := os.MkdirTemp("/dev/shm", "dlfs"); err == nil { // which others hardly use
		x.dir = dir
		x.t.Cleanup(func() {
			x.stop()
			check(x.t, os.RemoveAll(dir))
		})
	}
	var st unix.Statfs_t
	check(x.t, unix.Statfs(x.dir, &st))
	x.cacheOpts.MinFree = int64(st.Bavail)*st.Bsize - margin
	filler, err := os.Create(filepath.Join(x.dir, ".filler"))
	check(x.t, err)
	check(x.t, unix.Fallocate(int(filler.Fd()), 0, 0, 2*margin))
	check(x.t, filler.Close())
	return func() { check(x.t, os.Remove(filler.Name())) }
}

// TestReadersOnAFullDisk: reads are served through memory, right to the byte,
// however many and however long; when there is room again, all is materialized.
func TestReadersOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size = 40<<20 + 123
		makeRoom := x.fillDisk()
		x.add("a", size)
		x.add("b", 5*bs)
		x.opts.Serve = true
		x.start()
		defer x.background()()
		var readers sync.WaitGroup // awaited below
		for seed := range uint64(16) {
			readers.Go(func() {
				rng := rand.New(rand.NewPCG(seed, 0))
				for range 20 {
					off := rng.Int64N(size)
					if err := x.readOnce("a", off, 1+rng.Int64N(min(3<<20, size-off))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		readers.Wait()
		h := x.open("a")
		for off := int64(0); off < size; off += 100_000 { // in sequence
			x.read(h, off, min(100_000, size-off))
		}
		x.read(h, 0, size) // more than the shelf holds
		h.Close()
		if b := x.File("a").Blob(); b.Present() != 0 {
			t.Errorf("%d bytes are on a disk that is full", b.Present())
		}
		if n := x.store.Shelved(); n == 0 || n > 32<<20 {
			t.Errorf("%d bytes are in memory", n)
		}
		x.wantState("a", "waiting", "")

		makeRoom()
		<-x.Done()
		x.materialized("a", "b")
		if n := x.store.Shelved(); n != 0 {
			t.Errorf("%d bytes are still in memory", n)
		}
	})
}

// TestShelfIsEmptiedIntoTheBlob: what readers brought while the disk was full is
// not fetched again.
func TestShelfIsEmptiedIntoTheBlob(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		makeRoom := x.fillDisk()
		x.add("a", 8*bs)
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.start()
		defer x.background()()
		check(t, x.readOnce("a", 2*bs, 6*bs))
		check(t, x.readOnce("a", 3*bs+5, 2*bs)) // from memory
		x.wantGets("a", 1)
		makeRoom()
		advance(2 * retryFull)
		synctest.Wait()
		if b := x.File("a").Blob(); b.Present() != 6*bs {
			t.Errorf("%d bytes are present", b.Present())
		}
		check(t, x.readOnce("a", 0, 8*bs))
		<-x.Done() // the last block has it published
		x.materialized("a")
		x.wantBodyBytes(8*bs, 8*bs)
	})
}

// TestFlightNobodyWaitsForEndsOnAFullDisk: memory is for readers.
func TestFlightNobodyWaitsForEndsOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		defer x.fillDisk()()
		x.add("a", 40<<20)
		x.start()
		if err := x.Run(t.Context()); !errors.Is(err, cache.ErrNoSpace) {
			t.Errorf("Run: %v", err)
		}
		if n := x.store.Shelved(); n != 0 {
			t.Errorf("%d bytes are in memory", n)
		}
	})
}

// A reader may have found the disk full before Run begins.
func TestRunBeginsOnAFullDisk(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		makeRoom := x.fillDisk()
		x.add("a", 1<<20)
		x.opts.Serve = true
		x.start()
		check(t, x.readOnce("a", 0, 1)) // through memory
		makeRoom()
		began := time.Now()
		defer x.background()()
		<-x.Done()
		if waited := time.Since(began); waited < retryFull {
			t.Errorf("prefetch waited %v", waited)
		}
		x.materialized("a")
	})
}
