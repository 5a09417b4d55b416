//go:build linux

package fs

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"dlfs/fetch"
	"dlfs/listfile"
)

// entriesOf lists names, at an origin that is not asked.
func entriesOf(names ...string) []listfile.Entry {
	list := make([]listfile.Entry, len(names))
	for i, n := range names {
		list[i] = listfile.Entry{Name: n, URL: "http://127.0.0.1:1/" + n}
	}
	return list
}

// treeOf shows the names of a set, without a mount.
func treeOf(set *fetch.Set) *fileSystem {
	f := &fileSystem{set: set}
	f.show(set.Files())
	f.walk(f.root, func(*dir, *listing) {})
	return f
}

// names returns the names of a directory.
func (l *listing) names() (names []string) {
	for i := range l.items {
		name, _ := l.item(i)
		names = append(names, name)
	}
	return names
}

// files returns the files of a directory by name.
func (l *listing) files() map[string]*fetch.File {
	files := map[string]*fetch.File{}
	for i := range l.items {
		if name, file := l.item(i); file != nil {
			files[name] = file
		}
	}
	return files
}

// walk calls at for d and every directory below, as a user who looks at all.
func (f *fileSystem) walk(d *dir, at func(*dir, *listing)) {
	l := d.now()
	at(d, l)
	for _, sub := range l.dirs {
		f.walk(sub, at)
	}
}

// check compares all that can be found from the root with names.
func (f *fileSystem) check(t *testing.T, names ...string) {
	t.Helper()
	var found []string
	f.walk(f.root, func(d *dir, l *listing) {
		if !slices.IsSorted(l.names()) || len(l.items) != len(l.dirs)+len(l.files()) {
			t.Errorf("%q lists %q", d.path, l.names())
		}
		for name, sub := range l.dirs {
			if sub.parent != d || sub.path != strings.TrimPrefix(d.path+"/"+name, "/") || sub.fs != f || f.tree.dirs[sub.path] != sub {
				t.Errorf("%q in %q is %q", name, d.path, sub.path)
			}
		}
		for name, file := range l.files() {
			if strings.TrimPrefix(d.path+"/"+name, "/") != file.Name() || f.set.File(file.Name()) != file {
				t.Errorf("%q in %q is %q", name, d.path, file.Name())
			}
			found = append(found, file.Name())
		}
	})
	slices.Sort(found)
	names = slices.Sorted(slices.Values(names))
	if !slices.Equal(found, names) {
		t.Errorf("shown: %d names, want %d: %.300q, want %.300q", len(found), len(names), found, names)
	}
}

func TestTreeOfManyNames(t *testing.T) {
	names := make([]string, 100_000)
	for i := range names {
		names[i] = fmt.Sprintf("%02d/%03d/f%d", i%100, i/100, i)
	}
	names[0], names[1] = "top", "one/two/three/four/five"
	f := treeOf(setOf(t, names...))
	f.check(t, names...)
	root := f.root.now()
	if n := len(root.items); n != 102 {
		t.Errorf("%d names at the root", n)
	}
	if d := f.tree.dirs["one/two"]; d.parent != root.dirs["one"] || !slices.Equal(d.now().names(), []string{"three"}) {
		t.Errorf("one/two is %q with %q", d.path, d.now().names())
	}
}

func TestTreeOfNothing(t *testing.T) {
	f := treeOf(setOf(t))
	f.check(t)
	if l := f.root.now(); l.items == nil {
		t.Error("names are nil")
	}
}

func TestShowTable(t *testing.T) {
	for _, tt := range []struct {
		name, was, is string
		gone          string // dir:name, in the order the kernel is told
	}{
		{"nothing", "a b/c", "a b/c", ""},
		{"another order", "a b/c", "b/c a", ""},
		{"added", "a", "a b", ""},
		{"added below", "a/b", "a/b a/c/d", ""},
		{"removed", "a b", "b", ":a"},
		{"all", "a b/c", "", "b:c :a :b"},
		{"from nothing", "", "a b/c", ""},
		{"a directory empties", "a/b/c d", "d", "a/b:c a:b :a"},
		{"one of two", "a/b a/c", "a/c", "a:b"},
		{"a file becomes a directory", "a", "a/b", ":a"},
		{"a directory becomes a file", "a/b", "a", "a:b :a"},
		{"elsewhere", "a/x b/y", "a/y b/x", "b:y a:x"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			was, is := strings.Fields(tt.was), strings.Fields(tt.is)
			f := treeOf(setOf(t, was...))
			before, lists := f.tree.dirs, map[*dir]*listing{}
			for _, d := range before {
				lists[d] = d.list.Load()
			}
			f.set.Reload(entriesOf(is...))
			changes := f.show(f.set.Files())
			f.check(t, is...)
			var gone, changed []string
			for _, c := range changes {
				changed = append(changed, c.dir.path)
				for _, name := range c.gone {
					gone = append(gone, c.dir.path+":"+name)
				}
			}
			if !slices.Equal(gone, strings.Fields(tt.gone)) {
				t.Errorf("gone: %q, want %q", gone, tt.gone)
			}
			for path, d := range before {
				if now := f.tree.dirs[path]; now != nil && now != d {
					t.Errorf("%q is another directory", path)
				}
				if same := d.list.Load().since.Equal(lists[d].since); same == slices.Contains(changed, path) {
					t.Errorf("%q has the time of before: %v; changed: %q", path, same, changed)
				}
			}
		})
	}
}

