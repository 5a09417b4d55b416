package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLostWrites: an index that has lost what was written to it last, or all, says
// so once, and nothing else does.
func TestLostWrites(t *testing.T) {
	for what, damage := range map[string]struct {
		lines int
		do    func(state string) error
	}{
		"log cut":       {1, func(state string) error { return os.Truncate(state+"/db/00001.mem", 100) }},
		"index emptied": {1, func(state string) error { return errors.Join(os.RemoveAll(state+"/db"), os.Mkdir(state+"/db", 0o700)) }},
		"count removed": {0, func(state string) error { return os.Remove(state + "/" + countFile) }},
		"count cut":     {0, func(state string) error { return os.Truncate(state+"/"+countFile, 5) }},
		"nothing":       {0, func(state string) error { return nil }},
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{})
			b := create(t, s, "unfinished", 2*BlockSize)
			put(t, b, 1)
			syncNow(t, s)
			killed := t.TempDir()
			check(t, copyDir(killed, dir))
			check(t, damage.do(filepath.Join(killed, ".dlfs")))
			var log logLines
			s = open(t, killed, Options{Log: log.logger()})
			log.want(t, damage.lines, "state database has lost")
			check(t, s.Close())
			open(t, killed, Options{Log: log.logger()})
			log.wantNone(t)
		})
	}
}

// TestLostTable: a manifest that is gone or was cut has a table gone with it, which
// is said once, though the log that was begun since is whole.
func TestLostTable(t *testing.T) {
	for what, damage := range map[string]func(manifest string) error{
		"manifest removed": os.Remove,
		"manifest cut":     func(manifest string) error { return os.Truncate(manifest, 20) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := closedStore(t)
			s := open(t, dir, Options{})
			put(t, create(t, s, "late", 2*BlockSize), 1)
			syncNow(t, s)
			killed := t.TempDir()
			check(t, copyDir(killed, dir))
			check(t, damage(filepath.Join(killed, ".dlfs", "db", "MANIFEST")))
			var log logLines
			s = open(t, killed, Options{Log: log.logger()})
			log.want(t, 1, "state database has lost")
			wantBlocks(t, lookup(t, s, "late"), 1)
			if b, err := s.Lookup("unfinished"); b != nil || err != nil {
				t.Errorf("what was in the table is known: %v, %v", b, err)
			}
			check(t, s.Close())
			open(t, killed, Options{Log: log.logger()})
			log.wantNone(t)
		})
	}
}

// TestCountIsOfNoUse: what is wrong with the count alone costs nothing and is no
// loss of the index.
func TestCountIsOfNoUse(t *testing.T) {
	t.Run("a directory is in its place", func(t *testing.T) {
		dir := closedStore(t)
		path := filepath.Join(dir, ".dlfs", countFile)
		check(t, errors.Join(os.Remove(path), os.Mkdir(path, 0o700)))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.want(t, 1, "may go unnoticed")
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		check(t, s.Remember("key", "value"))
		log.wantNone(t)
	})
	t.Run("it is damaged in the index", func(t *testing.T) {
		dir := closedStore(t)
		counts, err := os.ReadFile(filepath.Join(dir, ".dlfs", countFile))
		check(t, err)
		sealed := seal(countKey, counts[:8])
		path := tableFiles(t, dir)[0]
		table, err := os.ReadFile(path)
		check(t, err)
		table[bytes.Index(table, sealed)] ^= 1
		check(t, os.WriteFile(path, table, 0o600))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		if strings.Contains(log.String(), "has lost") {
			t.Errorf("nothing is lost: %s", log.String())
		}
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
	})
}

// TestFailedWriteIsCounted: a write that failed may be in the log. The next one is
// told from it, and missed if it is lost.
func TestFailedWriteIsCounted(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	check(t, s.Remember("a", "1"))
	good := s.index.dir
	s.index.dir = closedFile(t)
	if err := s.Remember("b", "1"); err == nil {
		t.Fatal("the directory was forced to disk by a closed file")
	}
	s.index.dir = good
	wal := filepath.Join(".dlfs", "db", "00001.mem")
	before, err := os.ReadFile(filepath.Join(dir, wal))
	check(t, err)
	check(t, s.Remember("c", "1"))
	killed := t.TempDir()
	check(t, copyDir(killed, dir))
	check(t, os.WriteFile(filepath.Join(killed, wal), before, 0o600))
	var log logLines
	open(t, killed, Options{Log: log.logger()})
	log.want(t, 1, "state database has lost")
}

// TestEmptyFilesOfBadger leaves what a kill can leave. By itself, badger v4.9.6
// refuses both, and leaks goroutines as it does, so that is not shown here.
func TestEmptyFilesOfBadger(t *testing.T) {
	for _, name := range []string{"00099.mem", "000099.vlog"} {
		dir := closedStore(t)
		check(t, os.WriteFile(filepath.Join(dir, ".dlfs", "db", name), nil, 0o600))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		wantPublished(t, s, "finished", lookup(t, s, "finished").Generation())
		log.wantNone(t)
	}
}

