//go:build linux

package fs

import (
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache"
)

// openDir is an open directory: it lists what there was when it was opened, to its end.
// Where in it the next answer begins, the kernel says.
type openDir struct {
	dir     *dir
	listing *listing
}

// entry returns the i-th entry. It comes from memory: nothing is probed.
func (o *openDir) entry(i uint64) fuse.DirEntry {
	name, file := o.listing.item(int(i))
	path := name
	if o.dir.path != "" {
		path = o.dir.path + "/" + name
	}
	e := fuse.DirEntry{Name: name, Off: i + 1}
	if file != nil {
		// The inode number changes with the version of a file, as the one that Lookup gives does.
		var gen uint64
		if local := file.Known(); local != nil {
			gen = local.Generation()
		}
		e.Mode, e.Ino = syscall.S_IFREG, ino(path, gen)
	} else {
		e.Mode, e.Ino = syscall.S_IFDIR, ino(path+"/", 0)
	}
	return e
}

// OpenDir opens a directory.
func (b *bridge) OpenDir(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	d := b.dirs.get(in.NodeId)
	if d == nil {
		return b.RawFileSystem.OpenDir(cancel, in, out)
	}
	// The listing stays the one of this moment, also after a reload, so that no name is listed twice.
	out.Fh = b.dirs.open(&openDir{dir: d, listing: d.now()})
	return fuse.OK
}

// ReadDir lists names.
func (b *bridge) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	o := b.dirs.opened(in.Fh)
	if o == nil {
		return b.RawFileSystem.ReadDir(cancel, in, out)
	}
	return o.list(in.Offset, out.AddDirEntry)
}

// ReadDirPlus lists names with the attributes of files whose size is known, so that ls -l asks
// for a hundred files at a time. A file whose size is not known, or may yet grow, goes
// without: the kernel looks it up when a program asks for it. So does a name that is listed
// no longer, which the kernel may have been told already.
func (b *bridge) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	o := b.dirs.opened(in.Fh)
	if o == nil {
		return b.RawFileSystem.ReadDirPlus(cancel, in, out)
	}
	now := o.dir.now()
	return o.list(in.Offset, func(e fuse.DirEntry) bool {
		entry := out.AddDirLookupEntry(e)
		if entry != nil {
			b.describe(cancel, in, now, e.Name, entry)
		}
		return entry != nil
	})
}

// describe adds the attributes of what l has by that name.
func (b *bridge) describe(cancel <-chan struct{}, in *fuse.ReadIn, l *listing, name string, out *fuse.EntryOut) {
	if l.dirs[name] != nil {
		b.Lookup(cancel, &in.InHeader, name, out) // comes from memory
		return
	}
	if f := l.file(name); f != nil {
		local := f.Known()
		if _, grows := local.(*cache.Stream); local != nil && !grows {
			b.found(f, local, out)
		}
	}
}

// list calls add with the entries from off on, until it has no room.
func (o *openDir) list(off uint64, add func(fuse.DirEntry) bool) fuse.Status {
	n := uint64(len(o.listing.items))
	if off > n {
		return fuse.EINVAL
	}
	for off < n && add(o.entry(off)) {
		off++
	}
	return fuse.OK
}

// ReleaseDir ends a handle.
func (b *bridge) ReleaseDir(in *fuse.ReleaseIn) {
	if b.dirs.opened(in.Fh) == nil {
		b.RawFileSystem.ReleaseDir(in)
		return
	}
	b.dirs.close(in.Fh)
}

// FsyncDir has nothing to do.
func (b *bridge) FsyncDir(cancel <-chan struct{}, in *fuse.FsyncIn) fuse.Status {
	if b.dirs.opened(in.Fh) == nil {
		return b.RawFileSystem.FsyncDir(cancel, in)
	}
	return fuse.OK
}
