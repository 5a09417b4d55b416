//go:build linux

package fs

import (
	"context"
	"strconv"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache"
	"dlfs/fetch"
)

// bridge is go-fuse's, except for files that are not open and for the listing of
// directories: for a million files that were looked up, go-fuse would keep half a gigabyte.
//
// The kernel knows a file by an ID of fileNodes. When it opens one, go-fuse is asked for a
// node of it by a name in the inbox, and the handle that the kernel gets holds the ID of
// that node too. So a call that comes with a handle is passed on without a look at a table.
// What comes without one, such as a question for extended attributes, gets a node for as
// long as the call takes.
type bridge struct {
	fuse.RawFileSystem
	fs    *fileSystem
	files fileNodes
	dirs  dirNodes
	inbox uint64 // ID
}

// newBridge returns the bridge of a filesystem whose root go-fuse has.
func newBridge(raw fuse.RawFileSystem, f *fileSystem) *bridge {
	b := &bridge{RawFileSystem: raw, fs: f}
	f.bridge = b
	b.dirs.dirs, b.dirs.handles = map[uint64]*dirNode{}, map[uint64]*openDir{}
	b.dirs.tell(fuse.FUSE_ROOT_ID, f.root)
	var out fuse.EntryOut
	raw.Lookup(nil, &fuse.InHeader{NodeId: fuse.FUSE_ROOT_ID}, inboxName, &out) // finds it in memory
	b.inbox = out.NodeId
	return b
}

// inboxName is the name of the inbox in the root. The kernel cannot ask for it.
const inboxName = "\x00"

// inbox is a directory that the kernel does not know, of nodes of files by their numbers in
// fileNodes.
type inbox struct {
	fusefs.Inode
	fs *fileSystem
}

var _ = (fusefs.NodeLookuper)((*inbox)(nil))

// Lookup returns a node of a file. go-fuse takes the one that it has of the version, if there
// is one. A new one needs the version to be the file's.
func (in *inbox) Lookup(ctx context.Context, name string, _ *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	number, err := strconv.ParseUint(name, 10, 32)
	if err != nil {
		return nil, syscall.ESTALE
	}
	f, gen := in.fs.bridge.files.get(number)
	if f == nil { // the kernel has forgotten it
		return nil, syscall.ESTALE
	}
	n := &node{fs: in.fs, file: f, local: versionOf(f, gen)}
	if n.local == nil {
		n.local = lost(gen)
	}
	return in.NewInode(ctx, n, n.stable()), 0
}

// versionOf is what there is of a version of a file, nil if the file has another one.
// Version 0 is an unreached one.
func versionOf(f *fetch.File, gen uint64) fetch.Copy {
	local := f.Known()
	if local == nil && gen == 0 {
		return unreachedOf(f)
	}
	if _, grows := local.(*cache.Stream); local == nil || grows || local.Generation() != gen {
		return nil
	}
	return local
}

// lost is a version that is no longer the file's and is not open. Nothing is known of it.
type lost uint64

func (l lost) Generation() uint64 { return uint64(l) }

// Version has no size that could be told.
func (l lost) Version() cache.Version { return cache.Version{} }

// ModTime is not known.
func (l lost) ModTime() time.Time { return time.Time{} }

// Present is not known.
func (l lost) Present() int64 { return 0 }

// Published is not known.
func (l lost) Published() bool { return false }

// Lookup answers for a name. For a file it waits for the file's own probe if its size is not
// known, since the answer holds the attributes.
func (b *bridge) Lookup(cancel <-chan struct{}, in *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	d := b.dirs.get(in.NodeId)
	if d == nil {
		return b.RawFileSystem.Lookup(cancel, in, name, out)
	}
	l := d.now()
	if f := l.file(name); f != nil {
		local, errno := d.probe(&fuse.Context{Caller: in.Caller, Cancel: cancel}, f)
		if errno != 0 {
			return fuse.Status(errno)
		}
		if _, grows := local.(*cache.Stream); !grows {
			b.found(f, local, out)
			return fuse.OK
		}
	}
	status := b.RawFileSystem.Lookup(cancel, in, name, out)
	if sub := l.dirs[name]; sub != nil && status.Ok() && out.NodeId != 0 {
		b.dirs.tell(out.NodeId, sub)
	}
	return status
}

