package fs

import (
	"maps"
	"slices"
	"strings"
	"time"

	"dlfs/fetch"
)

// arrangement is the tree that a list of files asks for, before it is shown.
type arrangement struct {
	fs    *fileSystem
	gen   uint64
	now   time.Time
	old   map[string]*dir // the directories shown until now, by path; they are kept
	dirs  map[string]*dir // those of the list, by path
	lists map[string]*listing
}

// arrange arranges the files of a list in directories.
func (f *fileSystem) arrange(files []*fetch.File) *arrangement {
	a := &arrangement{fs: f, gen: f.shown, now: time.Now(), old: f.dirs, dirs: map[string]*dir{}, lists: map[string]*listing{}}
	a.at("") // even of an empty list
	for _, file := range files {
		path, base := split(file.Name())
		a.at(path).files[base] = file
	}
	for _, l := range a.lists {
		l.names = slices.AppendSeq(make([]string, 0, len(l.dirs)+len(l.files)), maps.Keys(l.dirs))
		l.names = slices.AppendSeq(l.names, maps.Keys(l.files))
		slices.Sort(l.names)
	}
	return a
}

// at returns the listing of the directory at path, made with its parents if
// need be.
func (a *arrangement) at(path string) *listing {
	if l := a.lists[path]; l != nil {
		return l
	}
	l := a.listing()
	a.lists[path] = l
	d := a.old[path]
	if path == "" {
		if d == nil {
			d = &dir{fs: a.fs, gen: a.gen}
		}
		a.dirs[path] = d
		return l
	}
	above, base := split(path)
	in := a.at(above)
	if d == nil {
		d = &dir{fs: a.fs, parent: a.dirs[above], path: path, gen: a.gen}
	}
	in.dirs[base], a.dirs[path] = d, d
	return l
}

func (a *arrangement) listing() *listing {
	return &listing{dirs: map[string]*dir{}, files: map[string]*fetch.File{}, since: a.now}
}

// change is what a directory has no longer, or has something else for.
type change struct {
	dir  *dir
	gone []string
}

// show has the directories list what was arranged, and returns those that list
// something else than before. A directory comes before its parent: it is whole
// when it first can be found, and empty when it no longer can.
func (f *fileSystem) show(a *arrangement) (changes []change) {
	all := maps.Clone(a.dirs)
	maps.Copy(all, a.old) // a directory that is kept is the same in both
	for _, path := range slices.Backward(slices.Sorted(maps.Keys(all))) {
		d, is := all[path], a.lists[path]
		if is == nil {
			is = a.listing()
		}
		was := d.list.Load()
		if was != nil && maps.Equal(was.dirs, is.dirs) && maps.Equal(was.files, is.files) {
			continue
		}
		d.list.Store(is)
		if was != nil {
			changes = append(changes, change{d, was.without(is)})
		}
	}
	f.dirs = a.dirs
	f.shown++
	return changes
}

// without returns the names of l that do not mean the same in other.
func (l *listing) without(other *listing) (gone []string) {
	for _, name := range l.names {
		if l.dirs[name] != other.dirs[name] || l.files[name] != other.files[name] {
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
