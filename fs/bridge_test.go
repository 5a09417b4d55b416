//go:build linux

package fs

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

// TestFileNodes: a version of a file has one ID for as long as the kernel knows it, another
// version has another, and what was forgotten makes room.
func TestFileNodes(t *testing.T) {
	var n fileNodes
	files := setOf(t, "a", "b").Files()
	a, b := files[0], files[1]
	first := n.tell(a, 1)
	if again := n.tell(a, 1); again != first || !isFileID(first) {
		t.Errorf("IDs %x and %x of one version", first, again)
	}
	other := n.tell(a, 2)
	if other == first || n.tell(b, 1) == first || n.len() != 3 {
		t.Errorf("IDs %x and %x of two versions, %d nodes", first, other, n.len())
	}
	n.forget(first, 1)
	if f, gen := n.get(first); f != a || gen != 1 {
		t.Errorf("%v of version %d after one of two lookups is forgotten", f, gen)
	}
	n.forget(first, 1)
	if f, _ := n.get(first); f != nil || n.len() != 2 {
		t.Errorf("%v is not forgotten, %d nodes", f, n.len())
	}
	if again := n.tell(a, 2); again != other {
		t.Errorf("ID %x, then %x: the other version was forgotten with the first", other, again)
	}
	if last := n.tell(a, 3); last != first {
		t.Errorf("ID %x, though %x is free", last, first)
	}
	for gen := range uint64(3 * pageNodes) {
		if f, got := n.get(n.tell(b, gen+10)); f != b || got != gen+10 {
			t.Fatalf("version %d, want %d", got, gen+10)
		}
	}
}

// TestNodesOfClosedFiles: when files are closed, only what the kernel needs to find them again
// is kept, and extended attributes and a stat are answered nevertheless.
func TestNodesOfClosedFiles(t *testing.T) {
	x := newRig(t)
	names := x.manyOf("d", 50)
	x.config.Prefetch, x.config.Run = fetch.PrefetchAll, true
	x.start()
	var open []*os.File
	for _, name := range names {
		x.published(name)
		f := x.open(name)
		x.read(f, name, 0, 100)
		open = append(open, f)
	}
	held := x.ask(rigRequest{}).Nodes
	for i, f := range open {
		if info, err := f.Stat(); err != nil || info.Size() != int64(1000+i) {
			t.Errorf("%s: %v, %v", names[i], info, err)
		}
		f.Close()
	}
	for x.ctx.Err() == nil && x.ask(rigRequest{}).Nodes > 2+len(names) { // RELEASE comes after close
	}
	if now := x.ask(rigRequest{}).Nodes; held != 2+2*len(names) || now != 2+len(names) {
		t.Errorf("%d nodes while %d files were open, then %d", held, len(names), now)
	}
	for i, name := range names {
		buf := make([]byte, 100)
		n, err := unix.Getxattr(x.path(name), xattrPresent, buf)
		if err != nil || string(buf[:max(n, 0)]) != fmt.Sprint(1000+i) {
			t.Errorf("%s: %s is %q, %v", name, xattrPresent, buf[:max(n, 0)], err)
		}
	}
	x.stop()
}

// TestStatOfAVersionThatIsGone: a descriptor of the version before tells its own size, and the
// name that of the version now.
func TestStatOfAVersionThatIsGone(t *testing.T) {
	x := newRig(t)
	x.add("file", 3<<20)
	x.start()
	f := x.open("file")
	defer f.Close()
	x.read(f, "file", 0, 100)
	x.Put("/file", origintest.File{Content: origintest.Content{Seed: 99, Size: 5 << 20}})
	buf := make([]byte, 10)
	for x.ctx.Err() == nil { // until a read finds the change
		if _, err := f.ReadAt(buf, 2<<20); err != nil {
			break
		}
	}
	for x.ctx.Err() == nil { // until the kernel asks for the name again
		if info, err := os.Stat(x.path("file")); err == nil && info.Size() == 5<<20 {
			break
		}
	}
	if info, err := f.Stat(); err != nil || info.Size() != 3<<20 {
		t.Errorf("the open file is %v, %v", info, err)
	}
	if _, err := f.ReadAt(buf, 10); err != nil {
		t.Errorf("what is present of the version before: %v", err)
	}
	x.stop()
}
