package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReopenKeepsEverything(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "made", "by", "open"), Options{})
	a := create(t, s, "a", 3*chunkSize+1)
	empty := create(t, s, "b/empty", blobSize)
	want := []int64{0, chunkBlocks - 1, chunkBlocks, 2*chunkBlocks + 5, 3 * chunkBlocks}
	put(t, a, want...)
	for range 3 {
		s = reopen(t, s)
		b := lookup(t, s, "a")
		if b.Generation() != a.Generation() || b.Version() != a.Version() {
			t.Fatalf("blob of %+v came back as %+v", a.Version(), b.Version())
		}
		for _, i := range want {
			off, n := b.geo.extent(i, i+1)
			p := make([]byte, n)
			if _, err := b.ReadAt(p, off); err != nil || !slices.Equal(p, pattern("a", off, n)) {
				t.Fatalf("block %d does not read as what was put: %v", i, err)
			}
		}
		if b.Present() != 4*BlockSize+1 {
			t.Fatalf("%d bytes are present", b.Present())
		}
		if e := lookup(t, s, "b/empty"); e.Generation() != empty.Generation() || e.Present() != 0 {
			t.Fatalf("blob without blocks came back with %d bytes", e.Present())
		}
	}
	if b, err := s.Lookup("c"); b != nil || err != nil {
		t.Errorf("lookup of what was never created: %v, %v", b, err)
	}
}

// TestRoundsComeByThemselves waits for durability without calling Sync.
func TestRoundsComeByThemselves(t *testing.T) {
	for _, opts := range []Options{{SyncEvery: time.Millisecond}, {SyncBytes: 2 * BlockSize}} {
		b := create(t, open(t, t.TempDir(), opts), "a", 2*BlockSize)
		published := make(chan error)
		b.Publish(func(err error) { published <- err })
		putAll(t, b)
		check(t, <-published)
	}
}

func TestNewVersionIsANewBlob(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	old := create(t, s, "a", blobSize)
	putAll(t, old)
	syncNow(t, s)
	b, err := s.Create("a", Version{Size: blobSize, ETag: `"2"`})
	check(t, err)
	acquire(t, b)
	wantBlocks(t, b)
	put(t, b, 2)
	s = reopen(t, s)
	again := lookup(t, s, "a")
	if again.Version() != b.Version() {
		t.Fatalf("version %+v came back as %+v", b.Version(), again.Version())
	}
	wantBlocks(t, again, 2)
	wantDir(t, blobsOf(s), again.id()) // the old one is swept
}

func TestStateIsPrivate(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	put(t, create(t, s, "a", blobSize), 0)
	syncNow(t, s)
	wantDir(t, s.Path(), ".dlfs")
	wantDir(t, filepath.Join(s.Path(), ".dlfs"), "ballast", "blobs", "db", "lock", "writes")
	for _, name := range []string{".dlfs", ".dlfs/blobs", ".dlfs/db"} {
		info, err := os.Stat(filepath.Join(s.Path(), name))
		check(t, err)
		if info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

// TestStateIsClosedToOthers: a mode that lets others read is mended, once.
func TestStateIsClosedToOthers(t *testing.T) {
	for _, mode := range []fs.FileMode{0o755, 0o500, 0o711} {
		dir := closedStore(t)
		check(t, os.Chmod(filepath.Join(dir, ".dlfs"), mode))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.want(t, 1, "state directory was open to others")
		info, err := os.Stat(filepath.Join(dir, ".dlfs"))
		check(t, err)
		if info.Mode() != fs.ModeDir|0o700 {
			t.Errorf("mode %v became %v", mode, info.Mode())
		}
		reopen(t, s)
		log.wantNone(t)
	}
}

// TestStateKeepsItsMode stands for a filesystem without modes.
func TestStateKeepsItsMode(t *testing.T) {
	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	check(t, s.stateDir.Chmod(0o755))
	if err := unix.IoctlSetPointerInt(int(s.stateDir.Fd()), unix.FS_IOC_SETFLAGS, unix.STATX_ATTR_IMMUTABLE); err != nil {
		t.Skipf("no directory can be made immutable here: %v", err)
	}
	err := s.closeToOthers()
	check(t, unix.IoctlSetPointerInt(int(s.stateDir.Fd()), unix.FS_IOC_SETFLAGS, 0))
	check(t, err)
	log.want(t, 1, "its mode cannot be changed")
}

// TestStateOfAnotherUser is refused, to root as well: that user could have root
// write to any file, through links that badger follows.
func TestStateOfAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a directory another user's")
	}
	dir := closedStore(t)
	check(t, os.Chmod(filepath.Dir(dir), 0o755))
	openAs := func(user string) string {
		opener := exec.CommandContext(t.Context(), os.Args[0], dir, user)
		opener.Env = append(os.Environ(), role+"=opener")
		said, _ := opener.CombinedOutput() // what it said tells all
		return string(said)
	}
	if said := openAs("12345"); !strings.Contains(said, ".dlfs belongs to user 0 and this is user 12345; run as") {
		t.Errorf("root's state, opened by another: %q", said)
	}
	for _, name := range []string{".dlfs", ".dlfs/blobs", ".dlfs/db"} {
		check(t, os.Chown(filepath.Join(dir, name), 12345, -1))
		if said := openAs("0"); !strings.Contains(said, filepath.Base(name)+" belongs to user 12345 and this is user 0; run as") {
			t.Errorf("another's %s, opened by root: %q", name, said)
		}
		check(t, os.Chown(filepath.Join(dir, name), 0, -1))
	}
	if said := openAs("0"); said != "" {
		t.Errorf("root's own state: %q", said)
	}
}

