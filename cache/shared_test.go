//go:build linux

package cache

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/cache/powercut"
)

// openShared opens dir with a state directory of its own.
func openShared(t testing.TB, dir string) *Store {
	t.Helper()
	return open(t, dir, Options{State: filepath.Join(t.TempDir(), "made", "by", "open")})
}

func TestStateApart(t *testing.T) {
	s := openShared(t, t.TempDir())
	work := s.workPath()
	wantDir(t, filepath.Join(s.opts.State, ".dlfs"), "ballast", "db", "lock", "output", "writes")
	wantDir(t, filepath.Join(s.Path(), ".dlfs"), filepath.Base(work))
	a, b := create(t, s, "sub/a", blobSize), create(t, s, "b", blobSize)
	putAll(t, a)
	check(t, publish(t, a))
	wantFile(t, s, "sub/a", blobSize)
	wantDir(t, work, aliveName)
	put(t, b, 1, 3)
	syncNow(t, s)
	wantDir(t, work, b.id(), aliveName)

	s = reopen(t, s)
	if s.workPath() != work || !s.IsShared() {
		t.Fatalf("unfinished files are in %s after they were in %s", s.workPath(), work)
	}
	wantPublished(t, s, "sub/a", a.Generation())
	b = lookup(t, s, "b")
	wantBlocks(t, b, 1, 3)
	putAll(t, b)
	check(t, publish(t, b))
	check(t, s.Close())
	wantDir(t, filepath.Join(s.Path(), ".dlfs")) // nothing is unfinished
	s = open(t, s.Path(), s.opts)
	wantPublished(t, s, "b", b.Generation())
	if s.workPath() != work {
		t.Errorf("unfinished files are in %s after they were in %s", s.workPath(), work)
	}
}

// TestStateBelongsToOneOutput: what the index says is of one output directory.
func TestStateBelongsToOneOutput(t *testing.T) {
	s := openShared(t, t.TempDir())
	put(t, create(t, s, "a", blobSize), 0)
	check(t, s.Close())
	for _, tt := range []struct{ dir, state, want string }{
		{t.TempDir(), s.opts.State, "holds the state of " + s.Path() + "; give each output directory a state directory of its own"},
		{s.opts.State, "", "it holds the state of " + s.Path()},
		{s.Path(), s.Path(), "must be another one than the output directory"},
	} {
		if s, err := Open(tt.dir, Options{State: tt.state}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("open %s with %q: %v", tt.dir, tt.state, err)
			if err == nil {
				check(t, s.Close())
			}
		}
	}
	link := filepath.Join(t.TempDir(), "link")
	check(t, os.Symlink(s.Path(), link))
	wantBlocks(t, lookup(t, open(t, link, s.opts), "a"), 0)
}

// TestStateIsInUse: one state directory is for one process at a time.
func TestStateIsInUse(t *testing.T) {
	s := openShared(t, t.TempDir())
	if _, err := Open(s.Path(), s.opts); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}

// TestReadOnlyWithStateApart asks a state that is open by its own name, and by that of
// its output directory.
func TestReadOnlyWithStateApart(t *testing.T) {
	s := openShared(t, t.TempDir())
	a, b := create(t, s, "a", blobSize), create(t, s, "b", blobSize)
	putAll(t, a)
	check(t, publish(t, a))
	put(t, b, 2)
	syncNow(t, s)
	for _, dir := range []string{s.opts.State, s.Path()} {
		ro, err := OpenReadOnly(dir, Options{State: map[bool]string{true: s.opts.State}[dir == s.Path()]})
		check(t, err)
		if ro.Path() != s.Path() {
			t.Errorf("the state of %s is taken for that of %s", s.Path(), ro.Path())
		}
		got, err := ro.Lookup("a")
		check(t, err)
		if !got.Published() {
			t.Error("a finished file is not found")
		}
		got, err = ro.Lookup("b")
		check(t, err)
		check(t, got.Acquire())
		wantBlocks(t, got, 2)
		got.Release()
		check(t, ro.Close())
	}
}

// TestTwins has two processes fetch one file at the same time.
func TestTwins(t *testing.T) {
	for _, size := range []int64{0, 1, blobSize, 40*BlockSize + 1} {
		dir := t.TempDir()
		one, two := openShared(t, dir), openShared(t, dir)
		a, b := create(t, one, "sub/a", size), create(t, two, "sub/a", size)
		putAll(t, a)
		putAll(t, b)
		check(t, publish(t, a))
		check(t, publish(t, b))
		for _, s := range []*Store{one, two} {
			wantFile(t, s, "sub/a", size)
			wantDir(t, s.workPath(), aliveName)
		}
		wantBlocks(t, b, blocks(0, b.geo.blocks())...) // by who had it open
		wantPublished(t, reopen(t, one), "sub/a", a.Generation())
		wantPublished(t, reopen(t, two), "sub/a", b.Generation())
	}
}

