package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// putBad puts a block with other bytes than pattern has.
func putBad(t testing.TB, b *Blob, i int64) {
	t.Helper()
	off, n := b.geo.extent(i, i+1)
	check(t, b.Put(off, pattern("bad "+b.name, off, n)))
}

// badBlob returns a complete blob with some bad blocks, published or
// not, and those blocks as extents, some bytes of each.
func badBlob(t testing.TB, s *Store, name string, published bool, bad ...int64) (*Blob, []Extent) {
	t.Helper()
	b := create(t, s, name, blobSize)
	var extents []Extent
	for _, i := range bad {
		putBad(t, b, i)
		extents = append(extents, Extent{i*BlockSize + 7, 90})
	}
	for i := range b.geo.blocks() {
		if !slices.Contains(bad, i) {
			put(t, b, i)
		}
	}
	b.SetNote(aNote)
	if published {
		check(t, publish(t, b))
	}
	return b, extents
}

func redo(t testing.TB, b *Blob, bad []Extent) *Blob {
	t.Helper()
	again, err := b.Redo(t.Context(), bad)
	check(t, err)
	return acquire(t, again)
}

// without returns the blocks of a blob of blobSize that are not bad.
func without(bad []int64) []int64 {
	return slices.DeleteFunc(blocks(0, 4), func(i int64) bool { return slices.Contains(bad, i) })
}

func TestRedo(t *testing.T) {
	for _, published := range []bool{false, true} {
		for _, bad := range [][]int64{{}, {0}, {3}, {1, 2}, {0, 3}, {0, 1, 2, 3}} {
			s := open(t, t.TempDir(), Options{})
			b, extents := badBlob(t, s, "sub/dir/a", published, bad...)
			wantRedone(t, redo(t, b, extents), b, bad, published)
			s = reopen(t, s)
			again := lookup(t, s, "sub/dir/a")
			wantRedone(t, again, b, bad, published)
			finishRedo(t, s, again)
		}
	}
}

// wantRedone checks a blob that has all blocks but the bad ones, before they are
// put again.
func wantRedone(t *testing.T, again, b *Blob, bad []int64, published bool) {
	t.Helper()
	if again.Generation() == b.Generation() || again.Version() != b.Version() || again.Published() {
		t.Fatalf("generation %x after %x, version %+v, published %v", again.Generation(), b.Generation(), again.Version(), again.Published())
	}
	wantNote(t, again, aNote.unverified())
	wantBlocks(t, again, without(bad)...)
	if again.store.Occupied(b.name) != published || again.Replaces() != published {
		t.Fatalf("occupied %v, replaces %v, was published %v", again.store.Occupied(b.name), again.Replaces(), published)
	}
	if len(bad) == 4 && published {
		wantDir(t, blobsOf(again.store))
	} else {
		wantDir(t, blobsOf(again.store), again.id())
	}
}

func TestRedoOfAnAdoptedFile(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	content := pattern("a", 0, blobSize)
	copy(content[BlockSize:], "other bytes")
	check(t, os.WriteFile(filepath.Join(s.Path(), "a"), content, 0o644))
	b := create(t, s, "a", blobSize)
	again := redo(t, b, []Extent{{BlockSize, BlockSize}})
	wantBlocks(t, again, 0, 2, 3)
	wantDir(t, s.Path(), ".dlfs", "a")
	put(t, again, 1)
	check(t, publish(t, again))
	wantFile(t, s, "a", blobSize)
}

func TestRedoOfAnEmptyBlob(t *testing.T) {
	for _, published := range []bool{false, true} {
		s := open(t, t.TempDir(), Options{})
		b := create(t, s, "a", 0)
		if published {
			check(t, publish(t, b))
		}
		again := redo(t, b, []Extent{{0, 1}})
		check(t, publish(t, again))
		wantFile(t, s, "a", 0)
		wantPublished(t, reopen(t, s), "a", again.Generation())
	}
}