// TestListingHoldsNoFileThatIsGone: the root has the same directory after a reload, in which all
// files are others. What it knows the directory by is a file of the new list.
func TestListingHoldsNoFileThatIsGone(t *testing.T) {
	f := treeOf(setOf(t, "a/b", "a/c", "d"))
	old := f.root.now()
	f.set.Reload(entriesOf("a/x", "d"))
	f.show(f.set.Files())
	f.check(t, "a/x", "d")
	now := f.root.now()
	if !now.since.Equal(old.since) || !slices.Equal(now.names(), []string{"a", "d"}) {
		t.Errorf("root has %q since %v, had %q since %v", now.names(), now.since, old.names(), old.since)
	}
	for _, file := range now.items {
		if f.set.File(file.Name()) != file {
			t.Errorf("%q is held, and is no file of the list", file.Name())
		}
	}
}

func TestADirectoryThatComesBackIsAnother(t *testing.T) {
	f := treeOf(setOf(t, "a/b"))
	first := f.tree.dirs["a"]
	for _, names := range [][]string{{}, {"a/b"}} {
		f.set.Reload(entriesOf(names...))
		f.show(f.set.Files())
		f.check(t, names...)
	}
	if d := f.tree.dirs["a"]; d == first || d.gen == first.gen {
		t.Errorf("it is the one that went: %d, %d", d.gen, first.gen)
	}
	if n := first.now().names(); len(n) != 0 {
		t.Errorf("the one that went has %q", n)
	}
}

// Names that are thousands of directories deep take no more memory than a few
// times their length, before and after a user looks along one of them.
func TestTreeOfDeepNames(t *testing.T) {
	const files, depth = 200, 1990
	names := make([]string, files)
	length := 0
	for i := range names {
		names[i] = fmt.Sprint(i, "/", strings.Repeat("a/", depth), "f")
		length += len(names[i])
	}
	set := setOf(t, names...)
	before := liveHeap()
	f := &fileSystem{set: set}
	f.show(set.Files())
	look := func(name string) {
		d := f.root
		for part := range strings.SplitSeq(name, "/") {
			l := d.now()
			if file := l.file(part); file != nil && file.Name() == name {
				return
			}
			if d = l.dirs[part]; d == nil {
				t.Fatalf("%q is not found in %.50q", part, name)
			}
		}
		t.Errorf("%.50q is a directory", name)
	}
	look(names[100])
	if took := liveHeap() - before; took > 16*int64(length) {
		t.Errorf("names of %d bytes in all take %d in the tree", length, took)
	}
	set.Reload(entriesOf(names[:100]...))
	if changes := f.show(set.Files()); len(changes) != depth+2 || !slices.Equal(changes[len(changes)-1].gone[:1], []string{"100"}) {
		t.Errorf("%d directories have changed", len(changes))
	}
	look(names[99])
	if d := f.root.now().dirs["100"]; d != nil {
		t.Error("what is gone is found")
	}
}

func liveHeap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestSplitTable(t *testing.T) {
	for _, tt := range [][3]string{{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/c", "a/b", "c"}, {"", "", ""}} {
		if dir, base := split(tt[0]); dir != tt[1] || base != tt[2] {
			t.Errorf("split(%q) = %q, %q", tt[0], dir, base)
		}
	}
}

func TestInoTable(t *testing.T) {
	seen := map[uint64]string{}
	for i := range 1000 {
		for version := range uint64(20) {
			path := fmt.Sprintf("dir/%d", i)
			n, key := ino(path, version), fmt.Sprint(path, " ", version)
			if n < 2 {
				t.Fatalf("ino(%s) = %d", key, n)
			}
			if n != ino(path, version) {
				t.Fatalf("ino(%s) changes", key)
			}
			if old, ok := seen[n]; ok {
				t.Fatalf("ino of %s and %s are both %d", old, key, n)
			}
			seen[n] = key
		}
	}
	if ino("a", 0) == ino("a/", 0) {
		t.Error("a directory and a file share a number")
	}
}
