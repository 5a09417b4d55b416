//go:build linux

package powercut

import (
	"context"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// Mount shows the disk at point until the returned function is called. This
// process must touch nothing there: it would wait for itself.
func (d *Disk) Mount(point string) (unmount func() error, err error) {
	return d.mount(point, &node{disk: d, id: rootID})
}

// MountShared is Mount, but the disk is as poor as a filesystem of several machines may
// be: it has no locks, no shared mappings and no flags of renameat2(2).
func (d *Disk) MountShared(point string) (unmount func() error, err error) {
	return d.mount(point, &node{disk: d, id: rootID, shared: true})
}

// mount shows the disk at point with this root. The kernel keeps names and attributes for an hour,
// so that the disk sees what a program changes and little of what it looks at.
func (d *Disk) mount(point string, root *node) (unmount func() error, err error) {
	long := time.Hour // only the kernel changes anything
	server, err := fs.Mount(point, root, &fs.Options{
		EntryTimeout: &long, AttrTimeout: &long,
		OnAdd:        func(context.Context) { root.grow() },
		MountOptions: fuse.MountOptions{FsName: "powercut", Name: "powercut", DirectMount: true, EnableLocks: root.shared},
	})
	if err != nil {
		return nil, err
	}
	return func() error {
		if err := server.Unmount(); err != nil {
			return err
		}
		server.Wait()
		return nil
	}, nil
}

// node is an inode as the kernel knows it. Its methods are the operations of FUSE: those that look
// answer from the live tree of the disk; those that change are refused if the disk refuses changes
// now, and otherwise are recorded as changes of the disk, in their order. All hold disk.mu.
type node struct {
	fs.Inode
	disk   *Disk
	id     int
	shared bool // see MountShared
}

var _ interface {
	fs.NodeGetattrer
	fs.NodeSetattrer
	fs.NodeStatfser
	fs.NodeOpener
	fs.NodeReader
	fs.NodeWriter
	fs.NodeFsyncer
	fs.NodeFlusher
	fs.NodeCreater
	fs.NodeMkdirer
	fs.NodeLinker
	fs.NodeUnlinker
	fs.NodeRmdirer
	fs.NodeRenamer
	fs.NodeSetlker
	fs.NodeSetlkwer
} = (*node)(nil)

// inodes number what go-fuse shows; those of the disk would do, if two names of
// one file were one node from the beginning.
var inodes atomic.Uint64

// grow makes the nodes of what stands on the disk at first.
func (n *node) grow() {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.growLocked(map[int]*fs.Inode{})
}

// growLocked makes the nodes below n. known has the nodes made so far by their inode, so that two
// names of one file are one node. The caller holds disk.mu.
func (n *node) growLocked(known map[int]*fs.Inode) {
	for name, id := range n.disk.mu.live[n.id].entries {
		child := known[id]
		if child == nil {
			child = n.childLocked(id)
			known[id] = child
			child.Operations().(*node).growLocked(known)
		}
		n.AddChild(name, child, false)
	}
}

// childLocked returns a new node of an inode of the disk.
func (n *node) childLocked(id int) *fs.Inode {
	mode := uint32(syscall.S_IFREG)
	if n.disk.mu.live[id].mode.IsDir() {
		mode = syscall.S_IFDIR
	}
	return n.NewPersistentInode(context.Background(), &node{disk: n.disk, id: id, shared: n.shared},
		fs.StableAttr{Mode: mode, Ino: inodes.Add(1) + 1})
}

// attrLocked fills out with the attributes of the inode. The caller holds disk.mu.
func (n *node) attrLocked(out *fuse.Attr) {
	i := n.disk.mu.live[n.id]
	out.Mode, out.Nlink = uint32(i.mode.Perm()), n.disk.mu.live.links(n.id)
	if i.mode.IsDir() {
		out.Nlink = 2
	}
	out.Size, out.Blocks, out.Blksize = uint64(i.size), uint64(len(i.pages))*pageSize/512, pageSize
	out.Owner = fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}
	out.SetTimes(&i.mtime, &i.mtime, &i.mtime)
}

func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	n.attrLocked(&out.Attr)
	return 0
}

// Setattr is chmod, truncate and utimes.
func (n *node) Setattr(_ context.Context, _ fs.FileHandle, in *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if mode, ok := in.GetMode(); ok { // durable at once: nothing depends on it
		i := n.disk.mu.live[n.id]
		i.mode = i.mode.Type() | os.FileMode(mode).Perm()
	}
	if size, ok := in.GetSize(); ok {
		if err := n.disk.refusedLocked(n.name()); err != 0 {
			return err
		}
		n.disk.doLocked(change{kind: sized, id: n.id, size: int64(size)})
	}
	if t, ok := in.GetMTime(); ok {
		n.disk.doLocked(change{kind: touched, id: n.id, time: t})
	}
	n.attrLocked(&out.Attr)
	return 0
}

func (n *node) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	out.Bsize, out.Frsize, out.NameLen = pageSize, pageSize, 255
	out.Blocks, out.Bfree, out.Bavail = 1<<20, 1<<20, 1<<20
	return 0
}

