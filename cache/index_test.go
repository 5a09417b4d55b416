package cache

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestBlankIndex looks a name up in a store before and after the first record is written, and in
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

// TestIndexWithoutManifestIsNotBlank opens a store whose index has lost its manifest, and has its
// log with a record still.
func TestIndexWithoutManifestIsNotBlank(t *testing.T) {
	dir, left := t.TempDir(), t.TempDir()
	s := open(t, dir, Options{})
	put(t, create(t, s, "a", blobSize), 0)
	syncNow(t, s)
	check(t, copyDir(left, dir)) // as a kill leaves it: the record is in the log
	check(t, os.Remove(filepath.Join(left, ".dlfs", "db", "MANIFEST")))
	logs, err := fs.Glob(os.DirFS(left), ".dlfs/db/*.mem")
	check(t, err)
	if len(logs) == 0 {
		t.Fatal("the index has no log")
	}
	s = open(t, left, Options{})
	found, known, err := s.index.record("a")
	check(t, err)
	if s.index.blank.Load() == known {
		t.Errorf("blank %v, and it has the record %+v: %v", s.index.blank.Load(), found, known)
	}
}
