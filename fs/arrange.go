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
	dirs  map[string]*dir
	items []item // of files and directories, sorted by name
	since time.Time
}

// item is one name.
type item struct {
	name string
	file *fetch.File // nil for a directory
}

// at returns the index of a name, false if the directory does not have it.
func (l *listing) at(name string) (i int, there bool) {
	return slices.BinarySearchFunc(l.items, name, func(it item, name string) int { return strings.Compare(it.name, name) })
}

// file returns the file of a name, nil if there is none.
func (l *listing) file(name string) *fetch.File {
	if i, there := l.at(name); there {
		return l.items[i].file
	}
	return nil
}

// listing makes the listing of the directory at path. dirOf returns the
// directory at a path below it.
func (c *catalog) listing(path string, dirOf func(path string) *dir) *listing {
	l := &listing{dirs: map[string]*dir{}, items: []item{}, since: c.since}
	prefix := path
	if path != "" {
		prefix += "/"
	}
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
			f = nil
		}
		l.items = append(l.items, item{name, f})
	}
	if len(l.dirs) > 0 { // "a.b" is before "a/b" in the catalog
		slices.SortFunc(l.items, func(a, b item) int { return strings.Compare(a.name, b.name) })
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
		if was != nil && maps.Equal(was.dirs, is.dirs) && slices.Equal(was.items, is.items) {
			continue
		}
		d.list.Store(is)
		if was != nil {
			changes = append(changes, change{d, was.without(is)})
		}
	}
	return changes
}

// without returns the names of l that do not mean the same in other.
func (l *listing) without(other *listing) (gone []string) {
	for _, it := range l.items {
		if l.dirs[it.name] != other.dirs[it.name] || it.file != other.file(it.name) {
			gone = append(gone, it.name)
		}
	}
	return gone
}

// split cuts a slash-separated path before its last component.
func split(path string) (dir, base string) {
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}
