package cache

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// replacing returns a store with a published file whose block 1 is bad, and
// the blob that is to replace it, without that block.
func replacing(t *testing.T) (*Store, *Blob) {
	t.Helper()
	s := open(t, t.TempDir(), Options{})
	b, bad := badBlob(t, s, "sub/a", true, 1)
	return s, redo(t, b, bad)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	check(t, err)
	return content
}

// The old file stays, byte for byte, until the new one takes its place; who has it
// open goes on reading it.
func TestReplaceKeepsTheOldFileUntilItIsReplaced(t *testing.T) {
	s, again := replacing(t)
	path := filepath.Join(s.Path(), "sub/a")
	old := readFile(t, path)
	reader, err := os.Open(path)
	check(t, err)
	defer reader.Close()
	putBad(t, again, 1) // and is found to be bad once more
	again = redo(t, again, []Extent{{BlockSize, 1}})
	for range 2 {
		syncNow(t, s)
		s = reopen(t, s)
		if again = lookup(t, s, "sub/a"); !again.Replaces() || !bytes.Equal(readFile(t, path), old) {
			t.Fatalf("replaces %v, or the old file is another one", again.Replaces())
		}
	}
	put(t, again, 1)
	check(t, publish(t, again))
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, blobsOf(s))
	got := make([]byte, blobSize)
	if _, err := reader.ReadAt(got, 0); err != nil || !bytes.Equal(got, old) {
		t.Errorf("who reads the old file reads other bytes, %v", err)
	}
	again = lookup(t, reopen(t, s), "sub/a")
	if !again.Published() || again.Replaces() {
		t.Errorf("published %v, replaces %v", again.Published(), again.Replaces())
	}
}

// Only the file that was found to be wrong is replaced.
func TestReplaceLeavesAnotherFileAlone(t *testing.T) {
	for what, put := range map[string]func(t *testing.T, path string){
		"put in its place": func(t *testing.T, path string) {
			check(t, os.WriteFile(path+".new", make([]byte, blobSize), 0o644))
			check(t, os.Rename(path+".new", path))
		},
		"written to": func(t *testing.T, path string) {
			check(t, os.WriteFile(path, make([]byte, blobSize), 0o644))
		},
		"a link": func(t *testing.T, path string) {
			check(t, os.Rename(path, path+".old"))
			check(t, os.Symlink("a.old", path))
		},
		"a directory": func(t *testing.T, path string) {
			check(t, os.Remove(path))
			check(t, os.Mkdir(path, 0o755))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, again := replacing(t)
			path := filepath.Join(s.Path(), "sub/a")
			put(t, path)
			before, err := os.Lstat(path)
			check(t, err)
			putAll(t, again)
			var inTheWay *InTheWayError
			if err := publish(t, again); !errors.As(err, &inTheWay) {
				t.Errorf("published: %v", err)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || after.ModTime() != before.ModTime() {
				t.Errorf("%v is there now, %v", after, err)
			}
			check(t, os.RemoveAll(path))
			check(t, publish(t, again))
			wantFile(t, s, "sub/a", blobSize)
		})
	}
}

// A file that is put there between the check and the exchange gets its name back.
func TestExchangeWithAnotherFileIsUndone(t *testing.T) {
	s, again := replacing(t)
	putAll(t, again)
	syncNow(t, s)
	path := filepath.Join(s.Path(), "sub/a")
	old := again.toReplace()
	check(t, os.WriteFile(path, []byte("mine"), 0o644))
	dir, err := s.root.Open("sub")
	check(t, err)
	defer dir.Close()
	if err := s.exchange(again, old, dir, "a"); !errors.Is(err, os.ErrExist) {
		t.Errorf("exchanged: %v", err)
	}
	if got := readFile(t, path); string(got) != "mine" {
		t.Errorf("%q is there now", got)
	}
	wantDir(t, blobsOf(s), again.id())
}

// A crash after the exchange and before its record leaves the old file under the
// name of the blob's.
func TestCrashAfterAnExchange(t *testing.T) {
	s, again := replacing(t)
	putAll(t, again)
	syncNow(t, s)
	check(t, again.prepare(true))
	check(t, again.force(true))
	check(t, swapNames(unix.AT_FDCWD, filepath.Join(blobsOf(s), again.id()), unix.AT_FDCWD, filepath.Join(s.Path(), "sub/a")))
	s = reopen(t, s)
	after := lookup(t, s, "sub/a")
	if !after.Published() || after.Replaces() || after.Generation() != again.Generation() {
		t.Fatalf("published %v, replaces %v", after.Published(), after.Replaces())
	}
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, blobsOf(s))
	wantPublished(t, reopen(t, s), "sub/a", again.Generation())
}

