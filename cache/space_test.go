package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestBallast: a disk that turns out to be full costs the ballast, and nothing
// is stored until it stands again.
func TestBallast(t *testing.T) {
	s := open(t, t.TempDir(), Options{MinFree: 1 << 20})
	path := filepath.Join(s.Path(), ".dlfs", ballastName)
	wantAllocated(t, path, 1<<20)
	b := create(t, s, "a", blobSize)
	put(t, b, 0)
	if err := s.noSpace(&os.PathError{Op: "write", Path: "x", Err: syscall.EDQUOT}); err != ErrNoSpace {
		t.Errorf("a used quota is %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the ballast stays: %v", err)
	}
	if err := b.Put(BlockSize, pattern("a", BlockSize, BlockSize)); err != ErrNoSpace {
		t.Errorf("put on a full disk: %v", err)
	}
	wantBlocks(t, b, 0)
	syncNow(t, s) // the index has room
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 0)

	min := s.opts.MinFree
	s.opts.MinFree = 1 << 60
	if s.HasRoom() {
		t.Error("room is found where there is none")
	}
	s.opts.MinFree = min
	if !s.HasRoom() {
		t.Error("room is not found")
	}
	wantAllocated(t, path, 1<<20)
	put(t, b, 1)
	wantBlocks(t, b, 0, 1)
}

// TestBallastIsGivenUpAtTheFloor: others fill the disk.
func TestBallastIsGivenUpAtTheFloor(t *testing.T) {
	s := open(t, t.TempDir(), Options{MinFree: 1 << 20})
	s.watchRoom()
	if s.tight.Load() {
		t.Fatal("the ballast was given up for nothing")
	}
	s.opts.MinFree = 1 << 60 // still the index's floor is 16 MiB
	s.watchRoom()
	if free, err := s.Free(); err != nil || s.tight.Load() != (free < indexFloor) {
		t.Errorf("free %d, %v, given up %v", free, err, s.tight.Load())
	}
}

// TestMemtableFilesAreAllocated: a write to one of them never needs room, be it
// the one in use or the next.
func TestMemtableFilesAreAllocated(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	rng := random(t)
	for range 3 {
		before := memFiles(t, s)
		for rotated := false; !rotated; rotated = memFiles(t, s)[0] != before[0] {
			value := make([]byte, 60<<10)
			for i := range value {
				value[i] = byte(rng.Uint32())
			}
			check(t, s.Remember("key", string(value)))
		}
		check(t, s.Remember("key", "value"))
		mem := memFiles(t, s)
		last := len(mem) - 1
		for _, name := range mem[max(last-1, 0):] {
			wantAllocated(t, filepath.Join(s.Path(), ".dlfs/db", name), 2*memTableSize)
		}
		if info, err := os.Stat(filepath.Join(s.Path(), ".dlfs/db", mem[last])); err != nil || info.Size() != 0 {
			t.Fatalf("the next memtable's file is not there, empty: %v, %v", info, err)
		}
	}
}

func memFiles(t *testing.T, s *Store) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.Path(), ".dlfs/db"))
	check(t, err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".mem") {
			names = append(names, e.Name())
		}
	}
	return names
}

func wantAllocated(t *testing.T, path string, n int64) {
	t.Helper()
	info, err := os.Stat(path)
	check(t, err)
	if got := info.Sys().(*syscall.Stat_t).Blocks * 512; got < n {
		t.Errorf("%s has %d bytes allocated, want %d", path, got, n)
	}
}

// TestRevive: after a failed write the database is opened anew, with all it had,
// before it is written again.
func TestRevive(t *testing.T) {
	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	b := create(t, s, "a", blobSize)
	put(t, b, 0)
	syncNow(t, s)
	before := readOnlyDB(t) // nothing can be written to it
	check(t, s.index.db.Close())
	s.index.db = before
	put(t, b, 1)
	if err := s.Sync(t.Context()); err == nil {
		t.Fatal("a failed write was not reported")
	}
	log.want(t, 1, "state is not durable yet")
	wantBlocks(t, b, 0, 1)
	syncNow(t, s)
	if s.index.db == before {
		t.Error("the database was not opened again")
	}
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 0, 1)
	wantBlocks(t, lookup(t, reopen(t, s), "a"), 0, 1)
}

// TestPublishedThoughNotRecorded: what stands in the output directory does so
// whether or not the index could be told; the next round tells it.
func TestPublishedThoughNotRecorded(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	full := false
	room := s.index.roomToWrite
	s.index.roomToWrite = func() error {
		if full {
			return ErrNoSpace
		}
		full = true // for all but the bits
		return room()
	}
	check(t, publish(t, b))
	wantFile(t, s, "a", blobSize)
	if r, ok, err := s.index.record("a"); !ok || err != nil || r.published {
		t.Fatalf("the record is %+v, %v, %v", r, ok, err)
	}
	wantFile(t, open(t, crash(t, s), Options{}), "a", blobSize)
	s.index.roomToWrite = room
	syncNow(t, s)
	if r, ok, err := s.index.record("a"); !ok || err != nil || !r.published || r.gen != b.gen {
		t.Errorf("the record is %+v, %v, %v", r, ok, err)
	}
}
