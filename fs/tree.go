package fs

import (
	"context"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/fetch"
)

// How long the kernel may keep what it was told. Names never change while
// mounted, and content is immutable for the life of an inode. What does change,
// while a file is incomplete, is how much of it is there, which st_blocks tells,
// and perhaps its version.
const (
	forever    = time.Hour
	whileMoves = time.Second
)

// dir is a directory of the list: what its names say, nothing more. It is
// immutable once built, so it needs no lock and never waits for a network.
type dir struct {
	fusefs.Inode
	fs    *fileSystem
	path  string // "" for the root
	dirs  map[string]*dir
	files map[string]*fetch.File
	names []string // of both, sorted
}

// newTree arranges the files of a set in directories.
func newTree(fs *fileSystem, files []*fetch.File) *dir {
	root := newDir(fs, "")
	byPath := map[string]*dir{"": root}
	for _, f := range files {
		path, base := split(f.Name())
		makeDir(byPath, path).files[base] = f
	}
	for _, d := range byPath {
		d.names = slices.AppendSeq(make([]string, 0, len(d.dirs)+len(d.files)), maps.Keys(d.dirs))
		d.names = slices.AppendSeq(d.names, maps.Keys(d.files))
		slices.Sort(d.names)
	}
	return root
}

func newDir(fs *fileSystem, path string) *dir {
	return &dir{fs: fs, path: path, dirs: map[string]*dir{}, files: map[string]*fetch.File{}}
}

// makeDir returns the directory at path, made with its parents if need be.
func makeDir(byPath map[string]*dir, path string) *dir {
	if d := byPath[path]; d != nil {
		return d
	}
	parent, base := split(path)
	above := makeDir(byPath, parent)
	d := newDir(above.fs, path)
	above.dirs[base], byPath[path] = d, d
	return d
}

// split cuts a slash-separated path before its last component.
func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// ino is a file's inode number: the same after a remount, another for another
// version. Version 0 stands for one not known yet.
func ino(path string, version uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(path))
	return (h.Sum64() ^ version*0x9e3779b97f4a7c15) | 2 // never 0 or the root's 1
}

var _ = (fusefs.NodeLookuper)((*dir)(nil))

// Lookup answers for a name. For a file it waits for the file's own probe if
// its size is not known, since the answer holds the attributes.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	if sub := d.dirs[name]; sub != nil {
		sub.attr(&out.Attr)
		out.SetEntryTimeout(forever)
		out.SetAttrTimeout(forever)
		return d.NewInode(ctx, sub, fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino(sub.path+"/", 0)}), 0
	}
	if f := d.files[name]; f != nil {
		return d.lookupFile(ctx, f, out)
	}
	if child := d.fs.hidden(ctx, d, name); child != nil {
		out.SetEntryTimeout(forever)
		return child, 0
	}
	return nil, syscall.ENOENT
}

func (d *dir) lookupFile(ctx context.Context, f *fetch.File, out *fuse.EntryOut) (*fusefs.Inode, syscall.Errno) {
	ctx, cancel := context.WithTimeout(ctx, d.fs.opts.ReadTimeout)
	defer cancel()
	blob, err := f.Probe(ctx)
	if err != nil {
		return nil, d.fs.fail("stat", f, err)
	}
	n := &node{fs: d.fs, file: f, blob: blob}
	inode := d.NewInode(ctx, n, fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: ino(f.Name(), blob.Generation())})
	known := inode.Operations().(*node) // the one the kernel knows already, or n
	known.attr(&out.Attr)
	out.SetEntryTimeout(known.timeout()) // the name may come to mean another version
	out.SetAttrTimeout(known.timeout())
	return inode, 0
}

var _ = (fusefs.NodeReaddirer)((*dir)(nil))

// Readdir lists from memory. Nothing is probed; READDIRPLUS, which would look
// up every name, is off.
func (d *dir) Readdir(context.Context) (fusefs.DirStream, syscall.Errno) {
	list := make([]fuse.DirEntry, len(d.names))
	for i, name := range d.names {
		path := name
		if d.path != "" {
			path = d.path + "/" + name
		}
		if f := d.files[name]; f != nil {
			list[i] = fuse.DirEntry{Name: name, Mode: syscall.S_IFREG, Ino: ino(path, f.KnownGeneration())}
		} else {
			list[i] = fuse.DirEntry{Name: name, Mode: syscall.S_IFDIR, Ino: ino(path+"/", 0)}
		}
	}
	return fusefs.NewListDirStream(list), 0
}

var _ = (fusefs.NodeGetattrer)((*dir)(nil))

// Getattr describes the directory.
func (d *dir) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	d.attr(&out.Attr)
	out.SetTimeout(forever)
	return 0
}

func (d *dir) attr(a *fuse.Attr) {
	a.Mode = syscall.S_IFDIR | 0o755
	a.Nlink = uint32(2 + len(d.dirs))
	a.Size, a.Blocks = 4096, 8
	d.fs.stamp(a, d.fs.mounted)
}

var _ = (fusefs.NodeStatfser)((*dir)(nil))

// Statfs tells the progress: the size is the list's, as far as it is known, and
// used is what is materialized. It never touches the network.
func (d *dir) Statfs(_ context.Context, out *fuse.StatfsOut) syscall.Errno {
	const bsize = 4096
	t := d.fs.set.Totals()
	out.Bsize, out.Frsize, out.NameLen = bsize, bsize, 255
	out.Blocks = uint64(t.TotalBytes+bsize-1) / bsize
	out.Bfree = out.Blocks - min(out.Blocks, uint64(t.PresentBytes+bsize-1)/bsize)
	out.Bavail = out.Bfree
	out.Files = uint64(t.FilesTotal)
	out.Ffree = uint64(t.FilesTotal - t.FilesComplete)
	return 0
}
