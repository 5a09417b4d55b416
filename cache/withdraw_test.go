package cache

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// finished returns the blob of a published file that no caller has acquired.
func finished(t testing.TB, s *Store, name string, size int64) *Blob {
	t.Helper()
	b, err := s.Create(name, version(size))
	check(t, errors.Join(err, b.Acquire()))
	putAll(t, b)
	check(t, publish(t, b))
	b.Release()
	return b
}

// withdraw begins to take the file of a blob away.
func withdraw(t testing.TB, b *Blob) *Withdrawal {
	t.Helper()
	going, err := b.store.Withdraw([]*Blob{b})
	check(t, err)
	if len(going) != 1 {
		t.Fatalf("%q: %d files can go; own: %v, in use: %v", b.name, len(going), b.Own(), b.InUse())
	}
	return going[0]
}

// wantStays checks that the file of a blob cannot be taken away.
func wantStays(t testing.TB, what string, b *Blob, inUse bool) {
	t.Helper()
	going, err := b.store.Withdraw([]*Blob{b})
	if len(going) > 0 || err != nil || b.InUse() != inUse {
		t.Errorf("%s: %d files can go, %v; in use: %v", what, len(going), err, b.InUse())
	}
}

// TestWithdraw: a finished file goes and gives its room back; its blocks are missing, also after
// a restart, and can be put and published again.
func TestWithdraw(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxSize: testBound})
	before := s.Room().Used
	finished(t, s, "dir/a", blobSize)
	s = reopen(t, s)
	b, err := s.Lookup("dir/a")
	check(t, err)
	if used := s.Room().Used - before; used < blobSize {
		t.Errorf("a file of %d bytes takes %d of the bound", blobSize, used)
	}
	w := withdraw(t, b)
	check(t, w.Remove())
	check(t, w.Finish())
	if used := s.Room().Used - before; used > BlockSize {
		t.Errorf("%d bytes of the bound are used when the file has gone", used)
	}
	wantDir(t, filepath.Join(s.Path(), "dir"))
	if err := b.Acquire(); !errors.Is(err, fs.ErrClosed) || b.Published() {
		t.Errorf("acquired: %v, published: %v", err, b.Published())
	}
	wantBlocks(t, w.Again())
	s = reopen(t, s)
	b = lookup(t, s, "dir/a")
	wantBlocks(t, b)
	if b.Generation() != w.Again().Generation() {
		t.Error("the new generation is not known after a restart")
	}
	putAll(t, b)
	check(t, publish(t, b))
	wantFile(t, s, "dir/a", blobSize)
}

// TestWithdrawSparesWhatItMust: a file goes only if this store has published it, it is as it was
// then, and no other program and no caller uses it.
func TestWithdrawSparesWhatItMust(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	path := func(name string) string { return filepath.Join(s.Path(), name) }
	wantStays(t, "not published", create(t, s, "unfinished", blobSize), false)

	check(t, os.WriteFile(path("found"), pattern("found", 0, 10), 0o644))
	found, err := s.Create("found", version(10))
	check(t, err)
	wantStays(t, "of another program", found, false)

	used := finished(t, s, "used", blobSize)
	check(t, used.Acquire())
	wantStays(t, "acquired", used, true)
	used.Release()
	f, err := os.Open(path("used"))
	check(t, err)
	wantStays(t, "open elsewhere", used, true)
	check(t, f.Close())
	check(t, withdraw(t, used).Stay())

	linked := finished(t, s, "linked", blobSize)
	check(t, os.Link(path("linked"), path("link")))
	wantStays(t, "with two names", linked, false)
	touched := finished(t, s, "touched", blobSize)
	check(t, os.Chtimes(path("touched"), time.Time{}, time.Now()))
	wantStays(t, "with another time", touched, false)
	replaced := finished(t, s, "replaced", blobSize)
	check(t, os.Rename(path("replaced"), path("moved")))
	check(t, os.WriteFile(path("replaced"), pattern("replaced", 0, blobSize), 0o644))
	check(t, os.Chtimes(path("replaced"), time.Time{}, publishedAt))
	wantStays(t, "another file", replaced, false)

	s = reopen(t, s)
	for name, own := range map[string]bool{"found": false, "used": true, "touched": false} {
		if b := lookup(t, s, name); b.Own() != own || !b.Published() {
			t.Errorf("%s: after a restart own is %v, published %v", name, b.Own(), b.Published())
		}
	}
}

