package fetch

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/iotest"

	"dlfs/cache/lockorder"
	"dlfs/fetch/origintest"
)

// incomplete opens a file of 16 MiB with its first 8 MiB present, and has read-ahead
// hang at the rest.
func incomplete(t *testing.T, x *fixture) *Handle {
	x.add("a", 16<<20)
	x.start()
	h := x.open("a")
	t.Cleanup(h.Close)
	x.read(h, 0, 8<<20)
	x.Inject(origintest.StallAfter(0).Method("GET"))
	return h
}

// Present bytes of an incomplete file are read while every lock above the store's is held,
// at random and in sequence.
func TestPresentBytesNeedNoLock(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		h := incomplete(t, x)
		x.readThrough(h, 0, 1<<20, 128<<10) // has read-ahead look how far all is present
		f := h.file
		h.ahead.mu.Lock()
		f.mu.Lock()
		f.set.mu.Lock()
		defer h.ahead.mu.Unlock()
		defer f.mu.Unlock()
		defer f.set.mu.Unlock()
		for off := int64(1 << 20); off < 2<<20; off += 128 << 10 {
			x.read(h, off, 128<<10)
		}
		for _, off := range []int64{0, 3 << 20, 1 << 20, 6 << 20, 5<<20 + 17} {
			x.read(h, off, 4096)
		}
	})
}

// Present bytes of an incomplete file are read without an allocation, in sequence and at
// random.
func TestPresentBytesNeedNoAllocation(t *testing.T) {
	x := overTCP(t)
	h := incomplete(t, x)
	p := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for name, next := range map[string]func(off int64) int64{
		"sequence": func(off int64) int64 { return off + int64(len(p)) },
		"jumps":    func(int64) int64 { return rng.Int64N(7 << 20) },
	} {
		off := int64(0)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := h.ReadAt(t.Context(), p, off); err != nil {
				t.Fatal(err)
			}
			off = next(off)
		}); n != 0 && !lockorder.Checked { // a lock that is checked allocates where read-ahead takes it
			t.Errorf("%s: %v allocations a read", name, n)
		}
	}
}

func TestReadAnyExtent(t *testing.T) {
	for _, size := range []int64{0, 1, bs - 1, bs, bs + 1, 3<<20 + 12345} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", size)
			x.start()
			edges := []int64{0, 1, bs - 1, bs, bs + 1, size / 2, size - 1, size, size + 1, size + bs}
			for _, off := range edges {
				h := x.open("a")
				for _, n := range append(edges, 4096, 1<<20) {
					if off >= 0 && n > 0 {
						x.read(h, off, n)
					}
				}
				h.Close()
			}
			if size > 0 { // else all that comes is the text of an error page
				x.wantBodyBytes(size, size)
			}
		})
	}
}

func TestReadNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 100)
		x.start()
		h := x.open("a")
		defer h.Close()
		if n, err := h.ReadAt(t.Context(), nil, 50); n != 0 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		x.wantGets("a", 0)
	})
}

func TestHandleIsAReaderAt(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 3*bs+17)
		x.start()
		h := x.open("a")
		defer h.Close()
		check(t, iotest.TestReader(io.NewSectionReader(readerAt{t.Context(), h}, 0, 3*bs+17), x.contents["a"].Bytes()))
	})
}

func TestWarmReadAsksForNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		x.read(h, bs, 4*bs)
		before := x.Counts().Requests
		for off := int64(bs); off < 5*bs; off += 4096 {
			x.read(h, off, 4096)
			if x.Counts().Requests != before {
				t.Fatalf("a read at %d made a request", off)
			}
			h.Close() // and with it the read-ahead of so many sequential reads
			h = x.open("a")
		}
	})
}

// The walk of a read that finds everything present, which is what fs does most.
func TestWarmReadDoesNotAllocate(t *testing.T) {
	if lockorder.Checked {
		t.Skip("what asserts the lock order allocates")
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("complete", 4*bs)
		x.add("partial", 64<<20)
		x.start()
		for _, name := range x.names() {
			h := x.open(name)
			p := make([]byte, 4096)
			x.read(h, 0, 4*bs)
			read := func() {
				if _, err := h.ReadAt(t.Context(), p, bs); err != nil {
					t.Fatal(err)
				}
			}
			if n := testing.AllocsPerRun(100, read); n != 0 {
				t.Errorf("%s: %v allocations a read", name, n)
			}
			h.Close()
		}
	})
}

func TestOpenOfManyFiles(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range int64(20) {
			x.add(fmt.Sprintf("dir/%d", i), i*1000)
		}
		x.start()
		together(t, 200, func(i int) error {
			return x.readOnce(x.names()[i%20], 0, 20_000)
		})
		if heads := x.Counts().Heads; heads != 20 {
			t.Errorf("%d HEAD requests for 20 files", heads)
		}
		if got := len(x.Files()); got != 20 || x.File("none") != nil {
			t.Error("the set has", got, "files, and perhaps one of no name")
		}
		if !slices.ContainsFunc(x.Files(), func(f *File) bool { return f.Name() == "dir/7" && f.URL() == x.url+"/dir/7" }) {
			t.Error("no dir/7")
		}
	})
}

// readerAt is a handle as the standard library reads one.
type readerAt struct {
	ctx context.Context
	h   *Handle
}

func (r readerAt) ReadAt(p []byte, off int64) (int, error) { return r.h.ReadAt(r.ctx, p, off) }
