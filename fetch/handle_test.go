package fetch

import (
	"testing"

	"dlfs/fetch/origintest"
)

// incomplete opens a file of 16 MiB of which the first 8 are present, and has read-ahead
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
		x.read(h, 0, 4096)
		x.read(h, 4096, 4096) // has read-ahead look how far all is present
		f := h.file
		h.ahead.mu.Lock()
		f.mu.Lock()
		f.set.mu.Lock()
		defer h.ahead.mu.Unlock()
		defer f.mu.Unlock()
		defer f.set.mu.Unlock()
		for off := int64(8192); off < 2<<20; off += 128 << 10 {
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
	for name, step := range map[string]int64{"sequence": int64(len(p)), "jumps": 3<<20 + 4096} {
		off := int64(0)
		if n := testing.AllocsPerRun(50, func() {
			if _, err := h.ReadAt(t.Context(), p, off); err != nil {
				t.Fatal(err)
			}
			if off += step; off > 7<<20 {
				off %= 1 << 20
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations a read", name, n)
		}
	}
}
