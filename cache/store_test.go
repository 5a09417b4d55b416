package cache

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestReopenKeepsEverything(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "made", "by", "open"), Options{})
	a := create(t, s, "a", 3*chunkSize+1)
	empty := create(t, s, "b/empty", blobSize)
	want := []int64{0, chunkBlocks - 1, chunkBlocks, 2*chunkBlocks + 5, 3 * chunkBlocks}
	put(t, a, want...)
	for range 3 {
		s = reopen(t, s)
		b := lookup(t, s, "a")
		if b.Generation() != a.Generation() || b.Version() != a.Version() {
			t.Fatalf("blob of %+v came back as %+v", a.Version(), b.Version())
		}
		for _, i := range want {
			off, n := b.geo.extent(i, i+1)
			p := make([]byte, n)
			if _, err := b.ReadAt(p, off); err != nil || !slices.Equal(p, pattern("a", off, n)) {
				t.Fatalf("block %d does not read as what was put: %v", i, err)
			}
		}
		if b.Present() != 4*BlockSize+1 {
			t.Fatalf("%d bytes are present", b.Present())
		}
		if e := lookup(t, s, "b/empty"); e.Generation() != empty.Generation() || e.Present() != 0 {
			t.Fatalf("blob without blocks came back with %d bytes", e.Present())
		}
	}
	if b, err := s.Lookup("c"); b != nil || err != nil {
		t.Errorf("lookup of what was never created: %v, %v", b, err)
	}
}

// TestRoundsComeByThemselves waits for durability without calling Sync.
func TestRoundsComeByThemselves(t *testing.T) {
	for _, opts := range []Options{{SyncEvery: time.Millisecond}, {SyncBytes: 2 * BlockSize}} {
		b := create(t, open(t, t.TempDir(), opts), "a", 2*BlockSize)
		published := make(chan error)
		b.Publish(func(err error) { published <- err })
		putAll(t, b)
		check(t, <-published)
	}
}

func TestNewVersionIsANewBlob(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	old := create(t, s, "a", blobSize)
	putAll(t, old)
	syncNow(t, s)
	b, err := s.Create("a", Version{Size: blobSize, ETag: `"2"`})
	check(t, err)
	acquire(t, b)
	wantBlocks(t, b)
	put(t, b, 2)
	s = reopen(t, s)
	again := lookup(t, s, "a")
	if again.Version() != b.Version() {
		t.Fatalf("version %+v came back as %+v", b.Version(), again.Version())
	}
	wantBlocks(t, again, 2)
	wantDir(t, blobsOf(s), again.id()) // the old one is swept
}

func TestSyncGivesUp(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // select picks at random when both can go on
		if err := s.Sync(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("sync with a context that ended: %v", err)
		}
	}
	check(t, s.Close())
	if err := s.Sync(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("sync after Close: %v", err)
	}
}

// TestFloor: below the floor nothing is put, but what is present is still read,
// and the store can be opened.
func TestFloor(t *testing.T) {
	open(t, t.TempDir(), Options{MinFree: 1 << 60})
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	put(t, b, 0)
	free, err := s.Free()
	check(t, err)
	s.opts.MinFree = free + 1<<30
	err = b.Put(BlockSize, pattern("a", BlockSize, BlockSize))
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("put below the floor: %v", err)
	}
	wantBlocks(t, b, 0)
	syncNow(t, s)
	s.opts.MinFree = 1
	putAll(t, b)
	check(t, publish(t, b))
}
