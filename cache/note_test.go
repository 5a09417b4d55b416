package cache

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

var aNote = Note{URL: 42, Digest: "sha256:00ff", Verified: true}

func wantNote(t *testing.T, b *Blob, want Note) {
	t.Helper()
	if got := b.Note(); got != want {
		t.Fatalf("note of %q is %+v, want %+v", b.name, got, want)
	}
}

func TestNoteIsKept(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	wantNote(t, b, Note{})
	b.SetNote(Note{URL: 1})
	b.SetNote(aNote)
	wantNote(t, b, aNote)
	if b, err := open(t, crash(t, s), Options{}).Lookup("a"); b != nil || err != nil {
		t.Errorf("before the sync: %v, %v", b, err)
	}
	syncNow(t, s)
	wantNote(t, lookup(t, open(t, crash(t, s), Options{}), "a"), aNote)

	put(t, b, 1)
	s = reopen(t, s)
	b = lookup(t, s, "a")
	wantNote(t, b, aNote)
	wantBlocks(t, b, 1)
	putAll(t, b)
	check(t, publish(t, b))
	s = reopen(t, s)
	wantNote(t, lookup(t, s, "a"), aNote)
	wantPublished(t, s, "a", b.Generation())
}

// TestNoteOfAPublishedBlob: a note leaves the rest of the record as it was,
// whenever it comes.
func TestNoteOfAPublishedBlob(t *testing.T) {
	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	b.SetNote(Note{URL: 1})
	b.Publish(func(err error) {
		check(t, err)
		b.SetNote(Note{URL: 2}) // from within the round
	})
	syncNow(t, s)
	s = reopen(t, s)
	wantNote(t, lookup(t, s, "a"), Note{URL: 2})
	lookup(t, s, "a").SetNote(aNote)
	s = reopen(t, s)
	wantNote(t, lookup(t, s, "a"), aNote)
	wantPublished(t, s, "a", b.Generation())
	log.wantNone(t)
}

// TestNoteBeforeTheRecord: a file that is renamed, but whose directory may not
// be on disk yet, is not recorded as published by a note.
func TestNoteBeforeTheRecord(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	renameOnly(t, s, b)
	b.SetNote(aNote)
	syncNow(t, s)
	if r, ok, err := s.index.record("a"); !ok || err != nil || r.published || r.note != aNote {
		t.Errorf("recorded: %+v, %v, %v", r, ok, err)
	}
}

// TestVerifiedIsTakenBack wherever the bytes may be others: the rest of the note
// stays.
func TestVerifiedIsTakenBack(t *testing.T) {
	for what, change := range map[string]func(t *testing.T, s *Store, b *Blob){
		"another time": func(t *testing.T, s *Store, b *Blob) {
			check(t, publish(t, b))
			check(t, os.Chtimes(filepath.Join(s.Path(), "a"), publishedAt, publishedAt.Add(time.Second)))
		},
		"adopted": func(t *testing.T, s *Store, b *Blob) {
			syncNow(t, s)
			check(t, os.Rename(filepath.Join(blobsOf(s), b.id()), filepath.Join(s.Path(), "a")))
		},
		"begun again": func(t *testing.T, s *Store, b *Blob) {
			syncNow(t, s)
			check(t, os.Remove(filepath.Join(blobsOf(s), b.id())))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			b := create(t, s, "a", blobSize)
			putAll(t, b)
			b.SetNote(aNote)
			change(t, s, b)
			for range 2 {
				s = reopen(t, s)
				wantNote(t, lookup(t, s, "a"), aNote.unverified())
			}
			lookup(t, s, "a").SetNote(aNote) // compared once more
			s = reopen(t, s)
			wantNote(t, lookup(t, s, "a"), aNote)
		})
	}
}

// TestNoteOfAnAbandonedBlob does not come between its successor and the index.
func TestNoteOfAnAbandonedBlob(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	old := create(t, s, "a", blobSize)
	old.Abandon()
	b := create(t, s, "a", blobSize)
	put(t, b, 0)
	old.SetNote(aNote)
	wantNote(t, old, aNote)
	s = reopen(t, s)
	again := lookup(t, s, "a")
	wantNote(t, again, Note{})
	wantBlocks(t, again, 0)
}
