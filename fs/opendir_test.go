//go:build linux

package fs

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/fetch"
)

// manyOf adds n small files of a directory.
func (x *rig) manyOf(dir string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s/f%04d", dir, i))
		x.add(names[i], int64(1000+i))
	}
	return names
}

// countNames lists a directory of the mount and compares the number of names.
func (x *rig) countNames(dir string, want int) {
	x.tb.Helper()
	f, err := os.Open(x.path(dir))
	must(x.tb, err)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	must(x.tb, err)
	slices.Sort(names)
	if len(slices.Compact(names)) != want {
		x.tb.Errorf("%d names in %s, want %d", len(names), dir, want)
	}
}

// ls -l of a directory asks for each size. Where they are known, they come with
// the names.
func TestListingBringsWhatIsKnown(t *testing.T) {
	x := newRig(t)
	names := x.manyOf("d", 500)
	x.add("top", 5)
	x.config.Run = true // which loads what is known after a remount, and probes the rest
	x.start()
	for _, name := range append(names, "top") {
		_, err := os.Stat(x.path(name))
		must(t, err)
	}
	asked := x.Counts().Requests
	x.ask(rigRequest{Remount: true})
	nodes := 0
	for nodes < 2+len(names) && x.ctx.Err() == nil { // the root and d: until everything is loaded
		x.countNames("d", len(names))
		nodes = x.ask(rigRequest{}).Nodes
	}
	if nodes != 2+len(names) {
		t.Errorf("the kernel knows %d nodes of %d", nodes, 2+len(names))
	}
	for i, name := range names {
		info, err := os.Stat(x.path(name))
		must(t, err)
		if info.Size() != int64(1000+i) {
			t.Errorf("%s has %d bytes", name, info.Size())
		}
	}
	if now := x.Counts().Requests; now != asked {
		t.Errorf("%d requests for what is known", now-asked)
	}
	f := x.open("d/f0400")
	x.read(f, "d/f0400", 0, 2000)
	f.Close()
	x.stop()
}

// Listing what is not known asks no origin, and leaves nothing behind.
func TestListingProbesNothing(t *testing.T) {
	x := newRig(t)
	x.manyOf("d", 500)
	x.start()
	x.countNames("d", 500)
	if n := x.Counts().Requests; n != 0 {
		t.Errorf("%d requests", n)
	}
	if nodes := x.ask(rigRequest{}).Nodes; nodes != 2 {
		t.Errorf("the kernel knows %d nodes", nodes)
	}
	x.stop()
}

// A listing under way goes on as it began. A name that went since is not brought
// back by it: the kernel has been told that it is gone.
func TestListingWhileNamesGo(t *testing.T) {
	x := newRig(t)
	names := x.manyOf("d", 500)
	x.config.Prefetch, x.config.Run = fetch.PrefetchAll, true
	x.start()
	for _, name := range names {
		x.published(name)
	}
	d, err := os.Open(x.path("d"))
	must(t, err)
	defer d.Close()
	seen, err := d.Readdirnames(10)
	must(t, err)
	x.reload(names[:100]...)
	rest, err := d.Readdirnames(-1)
	must(t, err)
	if len(seen)+len(rest) != len(names) {
		t.Errorf("%d names, then %d", len(seen), len(rest))
	}
	for i, name := range names {
		_, err := os.Stat(x.path(name))
		if gone := os.IsNotExist(err); gone != (i >= 100) || err != nil && !gone {
			t.Errorf("%s: %v", name, err)
		}
	}
	x.stop()
}

func TestSeekInADirectory(t *testing.T) {
	x := newRig(t)
	x.manyOf("d", 300)
	x.start()
	fd, err := unix.Open(x.path("d"), unix.O_RDONLY|unix.O_DIRECTORY, 0)
	must(t, err)
	defer unix.Close(fd)
	list := func() (names []string) {
		buf := make([]byte, 4096)
		for {
			n, err := unix.ReadDirent(fd, buf)
			must(t, err)
			if n == 0 {
				return names
			}
			_, _, names = unix.ParseDirent(buf[:n], -1, names)
		}
	}
	all := list()
	if len(all) != 300 {
		t.Fatalf("%d names", len(all))
	}
	for _, at := range []int64{0, 1, 150, 299, 300} {
		_, err := unix.Seek(fd, at, unix.SEEK_SET)
		must(t, err)
		if got := list(); !slices.Equal(got, all[at:]) {
			t.Errorf("from %d on there are %d names", at, len(got))
		}
	}
	if _, err := unix.Seek(fd, 1000, unix.SEEK_SET); err == nil {
		if _, err := unix.ReadDirent(fd, make([]byte, 4096)); err != unix.EINVAL {
			t.Errorf("behind the end: %v", err)
		}
	}
	x.stop()
}