// TestRedoIsOfWholeBlocks: an extent takes every block it touches along, and
// what lies outside the blob is nothing.
func TestRedoIsOfWholeBlocks(t *testing.T) {
	for _, c := range []struct {
		bad  Extent
		want []int64
	}{
		{Extent{0, 1}, []int64{1, 2, 3}},
		{Extent{BlockSize - 1, 2}, []int64{2, 3}},
		{Extent{BlockSize, BlockSize}, []int64{0, 2, 3}},
		{Extent{blobSize - 1, 1 << 60}, []int64{0, 1, 2}},
		{Extent{-5, 6}, []int64{1, 2, 3}},
		{Extent{blobSize, 9}, []int64{0, 1, 2, 3}},
		{Extent{BlockSize, 0}, []int64{0, 1, 2, 3}},
		{Extent{BlockSize, -1}, []int64{0, 1, 2, 3}},
	} {
		b, _ := badBlob(t, open(t, t.TempDir(), Options{}), "a", false)
		wantBlocks(t, redo(t, b, []Extent{c.bad}), c.want...)
	}
}

// TestRedoUnderAReader: who holds the old blob reads on, a bad block as it was
// or as it was put since.
func TestRedoUnderAReader(t *testing.T) {
	for _, published := range []bool{false, true} {
		s := open(t, t.TempDir(), Options{})
		b, extents := badBlob(t, s, "a", published, 1)
		again := redo(t, b, extents)
		p := make([]byte, BlockSize)
		if _, err := b.ReadAt(p, BlockSize); err != nil || !bytes.Equal(p, pattern("bad a", BlockSize, BlockSize)) {
			t.Errorf("the bad block reads otherwise, %v", err)
		}
		put(t, again, 1)
		if !published { // else the old file stays as it was
			wantBlocks(t, b, 0, 1, 2, 3)
		}
		if err := publish(t, b); !errors.Is(err, errAbandoned) {
			t.Errorf("publish of the old blob: %v", err)
		}
		b.Abandon() // as every caller does
		b.SetNote(Note{URL: 1})
		s.put(b) // as a note would that came just before
		syncNow(t, s)
		if r, _, err := s.index.record("a"); r.gen != again.gen || err != nil {
			t.Errorf("generation %x is recorded, want %x (%v)", r.gen, again.gen, err)
		}
		if _, err := b.Redo(t.Context(), nil); err == nil {
			t.Error("the old blob was redone twice")
		}
		check(t, publish(t, again))
		wantFile(t, s, "a", blobSize)
		wantNote(t, lookup(t, reopen(t, s), "a"), aNote.unverified())
	}
}

// TestRedoWhilePublishing: who wanted the old blob published is told.
func TestRedoWhilePublishing(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, extents := badBlob(t, s, "a", false, 0)
	var answers []error
	b.Publish(func(err error) { answers = append(answers, err) })
	wantBlocks(t, redo(t, b, extents), 1, 2, 3)
	if len(answers) != 1 || !errors.Is(answers[0], errAbandoned) {
		t.Errorf("answers: %v", answers)
	}
	wantDir(t, s.Path(), ".dlfs")
}

// TestAbandonWhilePublishing: the answer comes with the next round.
func TestAbandonWhilePublishing(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	var answers []error
	b.Publish(func(err error) { answers = append(answers, err) })
	syncNow(t, s)
	b.Abandon()
	syncNow(t, s)
	if len(answers) != 1 || !errors.Is(answers[0], errAbandoned) {
		t.Errorf("answers: %v", answers)
	}
}

// TestRedoWaitsForWrites: a block that is put a second time when the blob is
// complete may still be on its way to the file.
func TestRedoWaitsForWrites(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, extents := badBlob(t, s, "a", false, 1)
	b.writes.RLock() // as put has it, to a Redo
	redone := make(chan *Blob)
	go func() { // joined below
		again, err := b.Redo(t.Context(), extents)
		if err != nil {
			t.Error(err)
		}
		redone <- again
	}()
	for b.writes.TryRLock() { // until Redo waits
		b.writes.RUnlock()
	}
	syncNow(t, s)
	wantDir(t, blobsOf(s), b.id())
	b.writes.RUnlock()
	wantBlocks(t, acquire(t, <-redone), 0, 2, 3)
}

