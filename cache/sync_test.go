package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// breakFile has every sync of the blob's file fail, until the returned function
// is called.
func breakFile(t *testing.T, b *Blob) (mend func()) {
	t.Helper()
	whole := b.file.Swap(closedFile(t))
	return func() { b.file.Store(whole) }
}

func TestFailedSync(t *testing.T) {
	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	a, b := create(t, s, "a", blobSize), create(t, s, "b", blobSize)
	put(t, a, 0)
	put(t, b, 0)
	syncNow(t, s)
	put(t, a, 1, 3)
	put(t, b, 1)
	mend := breakFile(t, a)
	if err := s.Sync(t.Context()); err == nil {
		t.Fatal("a failed sync was not reported")
	}
	mend()
	log.want(t, 1, "blocks could not be made durable")
	wantBlocks(t, a, 0) // what was durable before stays
	wantBlocks(t, b, 0, 1)
	wantRefs(t, a, 1)
	wantRefs(t, b, 1)
	syncNow(t, s)
	after := open(t, crash(t, s), Options{})
	wantBlocks(t, lookup(t, after, "a"), 0)
	wantBlocks(t, lookup(t, after, "b"), 0, 1)

	put(t, a, 1, 2, 3)
	check(t, publish(t, a))
	wantFile(t, s, "a", blobSize)
}

// TestFailedSyncTakesBackLaterBlocks puts blocks between the claim of a round
// and its failure: the next sync would not report them lost.
func TestFailedSyncTakesBackLaterBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", 2*chunkSize)
	put(t, b, 0, chunkBlocks)
	c := b.take()
	put(t, b, 0, 1, chunkBlocks+1)
	wantRefs(t, b, 3)
	mend := breakFile(t, b)
	if err := s.forceAll([]*claim{c}); err == nil || c.taken != nil || b.failures.Load() != 1 {
		t.Fatalf("force of a broken file: %v", err)
	}
	mend()
	b.Release() // of the claim
	wantRefs(t, b, 1)
	if off, n := b.Missing(0, 2*chunkSize); off != 0 || n != 2*chunkSize || b.Present() != 0 {
		t.Fatalf("[%d +%d) is missing, %d bytes present", off, n, b.Present())
	}
	put(t, b, 1)
	syncNow(t, s)
	wantRefs(t, b, 1)
	if b := lookup(t, reopen(t, s), "a"); b.Present() != BlockSize || !b.Has(BlockSize, 1) {
		t.Fatalf("%d bytes are present", b.Present())
	}
}

// TestFailedSyncMeetsAPut has a sync fail while a put has written its bytes and
// not yet marked them. The kernel may have dropped those bytes with the others,
// so they must be written again.
func TestFailedSyncMeetsAPut(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	check(t, b.Put(0, pattern("a", 0, BlockSize)))

	b.mu.Lock()
	put := make(chan error)
	go func() { put <- b.Put(BlockSize, pattern("a", BlockSize, BlockSize)) }() // joined below
	last := make([]byte, 1)
	for last[0] != pattern("a", 2*BlockSize-1, 1)[0] { // until it is written
		_, err := b.file.Load().ReadAt(last, 2*BlockSize-1)
		check(t, err)
	}
	_, err := b.file.Load().WriteAt(make([]byte, BlockSize), BlockSize) // the kernel drops it
	check(t, err)
	b.failures.Add(1) // as takeBack does
	b.mu.Unlock()
	check(t, <-put)
	wantBlocks(t, b, 0, 1)
}

// TestFailedFinalSync: the answer to Publish is not lost with the sync.
func TestFailedFinalSync(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	mend := breakFile(t, b)
	var answers []error
	b.Publish(func(err error) { answers = append(answers, err) })
	if err := s.Sync(t.Context()); err == nil {
		t.Fatal("a failed sync was not reported")
	}
	mend()
	if len(answers) != 1 || answers[0] == nil {
		t.Fatalf("publish was answered with %v", answers)
	}
	wantBlocks(t, b, 0, 1, 2, 3) // durable since the first sync
	check(t, publish(t, b))
	wantFile(t, s, "a", blobSize)
}

// TestFailedWrite has the database take nothing, or take it and not say so:
// everything a round took is kept for a later one.
func TestFailedWrite(t *testing.T) {
	for what, c := range map[string]struct {
		breakIndex func(t *testing.T, x *index) (mend func())
		durable    []int64 // meanwhile
	}{
		"nothing is written": {breakWrites, []int64{0}},
		"all but the report": {breakReport, []int64{0, 1, 2}},
	} {
		t.Run(what, func(t *testing.T) {
			var log logLines
			s := open(t, t.TempDir(), Options{Log: log.logger()})
			a, b := create(t, s, "a", blobSize), create(t, s, "b", blobSize)
			put(t, a, 0)
			syncNow(t, s)
			mend := c.breakIndex(t, s.index) // the syncer next looks when Sync asks it to

			putAll(t, b)
			put(t, a, 1)
			var answers []error
			b.Publish(func(err error) { answers = append(answers, err) })
			for n := range 3 {
				if err := s.Sync(t.Context()); err == nil {
					t.Fatal("a failed write was not reported")
				}
				log.want(t, 1-min(n, 1), "state is not durable yet") // said once
				put(t, a, 1, 2)                                      // once more, and another between the rounds
				wantRefs(t, a, 2)
				wantRefs(t, b, 2)
			}
			wantBlocks(t, a, 0, 1, 2)
			wantDir(t, s.Path(), ".dlfs")
			wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), c.durable...)

			mend()
			syncNow(t, s)
			log.want(t, 1, "state is durable again")
			wantRefs(t, a, 1)
			wantRefs(t, b, 1)
			if len(answers) != 1 || answers[0] != nil {
				t.Fatalf("publish was answered with %v", answers)
			}
			wantFile(t, s, "b", blobSize)
			s = reopen(t, s)
			wantBlocks(t, lookup(t, s, "a"), 0, 1, 2)
			wantPublished(t, s, "b", b.Generation())
		})
	}
}

