package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// A reader who goes to the last part of a long file and reads to the end of it waits for one
// answer. What comes before that part is not fetched.
func TestReadNearTheEndFetchesToTheEnd(t *testing.T) {
	const size, part, late = 64<<20 + 777, 900 << 10, 50 * time.Millisecond
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", size)
		x.start()
		h := x.open("a")
		defer h.Close()
		far := origintest.FirstByteAfter(late).Method("GET")
		x.Inject(far)
		began := time.Now()
		for off := int64(size - part); off < size; off += 2 * bs {
			x.read(h, off, min(2*bs, size-off))
		}
		if took := time.Since(began); took >= 2*late {
			t.Errorf("took %v", took)
		}
		wantHit(t, far)
		x.wantBodyBytes(part, part+bs)
	})
}

// A read of the last block needs no more, and what is near the end of a short file is much of it.
func TestReadNearTheEndFetchesNoMore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("long", 64<<20)
		x.add("short", 4<<20)
		x.start()
		for name, off := range map[string]int64{"long": 64<<20 - bs, "short": 3<<20 + 4*bs} {
			h := x.open(name)
			defer h.Close()
			x.read(h, off, 100)
		}
		synctest.Wait()
		x.wantBodyBytes(2*bs, 2*bs)
	})
}

// When a reader comes back to one of several parts, the others are fetched on, too: it waits for
// one answer, not for one of each part.
func TestSecondTurnOfStreamsWaitsOnce(t *testing.T) {
	const streams, apart, n, late = 5, 8 << 20, 2 * bs, 50 * time.Millisecond
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", streams*apart)
		x.start()
		h := x.open("a")
		defer h.Close()
		starts := []int64{3 * apart, 0, 4 * apart, apart, 2 * apart} // at no constant distance
		for _, off := range starts {
			x.read(h, off, n)
		}
		far := origintest.FirstByteAfter(late).Method("GET")
		x.Inject(far)
		began := time.Now()
		for _, off := range starts {
			x.read(h, off+n, n)
		}
		if took := time.Since(began); took > 2*late {
			t.Errorf("took %v", took)
		}
		wantHit(t, far)
	})
}