// A file under blobs/ that is gone is fetched again, and the old one still stays.
func TestReplacementIsGone(t *testing.T) {
	s, again := replacing(t)
	syncNow(t, s)
	check(t, os.Remove(filepath.Join(blobsOf(s), again.id())))
	s = reopen(t, s)
	after := lookup(t, s, "sub/a")
	if after.Present() != 0 || !after.Replaces() || after.Generation() == again.Generation() {
		t.Fatalf("%d bytes are present, replaces %v", after.Present(), after.Replaces())
	}
	putAll(t, after)
	check(t, publish(t, after))
	wantFile(t, s, "sub/a", blobSize)
}

// The origin may have another version by now. The old file is neither adopted for
// it nor in its way.
func TestReplaceByAnotherVersion(t *testing.T) {
	for _, size := range []int64{blobSize, BlockSize + 1} {
		s, again := replacing(t)
		again.Abandon()
		other, err := s.Create("sub/a", Version{Size: size, ETag: `"other"`, LastModified: lastModified})
		check(t, err)
		acquire(t, other)
		if other.Published() || !other.Replaces() {
			t.Fatalf("published %v, replaces %v", other.Published(), other.Replaces())
		}
		syncNow(t, s)
		s = reopen(t, s)
		other = lookup(t, s, "sub/a")
		putAll(t, other)
		check(t, publish(t, other))
		wantFile(t, s, "sub/a", size)
	}
}

func TestRevert(t *testing.T) {
	s, again := replacing(t)
	again.SetNote(Note{Refuted: "sha256:1"})
	syncNow(t, s)
	s = reopen(t, s)
	again = lookup(t, s, "sub/a")
	if got := again.Note().Refuted; got != "sha256:1" {
		t.Errorf("refuted %q", got)
	}
	old := readFile(t, filepath.Join(s.Path(), "sub/a"))
	kept, err := again.Revert()
	check(t, err)
	if !kept.Published() || !kept.Complete() || kept.Replaces() || kept.Note() != (Note{}) {
		t.Errorf("published %v, complete %v, note %v", kept.Published(), kept.Complete(), kept.Note())
	}
	if !bytes.Equal(readFile(t, filepath.Join(s.Path(), "sub/a")), old) {
		t.Error("the file is another one")
	}
	again.Release()
	syncNow(t, s)
	s = reopen(t, s)
	if after := lookup(t, s, "sub/a"); !after.Published() || after.Generation() != kept.Generation() {
		t.Errorf("published %v, generation %x", after.Published(), after.Generation())
	}
	wantDir(t, blobsOf(s))
}

// The file that takes the place of another has its permissions and, where this user may
// give files away, its owner; after a crash between the two, too.
func TestReplaceKeepsPermissionsAndOwner(t *testing.T) {
	for _, crashed := range []bool{false, true} {
		s, again := replacing(t)
		path := filepath.Join(s.Path(), "sub/a")
		uid, gid := os.Getuid(), os.Getgid()
		if uid == 0 {
			uid, gid = 1234, 5678
		}
		check(t, errors.Join(os.Chown(path, uid, gid), os.Chmod(path, 0o440)))
		putAll(t, again)
		if crashed {
			syncNow(t, s)
			check(t, again.prepare(true))
			check(t, again.force(true))
			check(t, swapNames(unix.AT_FDCWD, filepath.Join(blobsOf(s), again.id()), unix.AT_FDCWD, path))
			s = reopen(t, s)
			lookup(t, s, "sub/a")
		} else {
			check(t, publish(t, again))
		}
		wantFile(t, s, "sub/a", blobSize)
		var st unix.Stat_t
		check(t, unix.Stat(path, &st))
		if st.Mode&0o7777 != 0o440 || int(st.Uid) != uid || int(st.Gid) != gid {
			t.Errorf("crashed %v: mode %o, owner %d:%d", crashed, st.Mode&0o7777, st.Uid, st.Gid)
		}
		wantDir(t, blobsOf(s))
	}
}