func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, n.opened(), 0
}

// opened is how the kernel treats an open file. It refuses a shared mapping of one whose
// pages it does not keep.
func (n *node) opened() uint32 {
	if n.shared {
		return fuse.FOPEN_DIRECT_IO
	}
	return fuse.FOPEN_KEEP_CACHE
}

// Setlk is flock(2), and locks of fcntl(2), which are asked for where the disk has none.
func (n *node) Setlk(context.Context, fs.FileHandle, uint64, *fuse.FileLock, uint32) syscall.Errno {
	return syscall.ENOSYS
}

func (n *node) Setlkw(context.Context, fs.FileHandle, uint64, *fuse.FileLock, uint32) syscall.Errno {
	return syscall.ENOSYS
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	return fuse.ReadResultData(p[:n.disk.mu.live[n.id].read(p, off)]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(n.name()); err != 0 {
		return 0, err
	}
	n.disk.writeLocked(n.id, p, off)
	return uint32(len(p)), 0
}

// Allocate punches holes, as zeros that are written, and can do nothing else.
func (n *node) Allocate(_ context.Context, _ fs.FileHandle, off, size uint64, mode uint32) syscall.Errno {
	if mode != unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE {
		return syscall.EOPNOTSUPP
	}
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(n.name()); err != 0 {
		return err
	}
	if end := min(off+size, uint64(n.disk.mu.live[n.id].size)); off < end {
		n.disk.writeLocked(n.id, make([]byte, end-off), int64(off))
	}
	return 0
}

// Fsync is also that of directories.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(n.name()); err != 0 {
		return err
	}
	n.disk.doLocked(change{kind: synced, id: n.id})
	return 0
}

// Flush is what close does: nothing.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// name is one of the names of the file, "" if it has none.
func (n *node) name() string {
	name, _ := n.Parent()
	return name
}

// add makes an inode and links it under a name in directory n.
func (n *node) add(name string, mode os.FileMode, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	d := n.disk
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.refusedLocked(name); err != 0 {
		return nil, err
	}
	d.mu.lastID++
	id := d.mu.lastID
	changes := []change{{kind: made, id: id, mode: mode}, {kind: linked, id: id, dir: n.id, name: name}}
	if n.shared { // other machines ask how old it is
		changes = append(changes, change{kind: touched, id: id, time: time.Now()})
	}
	d.doLocked(changes...)
	child := n.childLocked(id)
	child.Operations().(*node).attrLocked(&out.Attr)
	return child, 0
}

func (n *node) Create(_ context.Context, name string, _, mode uint32, out *fuse.EntryOut) (*fs.Inode, fs.FileHandle, uint32, syscall.Errno) {
	child, err := n.add(name, os.FileMode(mode).Perm(), out)
	return child, nil, n.opened(), err
}

func (n *node) Mkdir(_ context.Context, name string, mode uint32, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	return n.add(name, os.ModeDir|os.FileMode(mode).Perm(), out)
}

func (n *node) Link(_ context.Context, target fs.InodeEmbedder, name string, out *fuse.EntryOut) (*fs.Inode, syscall.Errno) {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(name); err != 0 {
		return nil, err
	}
	to := target.(*node)
	n.disk.doLocked(change{kind: linked, id: to.id, dir: n.id, name: name})
	to.attrLocked(&out.Attr)
	return to.EmbeddedInode(), 0
}

// Unlink takes a name away. The inode stays while it has other names or is open.
func (n *node) Unlink(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(name); err != 0 {
		return err
	}
	n.disk.doLocked(change{kind: unlinked, id: n.disk.mu.live[n.id].entries[name], dir: n.id, name: name})
	return 0
}

func (n *node) Rmdir(_ context.Context, name string) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(name); err != 0 {
		return err
	}
	id := n.disk.mu.live[n.id].entries[name]
	if len(n.disk.mu.live[id].entries) > 0 {
		return syscall.ENOTEMPTY
	}
	n.disk.doLocked(change{kind: unlinked, id: id, dir: n.id, name: name})
	return 0
}

// Rename links the inode under the new name and then unlinks the old one. A power cut may leave the
// first change without the second, and so both names, but never the second without the first. Of
// the flags of renameat2(2) it knows RENAME_NOREPLACE.
func (n *node) Rename(_ context.Context, name string, to fs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	n.disk.mu.Lock()
	defer n.disk.mu.Unlock()
	if err := n.disk.refusedLocked(newName); err != 0 {
		return err
	}
	live, dir := n.disk.mu.live, to.(*node).id
	id, taken := live[n.id].entries[name], live[dir].entries[newName]
	switch {
	case flags&^unix.RENAME_NOREPLACE != 0, flags != 0 && n.shared:
		return syscall.EINVAL
	case flags != 0 && taken != 0:
		return syscall.EEXIST
	case taken != 0 && len(live[taken].entries) > 0:
		return syscall.ENOTEMPTY
	}
	n.disk.doLocked(
		change{kind: linked, id: id, dir: dir, name: newName},
		change{kind: unlinked, id: id, dir: n.id, name: name, after: true})
	return 0
}