// found answers with a node of a file.
func (b *bridge) found(f *fetch.File, local fetch.Copy, out *fuse.EntryOut) {
	n := node{fs: b.fs, file: f, local: local}
	n.attr(&out.Attr)
	out.Attr.Ino = n.stable().Ino
	out.SetEntryTimeout(n.timeout()) // the name may come to mean another version
	out.SetAttrTimeout(n.timeout())
	out.NodeId = b.files.tell(f, local.Generation())
}

// Forget takes back what the kernel was told of a node.
func (b *bridge) Forget(id, lookups uint64) {
	if isFileID(id) {
		b.files.forget(id, lookups)
		return
	}
	b.dirs.forget(id, lookups)
	b.RawFileSystem.Forget(id, lookups)
}

// lend has go-fuse make a node of a file that the kernel knows, and puts its ID in place of
// the kernel's. The caller calls back when the node is no longer needed. What is no ID of a
// file stays as it is.
func (b *bridge) lend(in *fuse.InHeader) (back func(), status fuse.Status) {
	id := in.NodeId
	if !isFileID(id) {
		return func() {}, fuse.OK
	}
	var out fuse.EntryOut
	number := strconv.FormatUint(id&^fileBit, 10)
	if status := b.RawFileSystem.Lookup(nil, &fuse.InHeader{NodeId: b.inbox}, number, &out); !status.Ok() {
		return nil, status
	}
	in.NodeId = out.NodeId
	return func() {
		in.NodeId = id
		b.RawFileSystem.Forget(out.NodeId, 1)
	}, fuse.OK
}

// handleBits is how many bits of a handle of a file are go-fuse's, which counts the files that
// are open. The others are the ID of its node.
const handleBits = 24

// of puts go-fuse's ID and handle in the place of the kernel's. The caller calls back when
// the call has ended.
func (b *bridge) of(in *fuse.InHeader, fh *uint64) (back func()) {
	id, handle := in.NodeId, *fh
	if !isFileID(id) {
		return func() {}
	}
	in.NodeId, *fh = handle>>handleBits, handle&(1<<handleBits-1)
	return func() { in.NodeId, *fh = id, handle }
}

// GetAttr describes a node. A version that is not the file's any more is described as long as
// a handle of it is open.
func (b *bridge) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	if !isFileID(in.NodeId) {
		return b.RawFileSystem.GetAttr(cancel, in, out)
	}
	if f, gen := b.files.get(in.NodeId); f != nil {
		if local := versionOf(f, gen); local != nil {
			n := node{fs: b.fs, file: f, local: local}
			n.attr(&out.Attr)
			out.Attr.Ino = n.stable().Ino
			out.SetTimeout(n.timeout())
			return fuse.OK
		}
	}
	back, status := b.lend(&in.InHeader)
	if !status.Ok() {
		return status
	}
	defer back()
	alone := fuse.GetAttrIn{InHeader: in.InHeader} // without a handle
	return b.RawFileSystem.GetAttr(cancel, &alone, out)
}

// Open opens a file. go-fuse's node of it lives until Release.
func (b *bridge) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	id := in.NodeId
	back, status := b.lend(&in.InHeader)
	if !status.Ok() {
		return status
	}
	node := in.NodeId
	if status = b.RawFileSystem.Open(cancel, in, out); !status.Ok() || !isFileID(id) {
		back()
		return status
	}
	in.NodeId = id
	out.Fh |= node << handleBits
	return fuse.OK
}

// Release ends a handle. It is wholly done only when go-fuse is: after the handle's own
// Release, go-fuse takes a reference from the inode's backing file, if it has one by then,
// even for a handle that never gave one.
func (b *bridge) Release(cancel <-chan struct{}, in *fuse.ReleaseIn) {
	b.fs.releasing.RLock()
	defer b.fs.releasing.RUnlock()
	back := b.of(&in.InHeader, &in.Fh)
	node := in.NodeId
	b.RawFileSystem.Release(cancel, in)
	back()
	if isFileID(in.NodeId) {
		b.RawFileSystem.Forget(node, 1)
	}
}

