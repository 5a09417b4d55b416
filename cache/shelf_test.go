package cache

import (
	"bytes"
	"testing"
)

// What the disk has no room for is read from memory, the oldest blocks go first, and the rest
// goes to disk once there is room.
func TestShelf(t *testing.T) {
	s := open(t, t.TempDir(), Options{Shelf: 2 * BlockSize})
	const size = 4*BlockSize + 100
	b := create(t, s, "a", size)
	put(t, b, 0)
	s.noteFull()

	p := pattern("a", BlockSize, 2*BlockSize)
	b.Shelve(BlockSize, p)
	clear(p) // it is the caller's again
	b.Shelve(BlockSize, make([]byte, BlockSize))
	if s.FullSince().IsZero() || s.Shelved() != 2*BlockSize {
		t.Errorf("full since %v, with %d bytes in memory", s.FullSince(), s.Shelved())
	}
	got := make([]byte, 3*BlockSize)
	if n, err := b.ReadAt(got, 0); err != nil || !bytes.Equal(got[:n], pattern("a", 0, 3*BlockSize)) {
		t.Errorf("%d bytes of disk and memory, %v", n, err)
	}
	wantLacking(t, b, 0, size, 3*BlockSize, BlockSize+100)
	wantLacking(t, b, 0, 3*BlockSize, 0, 0)
	if at, n := b.Missing(0, size); at != BlockSize || n != size-BlockSize {
		t.Errorf("missing on disk [%d +%d)", at, n)
	}

	b.Shelve(4*BlockSize, pattern("a", 4*BlockSize, 100))
	wantLacking(t, b, 0, size, BlockSize, BlockSize)
	wantLacking(t, b, 2*BlockSize, size-2*BlockSize, 3*BlockSize, BlockSize)
	if _, err := b.ReadAt(got[:10], BlockSize); err != ErrMissing {
		t.Errorf("a block that others have pushed out: %v", err)
	}
	if n, err := b.ReadAt(got[:100], 4*BlockSize); n != 100 || err != nil || !bytes.Equal(got[:n], pattern("a", 4*BlockSize, 100)) {
		t.Errorf("the short block at the end: %d bytes, %v", n, err)
	}

	blobs, ok := s.Relieve()
	if !ok || len(blobs) != 1 || blobs[0] != b || !s.FullSince().IsZero() || s.Shelved() != 0 {
		t.Errorf("with room again: %v, %v, %d bytes in memory", blobs, ok, s.Shelved())
	}
	wantBlocks(t, b, 0, 2, 4)
}

// Blocks of a blob that was given up meanwhile go to no disk.
func TestShelfOfABlobThatIsGone(t *testing.T) {
	s := open(t, t.TempDir(), Options{Shelf: 8 * BlockSize})
	gone, err := s.Create("gone", version(2*BlockSize))
	check(t, err)
	check(t, gone.Acquire())
	put(t, gone, 0)
	kept := create(t, s, "kept", BlockSize)
	s.noteFull()
	gone.Shelve(BlockSize, pattern("gone", BlockSize, BlockSize))
	kept.Shelve(0, pattern("kept", 0, BlockSize))
	gone.Abandon()
	gone.Release()
	syncNow(t, s) // until then the sync holds the blob
	if blobs, ok := s.Relieve(); !ok || len(blobs) != 1 || blobs[0] != kept || s.Shelved() != 0 {
		t.Errorf("%v, %v, %d bytes in memory", blobs, ok, s.Shelved())
	}
	wantBlocks(t, kept, 0)
}

// wantLacking wants [at +n) to be the first run that is neither on disk nor in memory.
func wantLacking(t *testing.T, b *Blob, off, length, at, n int64) {
	t.Helper()
	if gotAt, got := b.Lacking(off, length); got != n || n > 0 && gotAt != at {
		t.Errorf("[%d +%d) lacks [%d +%d), want [%d +%d)", off, length, gotAt, got, at, n)
	}
}
