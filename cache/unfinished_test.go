package cache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// beginning is what another program has left of a blob of blobSize: two blocks, and a
// part of the third.
const beginning = 2*BlockSize + 100

// unfinished returns a store in which another program has left content as sub/a.
func unfinished(t *testing.T, content []byte) (s *Store, path string) {
	t.Helper()
	s = open(t, t.TempDir(), Options{})
	path = filepath.Join(s.Path(), "sub/a")
	check(t, errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, content, 0o644)))
	return s, path
}

// takeOver returns the blob that extends sub/a.
func takeOver(t *testing.T, s *Store) *Blob {
	t.Helper()
	_, err := s.Create("sub/a", version(blobSize))
	if is := new(UnfinishedError); !errors.As(err, &is) {
		t.Fatalf("create: %v, want an UnfinishedError", err)
	}
	u, err := s.OpenUnfinished("sub/a", version(blobSize))
	check(t, err)
	defer u.Close()
	b, err := u.TakeOver(t.Context())
	check(t, err)
	return acquire(t, b)
}

func wantContent(t *testing.T, path string, want []byte) {
	t.Helper()
	if got := readFile(t, path); !bytes.Equal(got, want) {
		t.Fatalf("%s has other bytes: %d, want %d", path, len(got), len(want))
	}
}

// The file stays as it is until the complete one takes its place, over restarts, too.
func TestTakeOver(t *testing.T) {
	part := pattern("sub/a", 0, beginning)
	s, path := unfinished(t, part)
	b := takeOver(t, s)
	for range 2 {
		wantBlocks(t, b, 0, 1)
		wantContent(t, path, part)
		syncNow(t, s)
		s = reopen(t, s)
		if b = lookup(t, s, "sub/a"); !b.Extends() {
			t.Fatal("the blob does not extend the file any more")
		}
	}
	put(t, b, 2, 3)
	check(t, b.Covers(t.Context()))
	check(t, publish(t, b))
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, blobsOf(s))
	if b = lookup(t, reopen(t, s), "sub/a"); !b.Published() || b.Extends() {
		t.Errorf("published %v, extends %v", b.Published(), b.Extends())
	}
}

// What was not taken over, since it was no whole block, is compared at the end, and so
// is what was believed.
func TestTakeOverOfOtherBytes(t *testing.T) {
	for what, at := range map[string]int{"in a block": BlockSize + 1, "after the last whole block": beginning - 1} {
		t.Run(what, func(t *testing.T) {
			part := pattern("sub/a", 0, beginning)
			part[at] ^= 1
			s, path := unfinished(t, part)
			b := takeOver(t, s)
			put(t, b, 2, 3)
			b = redo(t, b, []Extent{{0, blobSize}}) // as if a digest had been wrong
			putAll(t, b)
			if way := new(InTheWayError); !errors.As(b.Covers(t.Context()), &way) {
				t.Error("the complete file is taken for one that has all of the other")
			}
			syncNow(t, s)
			wantContent(t, path, part)
			check(t, os.Remove(path))
			check(t, b.Covers(t.Context()))
			check(t, publish(t, b))
			wantFile(t, s, "sub/a", blobSize)
		})
	}
}

// A file that another program still writes is not replaced; the next start goes on
// from what it has then.
func TestTakeOverOfAFileThatGrows(t *testing.T) {
	s, path := unfinished(t, pattern("sub/a", 0, beginning))
	b := takeOver(t, s)
	putAll(t, b)
	more := pattern("sub/a", 0, beginning+10)
	check(t, os.WriteFile(path, more, 0o644))
	if way := new(InTheWayError); !errors.As(publish(t, b), &way) {
		t.Error("a file that had been written to was replaced")
	}
	wantContent(t, path, more)
	s = reopen(t, s)
	b = lookup(t, s, "sub/a")
	check(t, b.Covers(t.Context()))
	check(t, publish(t, b))
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, blobsOf(s))
}

// A directory that was copied has files with other inode numbers.
func TestTakeOverInACopiedDirectory(t *testing.T) {
	first, _ := unfinished(t, pattern("sub/a", 0, beginning))
	takeOver(t, first)
	syncNow(t, first)
	for _, crashed := range []bool{false, true} {
		s := open(t, crash(t, first), Options{})
		b := lookup(t, s, "sub/a")
		wantBlocks(t, b, 0, 1)
		put(t, b, 2, 3)
		check(t, b.Covers(t.Context()))
		if crashed {
			exchangeAndCrash(t, b)
			s = reopen(t, s)
			if b := lookup(t, s, "sub/a"); !b.Published() || b.Extends() {
				t.Errorf("published %v, extends %v", b.Published(), b.Extends())
			}
		} else {
			check(t, publish(t, b))
		}
		wantFile(t, s, "sub/a", blobSize)
		wantDir(t, blobsOf(s))
	}
}

