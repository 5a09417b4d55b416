package cache

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
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
	room := s.index.room
	s.index.room = func() error {
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
	s.index.room = room
	syncNow(t, s)
	if r, ok, err := s.index.record("a"); !ok || err != nil || !r.published || r.gen != b.gen {
		t.Errorf("the record is %+v, %v, %v", r, ok, err)
	}
}

// TestSpaceThatIsNotReported: a filesystem that counts nothing is not full.
func TestSpaceThatIsNotReported(t *testing.T) {
	for _, c := range []struct {
		st            unix.Statfs_t
		bytes, inodes int64
	}{
		{unix.Statfs_t{}, math.MaxInt64, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096}, math.MaxInt64, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096, Blocks: 10}, 0, math.MaxInt64},
		{unix.Statfs_t{Bsize: 4096, Blocks: 10, Bavail: 2, Files: 5}, 8192, 0},
		{unix.Statfs_t{Bsize: 4096, Blocks: math.MaxUint64, Bavail: math.MaxUint64, Files: math.MaxUint64, Ffree: math.MaxUint64},
			math.MaxInt64 / 4096 * 4096, math.MaxInt64},
	} {
		if bytes, inodes := spaceOf(&c.st); bytes != c.bytes || inodes != c.inodes {
			t.Errorf("%+v: %d bytes and %d inodes are free", c.st, bytes, inodes)
		}
	}
}

// TestNoInodes has the inodes run out before a store is made, and at several steps
// of storing. It is told as that, and with inodes the same store goes on. Between
// them it is badger that fails, which leaves files open.
func TestNoInodes(t *testing.T) {
	for _, n := range []int{0, 16, 20, 30, 45} {
		dir, giveBack := inodesOn(t, n)
		s, err := Open(dir, Options{MinFree: 1})
		if err == nil {
			var b *Blob
			for i := range 40 {
				b, err = s.Create(fmt.Sprint("f", i), version(BlockSize))
				check(t, err)
				check(t, b.Acquire())
				err = b.Put(0, pattern(b.name, 0, BlockSize))
				if err != nil {
					break
				}
				check(t, publish(t, b))
				b.Release()
			}
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, ErrNoInodes) || s.HasRoom() || s.Full() != ErrNoInodes {
				t.Fatalf("%d inodes: %v", n, err)
			}
			giveBack()
			if !s.HasRoom() {
				t.Fatalf("%d inodes: with inodes again there is no room", n)
			}
			check(t, b.Put(0, pattern(b.name, 0, BlockSize)))
			check(t, publish(t, b))
			b.Release()
			check(t, s.Close())
		} else {
			if n > 0 || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, ErrNoInodes) || !strings.Contains(err.Error(), "no inodes are left") {
				t.Fatalf("%d inodes: %v", n, err)
			}
			giveBack()
		}
		s, err = Open(dir, Options{MinFree: 1})
		check(t, err)
		check(t, s.Close())
	}
}

// inodesOn makes all but n inodes of a small filesystem used, and returns a
// directory on it and what gives them back.
func inodesOn(t *testing.T, n int) (dir string, giveBack func()) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=100m,nr_inodes=64"); err != nil {
		hosttest.Need(t, fmt.Errorf("mount a tmpfs: %w", err))
	}
	t.Cleanup(func() { check(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	var used []string
	for {
		var st unix.Statfs_t
		check(t, unix.Statfs(dir, &st))
		if int(st.Ffree) <= n {
			break
		}
		used = append(used, filepath.Join(dir, fmt.Sprint("used", len(used))))
		check(t, os.WriteFile(used[len(used)-1], nil, 0o600))
	}
	return dir, func() {
		for _, name := range used {
			check(t, os.Remove(name))
		}
	}
}