// TestWithdrawCutShort: where a process died before the file had gone, the file is published
// again, counts once, and can go.
func TestWithdrawCutShort(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxSize: testBound})
	b := finished(t, s, "a", blobSize)
	used := s.Room().Used
	w := withdraw(t, b)
	check(t, w.file.Close()) // as the end of the process does
	s = reopen(t, s)
	b, err := s.Lookup("a")
	check(t, err)
	if now := s.Room().Used; !b.Published() || !b.Own() || now-used > BlockSize || used-now > BlockSize {
		t.Errorf("published: %v, own: %v; %d bytes are used, and %d were", b.Published(), b.Own(), now, used)
	}
	syncNow(t, s)
	w = withdraw(t, b)
	check(t, errors.Join(w.Remove(), w.Finish()))
	wantDir(t, s.Path(), ".dlfs")
}

// TestWithdrawUnderAReader: a caller that acquires the blob while the file is being taken away
// reads it to the end, and its room is used for as long.
func TestWithdrawUnderAReader(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxSize: testBound})
	b := finished(t, s, "a", blobSize)
	used := s.Room().Used
	w := withdraw(t, b)
	check(t, b.Acquire())
	check(t, errors.Join(w.Remove(), w.Finish()))
	wantBlocks(t, b, 0, 1, 2, 3)
	if now := s.Room().Used; now < used {
		t.Errorf("%d bytes are counted as free while they are read", used-now)
	}
	b.Release()
	if now := s.Room().Used; used-now < blobSize {
		t.Errorf("%d bytes are free when the reader has ended", used-now)
	}
}

// TestWithdrawAndStay: what is not removed, or cannot be, is published as before.
func TestWithdrawAndStay(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := finished(t, s, "a", blobSize)
	check(t, withdraw(t, b).Stay())
	w := withdraw(t, b)
	check(t, os.Chtimes(filepath.Join(s.Path(), "a"), time.Time{}, time.Now()))
	if err := w.Remove(); err == nil {
		t.Error("a file was removed that had changed meanwhile")
	}
	check(t, w.Stay())
	room := s.index.roomToWrite
	b = finished(t, s, "b", blobSize)
	s.index.roomToWrite = func() error { return ErrNoSpace }
	if going, err := s.Withdraw([]*Blob{b}); !errors.Is(err, ErrNoSpace) || len(going) > 0 {
		t.Errorf("%d files can go without an index, %v", len(going), err)
	}
	s.index.roomToWrite = room
	s = reopen(t, s)
	for _, name := range []string{"a", "b"} {
		if !lookup(t, s, name).Published() {
			t.Errorf("%q is not published", name)
		}
	}
}

// TestPutWaitsForAWithdrawal: no block of the new generation is stored before the file has gone
// durably.
func TestPutWaitsForAWithdrawal(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	w := withdraw(t, finished(t, s, "a", blobSize))
	again := acquire(t, w.Again())
	check(t, w.Remove())
	stored := make(chan error, 1)
	go func() { stored <- again.Put(0, pattern("a", 0, BlockSize)) }() // awaited below
	for range 1000 {
		runtime.Gosched()
		if again.Present() > 0 {
			t.Fatal("a block was stored before the removal was durable")
		}
	}
	check(t, w.Finish())
	check(t, <-stored)
	wantBlocks(t, again, 0)
}
