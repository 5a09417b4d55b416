package cache

import (
	"testing"

	"dlfs/cache/hosttest"
)

// TestFailedRedo has the index refuse the new blob: the old one goes on, and
// can be redone later.
func TestFailedRedo(t *testing.T) {
	for what, breakIndex := range map[string]func(t *testing.T, x *index) (mend func()){
		"nothing is written": breakWrites,
		"all but the report": breakReport,
	} {
		for _, published := range []bool{false, true} {
			t.Run(what, func(t *testing.T) {
				s := open(t, t.TempDir(), Options{})
				b, extents := badBlob(t, s, "a", published, 1)
				syncNow(t, s)
				mend := breakIndex(t, s.index)
				for range 2 {
					if _, err := b.Redo(t.Context(), extents); err == nil {
						t.Fatal("a failed write was not reported")
					}
					if s.Occupied("a") != published || b.Published() != published || !b.Complete() {
						t.Fatalf("the old blob is not as before: published %v", b.Published())
					}
				}
				mend()
				syncNow(t, s)
				if after := lookup(t, open(t, crash(t, s), Options{}), "a"); after.Generation() != b.Generation() || !after.Complete() {
					t.Fatal("the old blob is not recorded")
				}
				again := redo(t, b, extents)
				wantBlocks(t, again, 0, 2, 3)
				put(t, again, 1)
				check(t, publish(t, again))
				wantFile(t, s, "a", blobSize)
				s = reopen(t, s)
				wantPublished(t, s, "a", again.Generation())
				wantDir(t, blobsOf(s))
			})
		}
	}
}

// TestCrashInsideARedo stops a redo after each of its steps, and opens what it
// left. A published file stands in the output directory at all of them.
func TestCrashInsideARedo(t *testing.T) {
	hosttest.NeedTime(t)
	for _, published := range []bool{false, true} {
		for _, bad := range [][]int64{{}, {0, 2}, {0, 1, 2, 3}} {
			s := open(t, t.TempDir(), Options{})
			b, extents := badBlob(t, s, "sub/a", published, bad...)
			syncNow(t, s)
			again := b.without(extents)
			var old, new []string
			if published {
				again = b.store.blob(b.name, newGeneration(), b.version, aNote.unverified())
				replaces, err := b.standing()
				check(t, err)
				again.mu.replaces = replaces
				check(t, b.copyGood(t.Context(), again, extents))
				old = append(old, crash(t, s))
				syncNow(t, s)
				old = append(old, crash(t, s))
				check(t, s.writeRecord(again))
			} else {
				check(t, s.linkAgain(b, again))
				old = append(old, crash(t, s))
				bits := s.index.batch()
				w := again.bits.chunk(0)
				bits.setChunk(again.gen, 0, &w)
				check(t, s.index.write(bits))
				old = append(old, crash(t, s))
				check(t, s.writeAgain(again))
			}
			new = append(new, crash(t, s))
			b.giveUp()
			new = append(new, crash(t, s))

			for _, dir := range old {
				s := open(t, dir, Options{})
				after := lookup(t, s, "sub/a")
				if after.Generation() != b.Generation() || !after.Complete() || after.Published() != published || s.Occupied("sub/a") != published {
					t.Fatalf("before the record: generation %x, published %v", after.Generation(), after.Published())
				}
				wantNote(t, after, aNote)
				finishRedo(t, s, redo(t, after, extents))
			}
			for _, dir := range new {
				s := open(t, dir, Options{})
				after := lookup(t, s, "sub/a")
				if after.Generation() != again.Generation() || after.Published() || s.Occupied("sub/a") != published {
					t.Fatalf("after the record: generation %x, published %v", after.Generation(), after.Published())
				}
				wantNote(t, after, aNote.unverified())
				wantBlocks(t, after, without(bad)...)
				if !published {
					finishRedo(t, s, after)
				}
			}
		}
	}
}

func finishRedo(t *testing.T, s *Store, b *Blob) {
	t.Helper()
	putAll(t, b)
	check(t, publish(t, b))
	wantFile(t, s, b.name, blobSize)
	s = reopen(t, s)
	wantPublished(t, s, b.name, b.Generation())
	wantDir(t, blobsOf(s))
}

// TestReplacedBitsAreDeleted: once the record names another generation, the bits
// of the old one go with the next round.
func TestReplacedBitsAreDeleted(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	wantBits := func(b *Blob, want int) {
		t.Helper()
		n := 0
		check(t, s.index.chunks(b.gen, func(int64, *words) { n++ }))
		if n != want {
			t.Fatalf("%d values of generation %x, want %d", n, b.gen, want)
		}
	}
	first := create(t, s, "a", 2*chunkSize)
	put(t, first, 0, chunkBlocks)
	syncNow(t, s)
	wantBits(first, 2)
	put(t, first, 1)
	first.Abandon()
	put(t, first, 2)
	second, err := s.Create("a", Version{Size: blobSize})
	check(t, err)
	putAll(t, acquire(t, second))
	syncNow(t, s)
	wantBits(second, 1)
	s.put(second) // so that there is a next round
	again := redo(t, second, []Extent{{0, 1}})
	wantBits(first, 0)
	wantBits(again, 1)
	s.put(again)
	syncNow(t, s)
	wantBits(second, 0)
	wantBits(again, 1)
	s = reopen(t, s)
	wantBlocks(t, lookup(t, s, "a"), 1, 2, 3)
}
