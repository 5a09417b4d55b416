package fs

import (
	"context"
	"syscall"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// plusAtMost is how many files there may be for listings to bring attributes
// along. The kernel then keeps an inode for each that was listed, and so does this
// process, half a kilobyte, whether or not anybody asks for them.
const plusAtMost = 1 << 17

var _ = (fusefs.NodeOpendirHandler)((*dir)(nil))

// OpendirHandle returns a handle that lists what there is now, to its end.
func (d *dir) OpendirHandle(context.Context, uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	return &openDir{dir: d, listing: d.now()}, 0, 0
}

// openDir is an open directory. The kernel asks for one answer at a time.
type openDir struct {
	dir     *dir
	listing *listing
	next    int // of listing.names
}

var _ = (fusefs.FileReaddirenter)((*openDir)(nil))

// Readdirent returns the next entry, nil at the end. Names come from memory:
// nothing is probed.
func (o *openDir) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	if o.next >= len(o.listing.names) {
		return nil, 0
	}
	name := o.listing.names[o.next]
	o.next++
	path := name
	if o.dir.path != "" {
		path = o.dir.path + "/" + name
	}
	e := &fuse.DirEntry{Name: name, Off: uint64(o.next)}
	if f := o.listing.files[name]; f != nil {
		var gen uint64
		if local := f.Known(); local != nil {
			gen = local.Generation()
		}
		e.Mode, e.Ino = syscall.S_IFREG, ino(path, gen)
	} else {
		e.Mode, e.Ino = syscall.S_IFDIR, ino(path+"/", 0)
	}
	return e, 0
}

var _ = (fusefs.FileSeekdirer)((*openDir)(nil))

// Seekdir goes on behind the entry whose Off it was.
func (o *openDir) Seekdir(_ context.Context, off uint64) syscall.Errno {
	if off > uint64(len(o.listing.names)) {
		return syscall.EINVAL
	}
	o.next = int(off)
	return 0
}

var _ = (fusefs.FileLookuper)((*openDir)(nil))

// Lookup adds the attributes of an entry to it (READDIRPLUS), so that ls -l asks
// for a hundred files at a time. A file whose size is not known, or may yet grow,
// goes without: the kernel looks it up when a program asks for it. So does a name
// that is listed no longer, which the kernel may have been told already.
func (o *openDir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if len(o.dir.fs.set.Files()) > plusAtMost {
		return nil, syscall.ENOENT
	}
	return o.dir.lookupKnown(ctx, o.dir.now(), name, out)
}
