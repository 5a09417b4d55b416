package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestHold: a complete, durable blob that is held loses no block, and neither does one that
// another program has open or mapped; after that it does.
func TestHold(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	put(t, b, 0, 1, 2)
	syncNow(t, s)
	if b.Hold() {
		t.Error("a blob with a missing block is held")
	}
	put(t, b, 3)
	if b.Hold() {
		t.Error("a blob is held that a failed sync may take blocks from")
	}
	syncNow(t, s)
	if b.File() != nil {
		t.Error("the kernel may read a blob that is not held")
	}
	for range 2 {
		if !b.Hold() || b.File() == nil {
			t.Fatal("a complete blob is not held")
		}
	}
	for range 2 {
		if freed := evict(t, b, 0, 1, 2, 3); freed != 0 || !b.InUse() {
			t.Errorf("%d bytes went of a held blob; in use: %v", freed, b.InUse())
		}
		b.Unhold()
	}

	f, err := os.Open(filepath.Join(blobsOf(s), b.id()))
	check(t, err)
	if freed := evict(t, b, 0); freed != 0 || !b.InUse() {
		t.Errorf("%d bytes went of a blob that another has open; in use: %v", freed, b.InUse())
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, blobSize, unix.PROT_READ, unix.MAP_SHARED)
	check(t, err)
	check(t, f.Close())
	if freed := evict(t, b, 0); freed != 0 || !b.InUse() {
		t.Errorf("%d bytes went of a blob that another has mapped; in use: %v", freed, b.InUse())
	}
	check(t, unix.Munmap(mapped))
	if freed := evict(t, b, 0); freed != BlockSize || b.InUse() {
		t.Errorf("%d bytes went when no other had the blob open; in use: %v", freed, b.InUse())
	}
	if b.Hold() {
		t.Error("a blob is held whose block has just gone")
	}
}

// TestHoldDuringASync: while a round has blocks of the blob, and they may be taken back, it is
// not held.
func TestHoldDuringASync(t *testing.T) {
	during := func() {}
	atStep = func(name string) {
		if name == "bits written" {
			during()
		}
	}
	t.Cleanup(func() { atStep = nil }) // after the store has been closed
	s := open(t, t.TempDir(), Options{SyncEvery: time.Hour})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	held := true
	during = func() { held = b.Hold() }
	syncNow(t, s)
	if held {
		t.Error("a blob is held that a round has blocks of")
	}
	if !b.Hold() {
		t.Error("a blob is not held after the round")
	}
	b.Unhold()
}