// TestUnwrittenIsTakenAgain has rounds fail to write while blocks are put, a
// record changes and a complete blob waits to be published.
func TestUnwrittenIsTakenAgain(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	part, whole := create(t, s, "part", blobSize), create(t, s, "whole", blobSize)
	putAll(t, whole)
	syncNow(t, s)
	put(t, part, 1)
	whole.Publish(func(err error) { check(t, err) })

	claims := []*claim{part.take(), whole.take()}
	put(t, part, 3)
	of := func(name string, gen uint64) *Blob { return s.blob(name, gen, Version{}, Note{}) }
	s.put(of("record", 2))
	s.mu.touched = map[*Blob]struct{}{} // no other round takes them again
	s.unwritten(claims, map[string]*Blob{"record": of("record", 1), "other": of("other", 3)})
	part.Release() // of the claims
	whole.Release()
	wantRefs(t, part, 2)
	wantRefs(t, whole, 1)

	syncNow(t, s)
	wantRefs(t, part, 1)
	wantFile(t, s, "whole", blobSize)
	for name, gen := range map[string]uint64{"record": 2, "other": 3} {
		if r, ok, err := s.index.record(name); r.gen != gen || !ok || err != nil {
			t.Errorf("%s is of generation %d, %v, want %d", name, r.gen, err, gen)
		}
	}
	wantBlocks(t, lookup(t, reopen(t, s), "part"), 1, 3)
}

// breakWrites has badger refuse every write, and not open anew, until mend.
func breakWrites(t *testing.T, x *index) (mend func()) {
	db := x.db
	x.db = readOnlyDB(t)
	return func() { x.db, x.failed = db, nil }
}

// breakReport has every write done, and not be reported, until mend.
func breakReport(t *testing.T, x *index) (mend func()) {
	dir := x.dir
	x.dir = closedFile(t)
	return func() { x.dir = dir }
}

// readOnlyDB returns a database that refuses every write.
func readOnlyDB(t *testing.T) *badger.DB {
	t.Helper()
	dir := t.TempDir()
	db, err := openBadger(dir)
	check(t, err)
	opts := db.Opts().WithReadOnly(true)
	check(t, db.Close())
	db, err = badger.Open(opts)
	check(t, err)
	t.Cleanup(func() { check(t, db.Close()) })
	return db
}

// closedFile returns a file on which every operation fails.
func closedFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "closed"))
	check(t, err)
	check(t, f.Close())
	return f
}

// TestFileVanishes: a file that a user deletes is not made anew, which would
// read as zeros where blocks are said to be present.
func TestFileVanishes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	part, whole := create(t, s, "part", blobSize), create(t, s, "whole", blobSize)
	put(t, part, 0)
	putAll(t, whole)
	s = reopen(t, s)
	check(t, os.RemoveAll(blobsOf(s)+"/"+part.id()))

	part, err := s.Lookup("part")
	check(t, err)
	whole, err = s.Lookup("whole")
	check(t, err)
	check(t, os.Remove(filepath.Join(blobsOf(s), whole.id())))
	if err := whole.Acquire(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("acquire: %v", err)
	}
	whole.Publish(func(err error) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("publish: %v", err)
		}
	})
	if err := s.Sync(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("sync: %v", err)
	}
	wantDir(t, s.Path(), ".dlfs")
	wantDir(t, blobsOf(s))
	wantBlocks(t, acquire(t, part))
}

// TestPrepareBeforeForce has a round of many complete blobs: each has its time, and is being
// written, before the first is forced to disk, so that one commit of a journal suffices.
func TestPrepareBeforeForce(t *testing.T) {
	const files = 3 * syncWidth
	var mu sync.Mutex
	var steps []string
	atStep = func(name string) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, name)
	}
	t.Cleanup(func() { atStep = nil }) // after the store has been closed
	s := open(t, t.TempDir(), Options{SyncEvery: time.Hour})
	published := make(chan error, files)
	for i := range files {
		b := create(t, s, fmt.Sprintf("%02d", i), blobSize)
		putAll(t, b)
		b.Publish(func(err error) { published <- err })
	}
	steps = nil
	syncNow(t, s)
	for range files {
		check(t, <-published)
	}
	mu.Lock()
	defer mu.Unlock()
	var forced, after int
	for _, name := range steps {
		switch {
		case name == "blob forced":
			forced++
		case name == "time set" && forced > 0:
			after++
		}
	}
	if forced != files || after > 0 {
		t.Errorf("%d blobs of %d were forced, and %d prepared after the first of them", forced, files, after)
	}
	for i := range files {
		wantFile(t, s, fmt.Sprintf("%02d", i), blobSize)
	}
}

// TestRoomIsLookedAtOncePerStep fills a memtable with small changes: statfs(2) is not asked
// before each.
func TestRoomIsLookedAtOncePerStep(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	asked := 0
	s.index.roomForMemtable = func() error { asked++; return nil }
	b := s.index.batch()
	for i := range 4 * memTableSize / entryBytes {
		b.delete(chunkKey(1, int64(i)))
	}
	check(t, s.index.write(b))
	if most := 5 * memTableSize / roomStep; asked == 0 || asked > most {
		t.Errorf("the room was looked at %d times, want at most %d", asked, most)
	}
}