func TestRedoRefuses(t *testing.T) {
	for why, prepare := range map[string]func(t *testing.T, s *Store) *Blob{
		"not complete": func(t *testing.T, s *Store) *Blob {
			b := create(t, s, "a", blobSize)
			put(t, b, 0)
			return b
		},
		"abandoned": func(t *testing.T, s *Store) *Blob {
			b, _ := badBlob(t, s, "a", false)
			b.Abandon()
			return b
		},
		"gone": func(t *testing.T, s *Store) *Blob {
			b, _ := badBlob(t, s, "a", true)
			check(t, os.Remove(filepath.Join(s.Path(), "a")))
			return b
		},
		"another file": func(t *testing.T, s *Store) *Blob {
			b, _ := badBlob(t, s, "a", true)
			check(t, os.WriteFile(filepath.Join(s.Path(), "b"), make([]byte, blobSize), 0o600))
			check(t, os.Rename(filepath.Join(s.Path(), "b"), filepath.Join(s.Path(), "a")))
			return b
		},
		"a link": func(t *testing.T, s *Store) *Blob {
			b, _ := badBlob(t, s, "a", true)
			check(t, os.Rename(filepath.Join(s.Path(), "a"), filepath.Join(s.Path(), "b")))
			check(t, os.Symlink("b", filepath.Join(s.Path(), "a")))
			return b
		},
	} {
		t.Run(why, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			b := prepare(t, s)
			syncNow(t, s)
			before, err := filepath.Glob(s.Path() + "/*")
			check(t, err)
			if again, err := b.Redo(t.Context(), []Extent{{0, 1}}); err == nil || again != nil {
				t.Errorf("it was redone: %v", err)
			}
			after, err := filepath.Glob(s.Path() + "/*")
			check(t, err)
			blobs, err := os.ReadDir(blobsOf(s))
			check(t, err)
			if !slices.Equal(before, after) || len(blobs) > 1 || len(blobs) == 1 && blobs[0].Name() != b.id() {
				t.Errorf("it left %q, %v, was %q", after, blobs, before)
			}
		})
	}
	s := open(t, t.TempDir(), Options{})
	b, _ := badBlob(t, s, "a", false)
	check(t, s.Close())
	if _, err := b.Redo(t.Context(), nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestBlobThatWasGivenUpCannotBeAcquired(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for how, giveUp := range map[string]func(*Blob) error{
		"redone": func(b *Blob) error {
			_, err := b.Redo(t.Context(), []Extent{{0, 1}})
			return err
		},
		"abandoned": func(b *Blob) error {
			b.Abandon()
			return nil
		},
	} {
		b, err := s.Create(how, version(BlockSize))
		check(t, err)
		check(t, b.Acquire())
		put(t, b, 0)
		b.Release()
		syncNow(t, s) // no caller holds it, not even for its unsynced block
		check(t, giveUp(b))
		if err := b.Acquire(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: got %v", how, err)
		}
	}
}

// Bytes that were called bad stay until others are put, also over restarts.
func TestRestore(t *testing.T) {
	for _, bad := range [][]int64{{0, 1, 2, 3}, {1}} {
		s := open(t, t.TempDir(), Options{})
		b, _ := badBlob(t, s, "a", false)
		var extents []Extent
		for _, i := range bad {
			extents = append(extents, Extent{i * BlockSize, 1})
		}
		again := redo(t, b, extents)
		again.SetNote(Note{Refuted: "sha256:1"})
		wantBlocks(t, again, without(bad)...)
		syncNow(t, s)
		s = reopen(t, s)
		again = lookup(t, s, "a")
		wantBlocks(t, again, without(bad)...)
		if got := again.Note().Refuted; got != "sha256:1" {
			t.Errorf("refuted %q", got)
		}
		if restored, err := again.Restore(); !restored || err != nil {
			t.Fatalf("restored %v, %v", restored, err)
		}
		wantBlocks(t, again, 0, 1, 2, 3)
		again.SetNote(Note{})
		syncNow(t, s)
		s = reopen(t, s)
		again = lookup(t, s, "a")
		wantBlocks(t, again, 0, 1, 2, 3)
		check(t, publish(t, again))
		wantFile(t, s, "a", blobSize)
	}
	s := open(t, t.TempDir(), Options{})
	if restored, err := create(t, s, "new", blobSize).Restore(); restored || err != nil {
		t.Errorf("a blob without a file: restored %v, %v", restored, err)
	}
}