// closedStore returns the directory of a store that holds a finished file and
// an unfinished one with blocks 0 and 2, and is closed.
func closedStore(t *testing.T) string {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	finished := create(t, s, "finished", blobSize)
	putAll(t, finished)
	check(t, publish(t, finished))
	put(t, create(t, s, "unfinished", blobSize), 0, 2)
	check(t, s.Close())
	return s.Path()
}

// TestQuarantine damages the database beyond opening.
func TestQuarantine(t *testing.T) {
	for what, damage := range map[string]func(state string) error{
		"garbage MANIFEST": func(state string) error {
			return os.WriteFile(state+"/db/MANIFEST", []byte("garbage"), 0o600)
		},
		"empty MANIFEST": func(state string) error { return os.Truncate(state+"/db/MANIFEST", 0) },
		"three deaths":   func(state string) error { return os.WriteFile(state+"/opening", []byte("3"), 0o600) },
		"more deaths":    func(state string) error { return os.WriteFile(state+"/opening", []byte("17\n"), 0o600) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := closedStore(t)
			state := filepath.Join(dir, ".dlfs")
			check(t, os.Mkdir(state+"/db.broken-20200101T000000Z", 0o700))
			check(t, damage(state))
			var log logLines
			s := open(t, dir, Options{Log: log.logger()})
			log.want(t, 1, "was set aside")
			aside, err := filepath.Glob(state + "/db.broken-*")
			check(t, err)
			if len(aside) != 1 || strings.Contains(aside[0], "20200101") {
				t.Errorf("set aside: %q", aside)
			}
			wantNewState(t, s)
			log.wantNone(t)
		})
	}
}

// wantNewState checks that a store of closedStore lost its index and nothing
// else, and that it works.
func wantNewState(t *testing.T, s *Store) {
	t.Helper()
	wantDir(t, blobsOf(s)) // what no record points at is swept
	for _, name := range []string{"finished", "unfinished"} {
		if b, err := s.Lookup(name); b != nil || err != nil {
			t.Fatalf("%q is known: %v, %v", name, b, err)
		}
	}
	if b := create(t, s, "finished", blobSize); !b.Published() {
		t.Error("the finished file is not adopted")
	}
	wantFile(t, s, "finished", blobSize)
	put(t, create(t, s, "unfinished", blobSize), 1)
	s = reopen(t, s)
	wantBlocks(t, lookup(t, s, "unfinished"), 1)
	wantPublished(t, s, "finished", lookup(t, s, "finished").Generation())
}

// TestFewDeaths: a start that died twice, or a mark nobody can read, is no
// reason to lose anything, and a start that lives wipes the slate.
func TestFewDeaths(t *testing.T) {
	dir := closedStore(t)
	mark := filepath.Join(dir, ".dlfs", "opening")
	for _, text := range []string{"1", "2", "", "x"} {
		check(t, os.WriteFile(mark, []byte(text), 0o600))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		log.wantNone(t)
		if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the mark stays: %v", err)
		}
		check(t, s.Close())
	}
}

func TestDatabaseIsGone(t *testing.T) {
	dir := closedStore(t)
	check(t, os.RemoveAll(filepath.Join(dir, ".dlfs", "db")))
	wantNewState(t, open(t, dir, Options{}))
}

func TestStateIsGone(t *testing.T) {
	dir := closedStore(t)
	check(t, os.RemoveAll(filepath.Join(dir, ".dlfs")))
	wantNewState(t, open(t, dir, Options{}))
}

// TestFailedOpen has Open fail after the database is open, on an orphan that
// cannot be removed. The next Open must find nothing held.
func TestFailedOpen(t *testing.T) {
	dir := closedStore(t)
	orphan := filepath.Join(dir, ".dlfs", "blobs", blobID(42))
	check(t, os.WriteFile(orphan, nil, 0o600))
	f, err := os.Open(orphan)
	check(t, err)
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE); err != nil {
		t.Skipf("no file can be made immutable here: %v", err)
	}
	var log logLines
	_, failed := Open(dir, Options{Log: log.logger()})
	check(t, unix.IoctlSetPointerInt(int(f.Fd()), unix.FS_IOC_SETFLAGS, 0))
	if failed == nil {
		t.Fatal("the orphan was removed")
	}
	wantBlocks(t, lookup(t, open(t, dir, Options{Log: log.logger()}), "unfinished"), 0, 2)
	log.wantNone(t)
}

// TestTableIsTold: a table that badger has made of its log since the last write gets
// into the file all the same.
func TestTableIsTold(t *testing.T) {
	dir := closedStore(t) // with a table
	s := open(t, dir, Options{SyncEvery: time.Millisecond})
	x := s.index
	x.writer.Lock()
	want := x.told
	x.tell(counts{want.writes, want.table - 1})
	x.writer.Unlock()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for sealed := seal(countKey, want.encode()); ; <-tick.C {
		got, err := os.ReadFile(filepath.Join(dir, ".dlfs", countFile))
		check(t, err)
		if bytes.Equal(got, sealed) {
			return
		}
	}
}
