package cache

import (
	"testing"
)

// TestOutline: of a blob without a block its outline is enough, before it is recorded, after,
// and in the next run.
func TestOutline(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	blob, err := s.Create("a", version(3*BlockSize))
	check(t, err)
	blob.SetNote(Note{URL: 7})
	o, ok := blob.Outline()
	if !ok || o.Generation() != blob.Generation() || o.Version().Size != 3*BlockSize || !o.ModTime().Equal(publishedAt) ||
		o.Present() != 0 || o.Published() {
		t.Fatalf("%+v, %v", o, ok)
	}
	restored := func(when string) *Blob {
		t.Helper()
		again, err := s.Restore("a", o)
		check(t, err)
		if again == nil || again.Generation() != o.Generation() || again.Version() != version(3*BlockSize) || again.Note() != (Note{URL: 7}) {
			t.Fatalf("%s: restored %+v", when, again)
		}
		return again
	}
	if restored("not recorded") != blob {
		t.Error("two blobs of a record that is still to be written")
	}
	check(t, s.Sync(t.Context()))
	restored("recorded")
	check(t, s.Close())
	s = open(t, dir, Options{})
	again := restored("in the next run")
	check(t, again.Acquire())
	check(t, again.Put(0, make([]byte, BlockSize)))
	if _, ok := again.Outline(); ok {
		t.Error("an outline of a blob that has a block")
	}
	again.Release()
	check(t, s.Sync(t.Context()))
	check(t, s.Close())
	s = open(t, dir, Options{})
	kept, err := s.Lookup("a")
	check(t, err)
	if kept.Generation() != o.Generation() || kept.Present() != BlockSize {
		t.Errorf("the block of a restored blob is lost: %d bytes", kept.Present())
	}
}

// TestNoOutline: what an outline cannot hold is not given up for one, and an outline of another
// version restores nothing.
func TestNoOutline(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for name, change := range map[string]func(b *Blob){
		"held":   func(b *Blob) { check(t, b.Acquire()) },
		"noted":  func(b *Blob) { b.SetNote(Note{Digest: "md5:00"}) },
		"given":  func(b *Blob) { b.Abandon() },
		"undone": func(b *Blob) { b.failures.Add(1) },
	} {
		b, err := s.Create(name, version(10))
		check(t, err)
		old, ok := b.Outline()
		if !ok {
			t.Errorf("%s: no outline at first", name)
		}
		change(b)
		if _, ok := b.Outline(); ok {
			t.Errorf("%s: there is an outline", name)
		}
		if name == "held" {
			b.Release()
		}
		_, err = s.Create(name, version(20))
		check(t, err)
		if again, err := s.Restore(name, old); again != nil || err != nil {
			t.Errorf("%s: restored %v, %v", name, again, err)
		}
	}
	empty, err := s.Create("empty", version(0))
	check(t, err)
	if _, ok := empty.Outline(); ok {
		t.Error("an outline of an empty file, which is complete")
	}
	undated, err := s.Create("undated", Version{Size: 1})
	check(t, err)
	if o, ok := undated.Outline(); !ok || !o.ModTime().IsZero() {
		t.Errorf("%+v, %v", o, ok)
	}
	if again, err := s.Restore("none", &Outline{gen: 1}); again != nil || err != nil {
		t.Errorf("restored %v, %v", again, err)
	}
}
