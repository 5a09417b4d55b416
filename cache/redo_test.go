package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// complete returns a complete blob with a note, published if so wished.
func complete(t *testing.T, s *Store, name string, published bool) *Blob {
	t.Helper()
	b := create(t, s, name, blobSize)
	b.SetNote(Note{URL: 7, Digest: "sha256:00", Verified: true})
	putAll(t, b)
	if published {
		check(t, publish(t, b))
	} else {
		syncNow(t, s)
	}
	return b
}

func TestRedoKeepsAllButTheBadBlocks(t *testing.T) {
	for _, published := range []bool{false, true} {
		for _, tt := range []struct {
			bad  []Extent
			want []int64
		}{
			{[]Extent{{Off: BlockSize + 5, N: 1}}, []int64{0, 2, 3}},
			{[]Extent{{Off: BlockSize - 1, N: 2}, {Off: blobSize - 1, N: 100}}, []int64{2}},
			{[]Extent{{Off: 0, N: blobSize}}, nil},
			{nil, []int64{0, 1, 2, 3}},
		} {
			s := open(t, t.TempDir(), Options{})
			old := complete(t, s, "sub/a", published)
			b, err := old.Redo(tt.bad)
			check(t, err)
			acquire(t, b)
			for range 2 {
				if b.Generation() == old.Generation() || b.Published() || b.Version() != old.Version() {
					t.Fatalf("%x after %x, published %v, version %v", b.Generation(), old.Generation(), b.Published(), b.Version())
				}
				if n := b.Note(); n != (Note{URL: 7, Digest: "sha256:00"}) {
					t.Errorf("note %+v", n)
				}
				wantBlocks(t, b, tt.want...)
				if _, err := os.Lstat(filepath.Join(s.Path(), "sub/a")); !errors.Is(err, fs.ErrNotExist) {
					t.Fatalf("it stands in the output directory: %v", err)
				}
				b = lookup(t, open(t, crash(t, s), Options{}), "sub/a")
			}
			b = lookup(t, s, "sub/a")
			wantBlocks(t, old, 0, 1, 2, 3) // through its descriptor
			putAll(t, b)
			check(t, publish(t, b))
			wantFile(t, s, "sub/a", blobSize)
			wantDir(t, filepath.Join(s.Path(), "sub"), "a")
		}
	}
}

func TestRedoOfUnsyncedBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	old := create(t, s, "a", blobSize)
	putAll(t, old)
	b, err := old.Redo([]Extent{{Off: 0, N: 1}})
	check(t, err)
	wantBlocks(t, acquire(t, b), 1, 2, 3)
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 1, 2, 3)
}

// A crash between the steps of a Redo leaves the old state or the new one.
func TestRedoCutShort(t *testing.T) {
	for _, published := range []bool{false, true} {
		s := open(t, t.TempDir(), Options{})
		old := complete(t, s, "a", published)
		n := s.blob("a", newGeneration(), old.version)
		check(t, old.lend(n)) // the second name is there, the record is not
		again := open(t, crash(t, s), Options{})
		b := lookup(t, again, "a")
		if b.Generation() != old.Generation() || b.Published() != published {
			t.Errorf("published %v: not the old state", published)
		}
		wantBlocks(t, b, 0, 1, 2, 3)
		check(t, again.Close())

		wrong := newBitmap(n.geo.blocks())
		wrong.set(2)
		n.markAllBut(wrong)
		s.touch(n)
		s.put(n)
		syncNow(t, s) // the record is there, and so is the old name
		s = reopen(t, s)
		b = lookup(t, s, "a")
		if b.Generation() != n.Generation() || b.Published() {
			t.Errorf("published %v: not the new state", published)
		}
		wantBlocks(t, b, 0, 1, 3)
		wantDir(t, s.Path(), ".dlfs")
		put(t, b, 2)
		check(t, publish(t, b))
		wantFile(t, s, "a", blobSize)
		wantDir(t, blobsOf(s))
	}
}

func TestNotesAreKept(t *testing.T) {
	note := Note{URL: 1 << 63, Digest: "md5:12", Verified: true}
	s := open(t, t.TempDir(), Options{})
	for _, published := range []bool{false, true} {
		name := map[bool]string{false: "part", true: "whole"}[published]
		b := create(t, s, name, blobSize)
		b.SetNote(note)
		if published {
			putAll(t, b)
			check(t, publish(t, b))
		}
	}
	adopted := lookup(t, s, "whole")
	adopted.SetNote(Note{URL: 3})
	for range 2 {
		s = reopen(t, s)
		for name, want := range map[string]Note{"part": note, "whole": {URL: 3}} {
			if got := lookup(t, s, name).Note(); got != want {
				t.Errorf("%s: %+v, want %+v", name, got, want)
			}
		}
		wantPublished(t, s, "whole", adopted.Generation())
	}
	old := lookup(t, s, "part")
	old.Abandon()
	b := create(t, s, "part", blobSize+1)
	old.SetNote(Note{URL: 9}) // of a blob whose name is another's by now
	s = reopen(t, s)
	if got := lookup(t, s, "part"); got.Note() != (Note{}) || got.Generation() != b.Generation() {
		t.Errorf("an abandoned blob took its name back: %+v", got.Note())
	}
}

func TestEach(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, name := range []string{"c", "a", "b"} {
		complete(t, s, name, true)
	}
	put(t, create(t, s, "part", blobSize), 0)
	syncNow(t, s)
	check(t, os.Remove(filepath.Join(s.Path(), "b")))
	var got []string
	check(t, s.Each(func(name string, b *Blob) error {
		if b.Complete() == (name == "part") {
			t.Errorf("%s: complete %v", name, b.Complete())
		}
		got = append(got, name)
		return nil
	}))
	if len(got) != 3 || got[0] != "a" || got[1] != "c" || got[2] != "part" {
		t.Errorf("names %q", got)
	}
	enough := errors.New("enough")
	if err := s.Each(func(string, *Blob) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// What an abandoned blob had leaves the index with the next sync.
func TestChunksOfTheDeadAreDeleted(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, err := s.Create("a", version(blobSize))
	check(t, err)
	check(t, b.Acquire())
	put(t, b, 0, 2)
	syncNow(t, s)
	b.Release()
	b.Abandon()
	syncNow(t, s)
	check(t, s.index.chunks(b.gen, func(c int64, _ *words) { t.Errorf("chunk %d is kept", c) }))
}
