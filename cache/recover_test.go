package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
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
			log.wantLines(t, slices.Repeat([]string{"state database has lost", "they are kept"}, damage.lines)...)
			check(t, s.Close())
			open(t, killed, Options{Log: log.logger()})
			log.wantNone(t)
		})
	}
}

// TestLostTable: a manifest that is gone or was cut does not name a table any more
// that it did. That is damage, and costs nothing: the table is read without it.
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
			log.wantLines(t, "was set aside", "was rebuilt")
			wantBlocks(t, lookup(t, s, "late"), 1)
			wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
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

// TestQuarantine damages the database beyond opening. It is set aside, and all that
// its tables and logs have is in the new one.
func TestQuarantine(t *testing.T) {
	for what, damage := range map[string]func(state string) error{
		"garbage MANIFEST": func(state string) error {
			return os.WriteFile(state+"/db/MANIFEST", []byte("garbage"), 0o600)
		},
		"empty MANIFEST":    func(state string) error { return os.Truncate(state+"/db/MANIFEST", 0) },
		"empty KEYREGISTRY": func(state string) error { return os.Truncate(state+"/db/KEYREGISTRY", 0) },
		"short KEYREGISTRY": func(state string) error { return os.Truncate(state+"/db/KEYREGISTRY", 17) },
		"no KEYREGISTRY": func(state string) error {
			return errors.Join(os.Remove(state+"/db/KEYREGISTRY"), os.Mkdir(state+"/db/KEYREGISTRY", 0o700))
		},
		"a rebuild that did not end": func(state string) error {
			return errors.Join(os.WriteFile(state+"/db/MANIFEST", []byte("garbage"), 0o600),
				os.Rename(state+"/db", state+"/db.broken-20200101T000000Z"), os.Mkdir(state+"/db", 0o700),
				os.WriteFile(state+"/rebuilding", []byte("db.broken-20200101T000000Z"), 0o600),
				os.WriteFile(state+"/db/00001.mem", []byte("half a copy"), 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			dir := closedStore(t)
			state := filepath.Join(dir, ".dlfs")
			check(t, os.Mkdir(state+"/db.broken-20190101T000000Z", 0o700))
			check(t, damage(state))
			var log logLines
			s := open(t, dir, Options{Log: log.logger()})
			if what == "a rebuild that did not end" {
				log.wantLines(t, "was rebuilt")
			} else {
				log.wantLines(t, "was set aside", "was rebuilt")
				aside, err := filepath.Glob(state + "/db.broken-*")
				check(t, err)
				if len(aside) != 1 || strings.Contains(aside[0], "20190101") {
					t.Errorf("set aside: %q", aside)
				}
			}
			wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
			wantPublished(t, s, "finished", lookup(t, s, "finished").Generation())
			if kept, err := filepath.Glob(state + "/blobs.kept-*"); len(kept) > 0 || err != nil {
				t.Errorf("kept for no record: %q, %v", kept, err)
			}
			log.wantNone(t)
			s = reopen(t, s)
			wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		})
	}
}

// TestDeathsAreNoDamage: starts that died while they opened the database are told,
// and nothing else: a limit of memory or of threads may have killed them.
func TestDeathsAreNoDamage(t *testing.T) {
	for deaths, lines := range map[string]int{"1": 0, "2": 0, "3": 1, "17\n": 1, "": 0, "x": 0} {
		dir := closedStore(t)
		mark := filepath.Join(dir, ".dlfs", "opening")
		check(t, os.WriteFile(mark, []byte(deaths), 0o600))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.want(t, lines, "dlfs died each time")
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		log.wantNone(t)
		if _, err := os.Stat(mark); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the mark stays: %v", err)
		}
	}
}

// TestNothingIsChanged: a database that does not open for a reason that proves no
// damage is left as it is, and opens when the reason has gone.
func TestNothingIsChanged(t *testing.T) {
	for what, c := range map[string]struct {
		do   func(t *testing.T, db string) (undo func() error)
		want string
	}{
		"locked": {func(t *testing.T, db string) func() error {
			f, err := os.Open(db)
			check(t, err)
			check(t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
			return f.Close
		}, "resource temporarily unavailable"},
		"a log of another program": {func(t *testing.T, db string) func() error {
			check(t, os.WriteFile(db+"/abc.mem", []byte("mine"), 0o600))
			return func() error { return os.Remove(db + "/abc.mem") }
		}, ".dlfs/db/abc.mem is no file of dlfs; move it away"},
		"a pipe that is called as a log": {func(t *testing.T, db string) func() error {
			check(t, unix.Mkfifo(db+"/00099.mem", 0o600))
			return func() error { return os.Remove(db + "/00099.mem") }
		}, ".dlfs/db/00099.mem: no regular file; move it away"},
	} {
		t.Run(what, func(t *testing.T) {
			dir := closedStore(t)
			undo := c.do(t, filepath.Join(dir, ".dlfs", "db"))
			before := treeOf(t, filepath.Join(dir, ".dlfs"))
			var log logLines
			if s, err := Open(dir, Options{Log: log.logger()}); err == nil {
				s.Close()
				t.Fatal("it opens")
			} else if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "nothing was changed") || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want %q", err, c.want)
			}
			log.wantNone(t)
			if after := treeOf(t, filepath.Join(dir, ".dlfs")); !slices.Equal(before, after) {
				t.Errorf("the state was\n%q\nand is\n%q", before, after)
			}
			check(t, undo())
			wantBlocks(t, lookup(t, open(t, dir, Options{}), "unfinished"), 0, 2)
		})
	}
}