// Read reads from an open file.
func (b *bridge) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.Read(cancel, in, buf)
}

// Lseek looks for data or a hole in an open file.
func (b *bridge) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.Lseek(cancel, in, out)
}

// Flush is of a descriptor that is closed, and has nothing to do. ENOSYS is no error to the
// kernel: it asks no more, and close(2) does not wait from then on (fuse_flush in
// fs/fuse/file.c).
func (b *bridge) Flush(<-chan struct{}, *fuse.FlushIn) fuse.Status { return fuse.ENOSYS }

// Fsync has nothing to do.
func (b *bridge) Fsync(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.Fsync(cancel, in)
}

// Ioctl is of an open file.
func (b *bridge) Ioctl(cancel <-chan struct{}, in *fuse.IoctlIn, inbuf []byte, out *fuse.IoctlOut, outbuf []byte) fuse.Status {
	if in.Fh&dirHandle != 0 {
		return fuse.Status(syscall.ENOTTY)
	}
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.Ioctl(cancel, in, inbuf, out, outbuf)
}

// GetLk looks for a lock of an open file.
func (b *bridge) GetLk(cancel <-chan struct{}, in *fuse.LkIn, out *fuse.LkOut) fuse.Status {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.GetLk(cancel, in, out)
}

// SetLk locks an open file.
func (b *bridge) SetLk(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.SetLk(cancel, in)
}

// SetLkw locks an open file, and may wait.
func (b *bridge) SetLkw(cancel <-chan struct{}, in *fuse.LkIn) fuse.Status {
	defer b.of(&in.InHeader, &in.Fh)()
	return b.RawFileSystem.SetLkw(cancel, in)
}

// lent makes a call that comes without a handle.
func (b *bridge) lent(in *fuse.InHeader, call func() fuse.Status) fuse.Status {
	back, status := b.lend(in)
	if !status.Ok() {
		return status
	}
	defer back()
	return call()
}

// Access says whether a caller may use a node.
func (b *bridge) Access(cancel <-chan struct{}, in *fuse.AccessIn) fuse.Status {
	return b.lent(&in.InHeader, func() fuse.Status { return b.RawFileSystem.Access(cancel, in) })
}

// StatFs describes the filesystem.
func (b *bridge) StatFs(cancel <-chan struct{}, in *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	return b.lent(in, func() fuse.Status { return b.RawFileSystem.StatFs(cancel, in, out) })
}

// Statx is not served, as by go-fuse: the kernel goes on with GetAttr.
func (b *bridge) Statx(<-chan struct{}, *fuse.StatxIn, *fuse.StatxOut) fuse.Status {
	return fuse.ENOSYS
}

// GetXAttr returns an extended attribute.
func (b *bridge) GetXAttr(cancel <-chan struct{}, in *fuse.InHeader, attr string, dest []byte) (n uint32, status fuse.Status) {
	status = b.lent(in, func() (status fuse.Status) {
		n, status = b.RawFileSystem.GetXAttr(cancel, in, attr, dest)
		return status
	})
	return n, status
}

// ListXAttr returns the names of the extended attributes.
func (b *bridge) ListXAttr(cancel <-chan struct{}, in *fuse.InHeader, dest []byte) (n uint32, status fuse.Status) {
	status = b.lent(in, func() (status fuse.Status) {
		n, status = b.RawFileSystem.ListXAttr(cancel, in, dest)
		return status
	})
	return n, status
}

// SetAttr is refused, if the kernel has not refused it before.
func (b *bridge) SetAttr(<-chan struct{}, *fuse.SetAttrIn, *fuse.AttrOut) fuse.Status {
	return fuse.EROFS
}

// SetXAttr is refused, too.
func (b *bridge) SetXAttr(<-chan struct{}, *fuse.SetXAttrIn, string, []byte) fuse.Status {
	return fuse.EROFS
}

// RemoveXAttr is refused, too.
func (b *bridge) RemoveXAttr(<-chan struct{}, *fuse.InHeader, string) fuse.Status {
	return fuse.EROFS
}