// exchangeAndCrash has the state be as after a crash between the exchange of a complete
// blob and its record. The store is to be opened again.
func exchangeAndCrash(t *testing.T, b *Blob) {
	t.Helper()
	syncNow(t, b.store)
	check(t, b.prepare(true))
	check(t, b.force(true))
	check(t, swapNames(unix.AT_FDCWD, filepath.Join(blobsOf(b.store), b.id()),
		unix.AT_FDCWD, filepath.Join(b.store.Path(), b.name)))
}

// A crash before the record leaves the old file and a blob that nothing names; one
// between the exchange and its record leaves the complete file.
func TestCrashInsideATakeOver(t *testing.T) {
	part := pattern("sub/a", 0, beginning)
	s, path := unfinished(t, part)
	check(t, os.WriteFile(filepath.Join(blobsOf(s), blobID(1)), part, 0o644))
	s = reopen(t, s)
	wantDir(t, blobsOf(s))
	wantContent(t, path, part)

	b := takeOver(t, s)
	put(t, b, 2, 3)
	exchangeAndCrash(t, b)
	s = reopen(t, s)
	if after := lookup(t, s, "sub/a"); !after.Published() || after.Extends() {
		t.Errorf("published %v, extends %v", after.Published(), after.Extends())
	}
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, blobsOf(s))
}

// Where the copy is lost, the file is taken over anew: the origin's bytes alone would
// not prove that the file has no others.
func TestTakeOverAgainAfterALoss(t *testing.T) {
	part := pattern("sub/a", 0, beginning)
	s, path := unfinished(t, part)
	b := takeOver(t, s)
	syncNow(t, s)
	check(t, os.Remove(filepath.Join(blobsOf(s), b.id())))
	s = reopen(t, s)
	if b, err := s.Lookup("sub/a"); b != nil || err != nil {
		t.Fatalf("lookup: %v, %v", b, err)
	}
	wantBlocks(t, takeOver(t, s), 0, 1)
	wantContent(t, path, part)
}

// Another version of the origin is not put in the place of a file that was compared
// with the first.
func TestTakeOverIsOfOneVersion(t *testing.T) {
	part := pattern("sub/a", 0, beginning)
	s, path := unfinished(t, part)
	b := takeOver(t, s)
	syncNow(t, s)
	b.Abandon()
	_, err := s.Create("sub/a", Version{Size: blobSize + 1, ETag: `"other"`})
	if is := new(UnfinishedError); !errors.As(err, &is) {
		t.Errorf("create: %v, want an UnfinishedError", err)
	}
	wantContent(t, path, part)
}

// Holes, blocks of zeros and the zeros at the end of data say nothing.
func TestDataOfAFileWithHoles(t *testing.T) {
	s, path := unfinished(t, pattern("sub/a", 0, BlockSize))
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(t, err)
	_, err = f.WriteAt(pattern("sub/a", 2*BlockSize, 100), 2*BlockSize)
	check(t, errors.Join(err, f.Truncate(blobSize), f.Close()))
	if has, err := s.hasHole("sub/a", blobSize); err != nil || !has {
		t.Skip("the filesystem of the test has no holes:", err)
	}
	u, err := s.OpenUnfinished("sub/a", version(blobSize))
	check(t, err)
	defer u.Close()
	if got, want := u.Data(), []Extent{{0, BlockSize}, {2 * BlockSize, 100}}; len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("data %v, want %v", got, want)
	}
	b := takeOver(t, s)
	wantBlocks(t, b, 0)
	putAll(t, b)
	check(t, b.Covers(t.Context()))
	check(t, publish(t, b))
	wantFile(t, s, "sub/a", blobSize)
}

// A blob keeps what was copied before the program was told to end.
func TestTakeOverEndsWithItsContext(t *testing.T) {
	s, _ := unfinished(t, pattern("sub/a", 0, beginning))
	u, err := s.OpenUnfinished("sub/a", version(blobSize))
	check(t, err)
	defer u.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b, err := u.TakeOver(ctx)
	check(t, err)
	wantBlocks(t, acquire(t, b))
	if !b.Extends() {
		t.Error("the blob does not extend the file")
	}
}
