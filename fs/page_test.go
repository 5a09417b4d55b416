//go:build linux

package fs

import (
	"errors"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

// TestPresentBlockDoesNotWaitForTheNextOne: the kernel asks for more than the
// application reads. What is there is read although the origin sends no more;
// what is not there is still waited for.
func TestPresentBlockDoesNotWaitForTheNextOne(t *testing.T) {
	hosttest.NeedTime(t)
	x := newRig(t)
	x.add("a", 40*bs)
	stall := origintest.StallAfter(bs).Ranged()
	x.Inject(stall)
	x.config.Prefetch, x.config.ReadTimeout = fetch.PrefetchNone, 5*time.Second
	x.start()
	f := x.open("a")
	missing := make(chan error, 1)
	go func() { missing <- pread(f, x.content["a"], 20*bs, 2*bs) }() // ends with the mount at the latest
	x.read(f, "a", 0, 4096)
	for off := int64(0); off < bs; off += 5000 {
		x.read(f, "a", off, min(5000, bs-off))
	}
	x.read(f, "a", 0, bs)
	select {
	case err := <-missing:
		t.Errorf("a read of what is not there did not wait: %v", err)
	default:
	}
	x.read(f, "a", 20*bs, bs) // present, as the first block of another request
	if err := <-missing; !errors.Is(err, syscall.EIO) {
		t.Errorf("a read of what is not there: %v", err)
	}
	if n := stall.Hits(); n == 0 {
		t.Error("the origin never stalled")
	}
}

// TestSlowOriginIsWaitedFor: a first byte that takes longer than a page is waited
// for is no error.
func TestSlowOriginIsWaitedFor(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.Inject(origintest.FirstByteAfter(pagePatience + pagePatience/2).Ranged())
	x.config.Prefetch = fetch.PrefetchNone
	x.start()
	f := x.open("a")
	began := time.Now()
	x.read(f, "a", 0, 8*bs)
	t.Logf("took %v", time.Since(began))
}
