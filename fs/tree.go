//go:build linux

package fs

import (
	"context"
	"hash/fnv"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache/lockorder"
)

// How long the kernel may keep what it was told. Of names it is told when they
// go, and content is immutable for the life of an inode. What does change, while
// a file is incomplete, is how much of it is there, which st_blocks tells, and
// perhaps its version.
const (
	forever    = time.Hour
	whileMoves = time.Second
)

// nameMax is the length of the longest name of a directory, in bytes.
const nameMax = 255

// dir is a directory of the list. It exists because names of the list have it as a
// parent. Its listing is made at the first question, and replaced as a whole when the
// list is replaced, so that a listing never waits for a network. See catalog.
type dir struct {
	fusefs.Inode

	// Constant data
	fs     *fileSystem
	parent *dir   // nil for the root
	path   string // "" for the root
	gen    uint64 // of the catalog it came with: one that went and comes back is another

	list atomic.Pointer[listing] // nil until the first question

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		waiting int           // lookups that wait for the network
		quiet   chan struct{} // closed when none does any more; nil while none does
		walks   walks
	}
}

// ino is a file's inode number: the same after a remount, another for another
// version. Version 0 stands for one not known yet.
func ino(path string, version uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(path))
	return (h.Sum64() ^ version*0x9e3779b97f4a7c15) | 2 // never 0 or the root's 1
}

var _ = (fusefs.NodeLookuper)((*dir)(nil))

// Lookup answers for a name that the bridge leaves to go-fuse: of a directory, or of a file of
// unknown length.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if len(name) > nameMax {
		return nil, syscall.ENAMETOOLONG
	}
	l := d.now()
	if f := l.file(name); f != nil { // whose length is not known, else the bridge has answered
		local, errno := d.probe(ctx, f)
		if errno != 0 {
			return nil, errno
		}
		return d.found(ctx, &node{fs: d.fs, file: f, local: local}, out), 0
	}
	if sub := l.dirs[name]; sub != nil {
		sub.attr(&out.Attr)
		out.SetEntryTimeout(forever)
		out.SetAttrTimeout(forever)
		return d.NewInode(ctx, sub, fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino(sub.path+"/", 0), Gen: sub.gen}), 0
	}
	if child := d.fs.hidden(ctx, d, name); child != nil {
		out.SetEntryTimeout(forever)
		return child, 0
	}
	return nil, syscall.ENOENT
}

// found answers with a node of go-fuse.
func (d *dir) found(ctx context.Context, n *node, out *fuse.EntryOut) *fusefs.Inode {
	n.attr(&out.Attr)
	out.SetEntryTimeout(n.timeout()) // the name may come to mean another version
	out.SetAttrTimeout(n.timeout())
	// Where the kernel knows a node of these attributes, go-fuse takes that.
	return d.NewInode(ctx, n, n.stable())
}

// wait counts the lookups that wait for the network.
func (d *dir) wait(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.waiting += n
	switch {
	case d.mu.quiet == nil:
		d.mu.quiet = make(chan struct{})
	case d.mu.waiting == 0:
		close(d.mu.quiet)
		d.mu.quiet = nil
	}
}

// quiet returns a channel that is closed when no lookup waits for the network,
// nil if none does.
func (d *dir) quiet() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.quiet
}

var _ = (fusefs.NodeGetattrer)((*dir)(nil))

// Getattr describes the directory.
func (d *dir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.attr(&out.Attr)
	out.SetTimeout(forever)
	return 0
}

// attr fills in what stat shows of a directory, whose time is that of its last change by a
// reload.
func (d *dir) attr(a *fuse.Attr) {
	l := d.now()
	a.Mode = syscall.S_IFDIR | 0o777&^d.fs.mask
	a.Nlink = uint32(2 + len(l.dirs))
	a.Size, a.Blocks = 4096, 8
	d.fs.stamp(a, l.since)
}

var _ = (fusefs.NodeFsyncer)((*dir)(nil))

// Fsync has nothing to do, since nothing is written here, and succeeds: some
// programs call fsync(2) also on directories that they only read.
func (d *dir) Fsync(context.Context, fusefs.FileHandle, uint32) syscall.Errno { return 0 }

var _ = (fusefs.NodeStatfser)((*dir)(nil))

// Statfs tells the progress: the size is the list's, as far as it is known, and
// used is what is materialized. It never touches the network.
func (d *dir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const bsize = 4096
	t := d.fs.set.Totals()
	out.Bsize, out.Frsize, out.NameLen = bsize, bsize, nameMax
	blocks := func(bytes int64) uint64 { return (uint64(bytes) + bsize - 1) / bsize } // 2^63 fits
	out.Blocks = blocks(t.TotalBytes)
	out.Bfree = out.Blocks - min(out.Blocks, blocks(t.PresentBytes))
	out.Bavail = out.Bfree
	if b := d.fs.set.Bound(); b != nil { // what may still be present beside what is
		out.Bavail = min(out.Bavail, uint64(max(0, b.Max-b.Used))/bsize)
	}
	out.Files = uint64(t.FilesTotal)
	out.Ffree = uint64(t.FilesTotal - t.FilesComplete)
	return 0
}