// TestNoTwins has something else stand where a file is to be published.
func TestNoTwins(t *testing.T) {
	other := pattern("a", 0, blobSize)
	other[blobSize-1]++
	for want, plant := range map[string]func(path string) error{
		"was put there meanwhile with other bytes": func(path string) error { return os.WriteFile(path, other, 0o644) },
		"bytes where the origin has":               func(path string) error { return os.WriteFile(path, other[1:], 0o644) },
		"is not a regular file":                    func(path string) error { return os.Symlink("nowhere", path) },
	} {
		s := openShared(t, t.TempDir())
		b := create(t, s, "a", blobSize)
		putAll(t, b)
		path := filepath.Join(s.Path(), "a")
		check(t, plant(path))
		inTheWay := new(InTheWayError)
		if err := publish(t, b); !errors.As(err, &inTheWay) || !strings.Contains(err.Error(), want) {
			t.Errorf("publish: %v, want: %s", err, want)
		}
		wantBlocks(t, b, 0, 1, 2, 3)
		check(t, os.Remove(path))
		check(t, publish(t, b))
		wantFile(t, s, "a", blobSize)
	}
}

// TestTwinOfUnknownSize: that a file is the same is known once it has ended.
func TestTwinOfUnknownSize(t *testing.T) {
	dir := t.TempDir()
	for n, tail := range []string{"", "", "more"} {
		s := openShared(t, dir)
		st, err := s.Stream("a", Version{Size: UnknownSize, LastModified: lastModified})
		check(t, err)
		check(t, st.Append(append(pattern("a", 0, blobSize), tail...)))
		b, err := st.Finish()
		check(t, err)
		err = publish(t, b)
		if inTheWay := new(InTheWayError); n < 2 && err != nil || n == 2 && !errors.As(err, &inTheWay) {
			t.Errorf("process %d: %v", n, err)
		}
		wantFile(t, s, "a", blobSize)
	}
}

// TestDeathBetweenLinkAndUnlink is of a filesystem that renames by link. What is
// published stays: other processes may have adopted it.
func TestDeathBetweenLinkAndUnlink(t *testing.T) {
	s := openShared(t, t.TempDir())
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	check(t, s.Close())
	check(t, os.Link(filepath.Join(s.workPath(), b.id()), filepath.Join(s.Path(), "a")))
	before, err := os.Stat(filepath.Join(s.Path(), "a"))
	check(t, err)
	s = open(t, s.Path(), s.opts)
	wantPublished(t, s, "a", b.Generation())
	after, err := os.Stat(filepath.Join(s.Path(), "a"))
	check(t, err)
	if !os.SameFile(before, after) {
		t.Error("the file is another one")
	}
	wantDir(t, s.workPath(), aliveName)
}

// TestLostState is of a machine that is gone, with its state. Another one adopts what it
// has published, and removes what it has not, but only once it has not been alive for
// orphanAge.
func TestLostState(t *testing.T) {
	dir := t.TempDir()
	gone := openShared(t, dir)
	a := create(t, gone, "a", blobSize)
	putAll(t, a)
	check(t, publish(t, a))
	put(t, create(t, gone, "b", blobSize), 1)
	syncNow(t, gone)
	work := gone.workPath()

	s := openShared(t, dir)
	if b := create(t, s, "a", blobSize); !b.Published() {
		t.Error("what the other one has published is not adopted")
	}
	putAll(t, create(t, s, "b", blobSize))
	s = reopen(t, s)
	if _, err := os.Stat(work); err != nil {
		t.Errorf("what was alive just now was removed: %v", err)
	}
	age := func(path string, by time.Duration) {
		then := time.Now().Add(-by)
		check(t, os.Chtimes(path, then, then))
	}
	age(filepath.Join(work, aliveName), orphanAge-time.Minute)
	s = reopen(t, s)
	if _, err := os.Stat(work); err != nil {
		t.Errorf("what was alive a day ago was removed: %v", err)
	}
	age(filepath.Join(work, aliveName), orphanAge+time.Minute)
	unborn := filepath.Join(dir, ".dlfs", "w-0123456789abcdef") // it died before it wrote alive
	foreign := filepath.Join(dir, ".dlfs", "w-0123456789abcde") // no directory of dlfs
	for _, d := range []string{unborn, foreign} {
		check(t, os.Mkdir(d, 0o700))
		age(d, orphanAge+time.Minute)
	}
	var log logLines
	s.opts.Log = log.logger()
	s = reopen(t, s)
	log.want(t, 2, "unfinished files of a process that is gone were removed")
	wantDir(t, filepath.Join(dir, ".dlfs"), filepath.Base(foreign), filepath.Base(s.workPath()))
	wantFile(t, s, "a", blobSize)
	if !gone.IsRemoved() {
		t.Error("the process whose files were removed does not know it")
	}
}

