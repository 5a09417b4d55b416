//go:build linux

package fs

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountLargerThanItsDisk: files that are larger than what may be stored are read right,
// twice; df tells what may still be stored, and an attribute what stays.
func TestMountLargerThanItsDisk(t *testing.T) {
	x := newRig(t)
	x.config.Run = true
	x.config.MaxSize = 48 << 20 // some 16 MiB of it for blocks
	x.config.Pinned = []string{"pinned"}
	const size = 24 << 20
	x.add("large", size)
	x.add("pinned", 3*bs)
	x.start()
	x.published("pinned")
	for range 2 {
		f := x.open("large")
		for off := int64(0); off < size; off += 1 << 20 {
			x.read(f, "large", off, 1<<20)
		}
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		must(t, f.Close())
	}
	x.read(x.open("pinned"), "pinned", 0, 3*bs)
	if v, err := xattr(x.path("pinned"), xattrPinned); v != "1" || err != nil {
		t.Errorf("%s is %q, %v", xattrPinned, v, err)
	}
	if v, err := xattr(x.path("large"), xattrPinned); !errors.Is(err, unix.ENODATA) {
		t.Errorf("%s of another file is %q, %v", xattrPinned, v, err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(x.path(""), &st))
	if int64(st.Blocks)*st.Bsize < size || int64(st.Bavail)*st.Bsize > 16<<20 || st.Bavail >= st.Bfree {
		t.Errorf("%+v", st)
	}
}

// TestPassthroughInABoundedMount: the kernel reads a complete file by itself, and sees no hole in
// it while the file is open or mapped. After that, blocks of it can go.
func TestPassthroughInABoundedMount(t *testing.T) {
	needRoot(t)
	x := newRig(t)
	x.config.MaxSize = 64 << 20
	c := x.add("a", 16*bs+5)
	x.start()
	first := x.open("a")
	x.read(first, "a", 0, c.Size)
	must(t, first.Close())
	x.stop() // the blocks are durable then
	x.start()
	f, other := x.open("a"), x.open("a")
	mapped, err := unix.Mmap(int(f.Fd()), 0, int(c.Size), unix.PROT_READ, unix.MAP_SHARED)
	must(t, err)
	x.ask(rigRequest{Evict: "a"})
	x.read(other, "a", 0, c.Size)
	must(t, errors.Join(other.Close(), f.Close()))
	x.ask(rigRequest{Evict: "a"}) // the mapping is left
	must(t, c.Check(mapped, 0))
	must(t, unix.Munmap(mapped))

	f = x.open("a")
	other = x.open("a")
	x.read(f, "a", 0, c.Size)
	must(t, f.Close())
	x.ask(rigRequest{Evict: "a"})
	x.read(other, "a", 0, c.Size)
	must(t, other.Close())
	for left := int64(1); left > 0; { // until the kernel has told that the files are closed
		x.ask(rigRequest{Evict: "a"})
		left = x.stored()
	}
	f = x.open("a")
	x.read(f, "a", 0, c.Size) // fetched again
	must(t, f.Close())
	x.stop()
	x.start()
	f = x.open("a")
	x.kill()
	if err := pread(f, c, 0, c.Size); err != nil {
		t.Errorf("the kernel does not read a complete file by itself: %v", err)
	}
}

// TestFinishedFileLeavesTheMountsDisk: a finished file that has to make room leaves DIR, and is
// read through the mount as before, also by its cached name. While it is open it stays.
func TestFinishedFileLeavesTheMountsDisk(t *testing.T) {
	x := newRig(t)
	x.config.MaxSize, x.config.EvictComplete = 64<<20, true
	x.config.Run, x.config.Pinned = true, []string{"a"}
	c := x.add("a", 16*bs+5)
	x.start()
	x.published("a")
	x.stop()
	x.config.Run, x.config.Pinned = false, nil
	x.start()
	inDir := filepath.Join(x.config.Dir, "a")
	f := x.open("a")
	x.read(f, "a", 0, c.Size)
	x.ask(rigRequest{Evict: "a"})
	if _, err := os.Lstat(inDir); err != nil {
		t.Errorf("a file that is open has left: %v", err)
	}
	must(t, f.Close())
	for err := error(nil); err == nil; _, err = os.Lstat(inDir) { // until the kernel has told that it is closed
		x.ask(rigRequest{Evict: "a"})
	}
	info, err := os.Stat(x.path("a"))
	if must(t, err); info.Size() != c.Size {
		t.Errorf("the mount shows %d bytes", info.Size())
	}
	f = x.open("a")
	x.read(f, "a", 0, c.Size)
	must(t, f.Close())
	if _, err := os.Lstat(inDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not pinned is in the output directory: %v", err)
	}
}

// stored is what the unfinished files take on disk.
func (x *rig) stored() (bytes int64) {
	x.tb.Helper()
	dir := filepath.Join(x.config.Dir, ".dlfs", "blobs")
	entries, err := os.ReadDir(dir)
	must(x.tb, err)
	for _, e := range entries {
		var st unix.Stat_t
		must(x.tb, unix.Stat(filepath.Join(dir, e.Name()), &st))
		bytes += st.Blocks * 512
	}
	return bytes
}
