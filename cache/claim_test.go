package cache

import (
	"errors"
	"path/filepath"
	"testing"
)

// TestSmallFileNeedsNoBits stops a round before and after a file is renamed to its name. The
// index has no bits of a small file that was written whole since the last round, and those of
// any other.
func TestSmallFileNeedsNoBits(t *testing.T) {
	for _, c := range []struct {
		what  string
		size  int64
		early bool // the first block is durable before
		bits  bool
	}{
		{what: "one block", size: 4096},
		{what: "as long as may be", size: wholeBytes},
		{what: "longer", size: wholeBytes + 1, bits: true},
		{what: "begun before", size: blobSize, early: true, bits: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			left := map[string]string{"about to rename": t.TempDir(), "renamed": t.TempDir()}
			var s *Store
			var b *Blob
			var failed []error
			bits := false
			atStep = func(name string) {
				to, wanted := left[name]
				if !wanted || b == nil {
					return
				}
				failed = append(failed, s.index.chunks(b.gen, func(int64, *words) { bits = true }), copyDir(to, s.Path()))
			}
			t.Cleanup(func() { atStep = nil }) // after the store has been closed
			s = open(t, t.TempDir(), Options{})
			b = create(t, s, "a", c.size)
			if c.early {
				put(t, b, 0)
				syncNow(t, s)
			}
			putAll(t, b)
			check(t, publish(t, b))
			check(t, errors.Join(failed...))
			if len(failed) != 4 || bits != c.bits {
				t.Fatalf("bits in the index: %v, want %v; %d looks, want 4", bits, c.bits, len(failed))
			}
			gen := b.gen
			b = nil // what is opened next goes on without a look
			before := lookup(t, open(t, left["about to rename"], Options{}), "a")
			if before.Complete() != c.bits || before.Published() {
				t.Errorf("before the rename: complete %v, want %v; published %v", before.Complete(), c.bits, before.Published())
			}
			putAll(t, before)
			check(t, publish(t, before))
			wantPublished(t, open(t, left["renamed"], Options{}), "a", gen)
			wantDir(t, filepath.Join(left["about to rename"], ".dlfs", "blobs"))
		})
	}
}

// TestBlankIndex looks up names in a store before and after it has its first record, and in
// the same store opened again.
func TestBlankIndex(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if b, err := s.Lookup("a"); b != nil || err != nil || !s.index.blank.Load() {
		t.Fatalf("new store: %v, %v, blank %v", b, err, s.index.blank.Load())
	}
	put(t, create(t, s, "a", blobSize), 0)
	syncNow(t, s)
	if s.index.blank.Load() {
		t.Error("blank with a record")
	}
	s = reopen(t, s)
	if s.index.blank.Load() {
		t.Error("blank after it was opened again")
	}
	wantBlocks(t, lookup(t, s, "a"), 0)
}