// TestStateGoesOnWithoutItsWork is of a state directory whose unfinished files another
// process has removed.
func TestStateGoesOnWithoutItsWork(t *testing.T) {
	s := openShared(t, t.TempDir())
	put(t, create(t, s, "a", blobSize), 1)
	check(t, s.Close())
	check(t, os.RemoveAll(s.workPath()))
	s = open(t, s.Path(), s.opts)
	b := lookup(t, s, "a")
	wantBlocks(t, b)
	putAll(t, b)
	check(t, publish(t, b))
	wantFile(t, s, "a", blobSize)
}

func TestAliveIsWrittenAgain(t *testing.T) {
	s := openShared(t, t.TempDir())
	alive := filepath.Join(s.workPath(), aliveName)
	past := time.Now().Add(-time.Hour)
	check(t, os.Chtimes(alive, past, past))
	s.keepAlive()
	if info, err := os.Stat(alive); err != nil || !info.ModTime().Equal(past) {
		t.Errorf("alive was written too early: %v", err)
	}
	s.shared.told = past
	s.keepAlive()
	if info, err := os.Stat(alive); err != nil || !info.ModTime().After(past) {
		t.Errorf("alive was not written: %v", err)
	}
}

// TestDamagedIndexOfStateApart: what the index does not know any more is kept.
func TestDamagedIndexOfStateApart(t *testing.T) {
	s := openShared(t, t.TempDir())
	b := create(t, s, "a", blobSize)
	put(t, b, 1)
	check(t, s.Close())
	check(t, os.RemoveAll(filepath.Join(s.opts.State, ".dlfs", "db")))
	s = open(t, s.Path(), s.opts)
	wantDir(t, s.workPath(), aliveName)
	kept, err := filepath.Glob(filepath.Join(s.Path(), ".dlfs", "blobs.kept-*", b.id()))
	if err != nil || len(kept) != 1 {
		t.Errorf("kept: %q, %v", kept, err)
	}
}

// TestStateApartOfAnotherUser is refused as DIR/.dlfs is.
func TestStateApartOfAnotherUser(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	dir, state := t.TempDir(), t.TempDir()
	check(t, os.Mkdir(filepath.Join(state, ".dlfs"), 0o700))
	check(t, os.Chown(filepath.Join(state, ".dlfs"), 65534, 65534))
	if _, err := Open(dir, Options{State: state}); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("state of another user: %v", err)
	}
	wantDir(t, filepath.Join(state, ".dlfs"))
}

// TestStateDiskIsFull: the disk of the state has room of its own to lack.
func TestStateDiskIsFull(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	state := t.TempDir()
	check(t, unix.Mount("none", state, "tmpfs", 0, "size=40m"))
	defer unix.Unmount(state, unix.MNT_DETACH)
	opts := Options{State: state, MinFree: 64 << 20, SyncEvery: time.Hour}
	s, err := Open(t.TempDir(), opts) // MinFree is of the disk for blocks
	check(t, err)
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	check(t, publish(t, b))
	check(t, s.Close())

	check(t, os.WriteFile(filepath.Join(state, "filler"), make([]byte, 34<<20), 0o600))
	_, err = Open(s.Path(), opts)
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "disk of the state directory is full") {
		t.Errorf("open: %v", err)
	}
	check(t, os.Remove(filepath.Join(state, "filler")))
	s, err = Open(s.Path(), opts)
	check(t, err)
	check(t, s.Close())
}

// TestSharedDisk has two processes fetch the same files to a disk without locks, shared
// mappings and flags of renameat2(2), and kills one of them again and again.
func TestSharedDisk(t *testing.T) {
	hosttest.Need(t, hosttest.FUSE())
	point := t.TempDir()
	unmount, err := powercut.New().MountShared(point)
	check(t, err)
	defer func() { check(t, unmount()) }()
	sharer := func(state string, killAt int) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), os.Args[0], filepath.Join(point, "out"), state, fmt.Sprint(killAt))
		cmd.Env = append(os.Environ(), role+"=sharer")
		return cmd
	}
	steady := sharer(t.TempDir(), 0)
	var said strings.Builder
	steady.Stdout, steady.Stderr = &said, &said
	check(t, steady.Start())
	mortal := t.TempDir()
	for killAt := 1; killAt < 6; killAt++ { // each time with what the last life has left
		if out, err := sharer(mortal, killAt).CombinedOutput(); err == nil || len(out) > 0 {
			t.Errorf("killed at %d: %v: %s", killAt, err, out)
		}
	}
	for _, state := range []string{mortal, t.TempDir()} {
		if out, err := sharer(state, 0).CombinedOutput(); err != nil {
			t.Errorf("with state %s: %v: %s", state, err, out)
		}
	}
	if err := steady.Wait(); err != nil {
		t.Errorf("%v: %s", err, &said)
	}
}
