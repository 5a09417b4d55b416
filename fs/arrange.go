//go:build linux

package fs

import (
	"maps"
	"slices"
	"strings"
	"time"

	"dlfs/fetch"
)

// catalog is the files of a list in the order of their names. In that order the
// files below a directory are one run, so a directory needs no memory before
// its first lookup: names that are thousands of directories deep cost no more than
// their text in the list. It is immutable once it is the tree's.
type catalog struct {
	files []*fetch.File
	since time.Time
	gen   uint64 // the tree's first is 1
}

// newCatalog sorts the files by name, so that the names of a directory are one run of it.
func newCatalog(files []*fetch.File) *catalog {
	sorted := slices.Clone(files)
	slices.SortFunc(sorted, func(a, b *fetch.File) int { return strings.Compare(a.Name(), b.Name()) })
	return &catalog{files: sorted, since: time.Now()}
}

// below returns the files whose names begin with prefix and, if that is not
// empty, those after them.
func (c *catalog) below(prefix string) []*fetch.File {
	i, _ := slices.BinarySearchFunc(c.files, prefix, func(f *fetch.File, prefix string) int { return strings.Compare(f.Name(), prefix) })
	return c.files[i:]
}

// has reports whether there is a directory of that path, "" being the root.
func (c *catalog) has(path string) bool {
	if path == "" {
		return true
	}
	files := c.below(path + "/")
	return len(files) > 0 && strings.HasPrefix(files[0].Name(), path+"/")
}

// listing is what a directory has. It is immutable once it is a directory's.
type listing struct {
	dirs   map[string]*dir
	prefix int           // how much of a file's name is the path of the directory, with its slash; in bytes
	items  []*fetch.File // sorted by name; a directory is there as the first file below it
	since  time.Time
}

// item returns the name at i, and its file, nil for a directory. The name is cut from that of
// the file, so a list of a million files has no memory for it here.
func (l *listing) item(i int) (name string, file *fetch.File) {
	name, _, deeper := strings.Cut(l.items[i].Name()[l.prefix:], "/")
	if deeper {
		return name, nil
	}
	return name, l.items[i]
}

// byName compares what the directory has of two files by name.
func (l *listing) byName(a, b *fetch.File) int {
	first, _, _ := strings.Cut(a.Name()[l.prefix:], "/")
	second, _, _ := strings.Cut(b.Name()[l.prefix:], "/")
	return strings.Compare(first, second)
}

// at returns the index of a name, false if the directory does not have it.
func (l *listing) at(name string) (i int, there bool) {
	return slices.BinarySearchFunc(l.items, name, func(f *fetch.File, name string) int {
		first, _, _ := strings.Cut(f.Name()[l.prefix:], "/")
		return strings.Compare(first, name)
	})
}

// file returns the file of a name, nil if there is none.
func (l *listing) file(name string) *fetch.File {
	if i, there := l.at(name); there {
		_, file := l.item(i)
		return file
	}
	return nil
}

// listing makes the listing of the directory at path. dirOf returns the
// directory at a path below it.
func (c *catalog) listing(path string, dirOf func(path string) *dir) *listing {
	prefix := path
	if path != "" {
		prefix += "/"
	}
	l := &listing{dirs: map[string]*dir{}, prefix: len(prefix), items: []*fetch.File{}, since: c.since}
	for _, f := range c.below(prefix) {
		rest, inside := strings.CutPrefix(f.Name(), prefix)
		if !inside {
			break
		}
		name, _, deeper := strings.Cut(rest, "/")
		if _, there := l.dirs[name]; there && deeper {
			continue
		}
		if deeper {
			l.dirs[name] = dirOf(f.Name()[:len(prefix)+len(name)])
		}
		l.items = append(l.items, f)
	}
	if len(l.dirs) > 0 { // "a.b" is before "a/b" in the catalog
		slices.SortFunc(l.items, l.byName)
	}
	l.items = slices.Clone(l.items) // without room for more
	return l
}

// now returns what the directory has. It never waits for a network. The first
// caller makes the listing, and later ones get the same.
func (d *dir) now() *listing {
	if l := d.list.Load(); l != nil {
		return l
	}
	f := d.fs
	f.tree.Lock()
	defer f.tree.Unlock()
	if l := d.list.Load(); l != nil {
		return l
	}
	l := f.tree.catalog.listing(d.path, func(path string) *dir { return f.dirLocked(d, path) })
	d.list.Store(l)
	return l
}

// dirLocked returns the directory at path, in parent, made if need be.
func (f *fileSystem) dirLocked(parent *dir, path string) *dir {
	d := f.tree.dirs[path]
	if d == nil {
		d = &dir{fs: f, parent: parent, path: path, gen: f.tree.catalog.gen}
		f.tree.dirs[path] = d
	}
	return d
}

// change is what a directory has no longer, or has something else for.
type change struct {
	dir  *dir
	gone []string
}

// show has the directories list the files, and returns those that list something
// else than before. A directory comes before its parent: it is whole when it
// first can be found, and empty when it no longer can.
func (f *fileSystem) show(files []*fetch.File) (changes []change) {
	c := newCatalog(files)
	f.tree.Lock()
	defer f.tree.Unlock()
	if f.root == nil {
		f.root = &dir{fs: f}
		f.tree.catalog, f.tree.dirs = &catalog{}, map[string]*dir{"": f.root}
	}
	c.gen = f.tree.catalog.gen + 1
	old := f.tree.dirs
	f.tree.catalog = c
	f.tree.dirs = make(map[string]*dir, len(old))
	for path, d := range old {
		if c.has(path) {
			f.tree.dirs[path] = d
		}
	}
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(old))) {
		d := old[path]
		was, is := d.list.Load(), &listing{since: c.since}
		switch {
		case f.tree.dirs[path] != d: // gone
		case was == nil:
			continue // it was never looked up
		default:
			is = c.listing(path, func(path string) *dir { return f.dirLocked(d, path) })
		}
		if was != nil && was.same(is) {
			is.since = was.since
			d.list.Store(is) // was may be the last to hold a file that the list has no longer
			continue
		}
		d.list.Store(is)
		if was != nil {
			changes = append(changes, change{d, was.without(is)})
		}
	}
	return changes
}

// same reports whether other has the same names for the same files and directories.
func (l *listing) same(other *listing) bool {
	deeper := func(f *fetch.File) bool { return strings.Contains(f.Name()[l.prefix:], "/") }
	return maps.Equal(l.dirs, other.dirs) && slices.EqualFunc(l.items, other.items, func(a, b *fetch.File) bool {
		return a == b || deeper(a) && deeper(b) // of a directory, the first file may be another
	})
}

// without returns the names of l that do not mean the same in other.
func (l *listing) without(other *listing) (gone []string) {
	for i := range l.items {
		name, file := l.item(i)
		if l.dirs[name] != other.dirs[name] || file != other.file(name) {
			gone = append(gone, name)
		}
	}
	return gone
}

// split cuts a slash-separated path before its last component.
func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