// TestNoRegularFileInTheState: what stands in the place of a file of the state, and is no
// regular file, is an error at once, and is left alone.
func TestNoRegularFileInTheState(t *testing.T) {
	for _, name := range []string{"opening", rebuilding, outputName, ballastName, "lock", "db"} {
		for kind, plant := range map[string]func(path string) error{
			"pipe":      func(path string) error { return unix.Mkfifo(path, 0o600) },
			"directory": func(path string) error { return os.Mkdir(path, 0o700) },
			"link":      func(path string) error { return os.Symlink("db/MANIFEST", path) },
		} {
			if name == "db" && kind == "directory" {
				continue // which it is
			}
			t.Run(name+" is a "+kind, func(t *testing.T) {
				dir := closedStore(t)
				path, old := filepath.Join(dir, ".dlfs", name), filepath.Join(t.TempDir(), "old")
				if err := os.Rename(path, old); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				check(t, plant(path))
				before := treeOf(t, filepath.Join(dir, ".dlfs"))
				if s, err := Open(dir, Options{}); err == nil {
					s.Close()
					t.Fatal("it opens")
				} else if !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n") {
					t.Errorf("got %q, which does not name it in one line", err)
				}
				if after := treeOf(t, filepath.Join(dir, ".dlfs")); name != ballastName && !slices.Equal(before, after) {
					t.Errorf("the state was\n%q\nand is\n%q", before, after)
				}
				check(t, os.Remove(path))
				if err := os.Rename(old, path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				wantBlocks(t, lookup(t, open(t, dir, Options{}), "unfinished"), 0, 2)
			})
		}
	}
}

// treeOf returns the names of everything under dir that an Open may not take away
// or make, sorted.
func treeOf(t *testing.T, dir string) (names []string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name := strings.TrimPrefix(path, dir)
		info, err2 := e.Info()
		if isEmptyLog := err2 == nil && info.Size() == 0 && isLog(e.Name()); name != "/lock" && name != "/ballast" && !isEmptyLog {
			names = append(names, name)
		}
		return err
	}))
	return names
}

// TestOtherFilesInTheDatabase: files of other programs that badger does not take for
// its own are left alone.
func TestOtherFilesInTheDatabase(t *testing.T) {
	dir := closedStore(t)
	db := filepath.Join(dir, ".dlfs", "db")
	for _, name := range []string{"MANIFEST~", "00001.mem.bak", ".nfs0001", "x.sst"} {
		check(t, os.WriteFile(filepath.Join(db, name), []byte("mine"), 0o600))
	}
	check(t, os.Mkdir(db+"/000099.sst", 0o700))
	var log logLines
	s := open(t, dir, Options{Log: log.logger()})
	wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
	log.wantNone(t)
	check(t, s.Close())
	if got, err := os.ReadFile(db + "/MANIFEST~"); string(got) != "mine" || err != nil {
		t.Errorf("the file of another program holds %q, %v", got, err)
	}
}

// wantNewState checks that a store of closedStore lost its index and nothing
// else, and that it works. Blobs that the index does not know any more are kept.
func wantNewState(t *testing.T, s *Store, kept int) {
	t.Helper()
	wantDir(t, blobsOf(s))
	blobs, err := filepath.Glob(filepath.Join(s.Path(), ".dlfs", "blobs.kept-*", "*"))
	check(t, err)
	if len(blobs) != kept {
		t.Errorf("kept: %q, want %d", blobs, kept)
	}
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

func TestDatabaseIsGone(t *testing.T) {
	dir := closedStore(t)
	check(t, os.RemoveAll(filepath.Join(dir, ".dlfs", "db")))
	wantNewState(t, open(t, dir, Options{}), 1)
}

func TestStateIsGone(t *testing.T) {
	dir := closedStore(t)
	check(t, os.RemoveAll(filepath.Join(dir, ".dlfs")))
	wantNewState(t, open(t, dir, Options{}), 0)
}

// TestTableIsTold: a table that badger has made of its log since the last write gets
// into the file in any case.
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