// TestStatePathOutlivesARename stands for a mount over DIR: the old path leads
// elsewhere, and the store goes on.
func TestStatePathOutlivesARename(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	s := open(t, dir, Options{})
	check(t, os.Rename(dir, dir+".moved"))
	check(t, os.Mkdir(dir, 0o755))
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	check(t, publish(t, b))
	check(t, s.SetList([]Listed{{Name: "a"}}))
	if _, err := os.Stat(s.StatePath() + "/lock"); err != nil {
		t.Error(err)
	}
	check(t, s.Close())
	wantDir(t, dir)
	wantDir(t, dir+".moved", ".dlfs", "a")
}

func TestStateThatIsNotADirectory(t *testing.T) {
	elsewhere := t.TempDir()
	for name, plant := range map[string]func(path string) error{
		"link":          func(path string) error { return os.Symlink(elsewhere, path) },
		"dangling link": func(path string) error { return os.Symlink(elsewhere+"/none", path) },
		"file":          func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, place := range []string{".dlfs", ".dlfs/blobs"} {
				dir := t.TempDir()
				check(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, place)), 0o700))
				check(t, plant(filepath.Join(dir, place)))
				_, err := Open(dir, Options{})
				if err == nil || !strings.Contains(err.Error(), "is not a directory; move it away") {
					t.Errorf("open: %v", err)
				}
				wantDir(t, elsewhere)
			}
		})
	}
}

func TestInUse(t *testing.T) {
	s := open(t, t.TempDir(), Options{Owner: "the mount at /mnt"})
	holder := fmt.Sprintf("in use by process %d (the mount at /mnt)", os.Getpid())

	_, err := Open(s.Path(), Options{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), holder) {
		t.Errorf("open by this process: %v", err)
	}

	opener := exec.CommandContext(t.Context(), os.Args[0], s.Path())
	opener.Env = append(os.Environ(), role+"=opener")
	said, err := opener.CombinedOutput()
	if err == nil || !strings.Contains(string(said), holder) {
		t.Errorf("open by another process: %v, %q", err, said)
	}

	check(t, s.Close())
	s = open(t, s.Path(), Options{Owner: "me"}) // in fewer words
	_, err = Open(s.Path(), Options{})
	if holder := fmt.Sprintf("by process %d (me);", os.Getpid()); err == nil || !strings.Contains(err.Error(), holder) {
		t.Errorf("open after another owner: %v", err)
	}
	check(t, s.Close())
	opener = exec.CommandContext(t.Context(), os.Args[0], s.Path())
	opener.Env = append(os.Environ(), role+"=opener")
	if said, err := opener.CombinedOutput(); err != nil {
		t.Errorf("open after Close: %v, %q", err, said)
	}
}

// openerMain is the process that opens a store, perhaps as another user, and
// says what came of it.
func openerMain() int {
	if len(os.Args) > 2 {
		user, err := strconv.Atoi(os.Args[2])
		if err = errors.Join(err, syscall.Setuid(user)); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	s, err := Open(os.Args[1], Options{})
	if err == nil {
		err = s.Close()
	}
	if err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

func TestSyncGivesUp(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // select picks at random when both can go on
		if err := s.Sync(ctx); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("sync with a context that ended: %v", err)
		}
	}
	check(t, s.Close())
	if err := s.Sync(t.Context()); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("sync after Close: %v", err)
	}
}

// TestFloor: below the floor nothing is put, but what is present is still read,
// and the store can be opened.
func TestFloor(t *testing.T) {
	open(t, t.TempDir(), Options{MinFree: 1 << 60})
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	put(t, b, 0)
	free, err := s.Free()
	check(t, err)
	s.opts.MinFree = free + 1<<30
	err = b.Put(BlockSize, pattern("a", BlockSize, BlockSize))
	if !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("put below the floor: %v", err)
	}
	wantBlocks(t, b, 0)
	syncNow(t, s)
	s.opts.MinFree = 1
	putAll(t, b)
	check(t, publish(t, b))
}
