package fs

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"dlfs/fetch"
	"dlfs/listfile"
)

// entriesOf lists names, at an origin that nobody asks.
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
	f.show(f.arrange(set.Files()))
	f.root = f.dirs[""]
	return f
}

// check compares all that can be found from the root with names.
func (f *fileSystem) check(t *testing.T, names ...string) {
	t.Helper()
	var found []string
	var walk func(d *dir)
	walk = func(d *dir) {
		l := d.list.Load()
		if !slices.IsSorted(l.names) || len(l.names) != len(l.dirs)+len(l.files) {
			t.Errorf("%q lists %q", d.path, l.names)
		}
		for name, sub := range l.dirs {
			if sub.parent != d || sub.path != strings.TrimPrefix(d.path+"/"+name, "/") || sub.fs != f || f.dirs[sub.path] != sub {
				t.Errorf("%q in %q is %q", name, d.path, sub.path)
			}
			walk(sub)
		}
		for name, file := range l.files {
			if strings.TrimPrefix(d.path+"/"+name, "/") != file.Name() || f.set.File(file.Name()) != file {
				t.Errorf("%q in %q is %q", name, d.path, file.Name())
			}
			found = append(found, file.Name())
		}
	}
	walk(f.root)
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
	root := f.root.list.Load()
	if n := len(root.names); n != 102 {
		t.Errorf("%d names at the root", n)
	}
	if d := f.dirs["one/two"]; d.parent != root.dirs["one"] || !slices.Equal(d.list.Load().names, []string{"three"}) {
		t.Errorf("one/two is %q with %q", d.path, d.list.Load().names)
	}
}

func TestTreeOfNothing(t *testing.T) {
	f := treeOf(setOf(t))
	f.check(t)
	if l := f.root.list.Load(); l.names == nil {
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
			before, lists := f.dirs, map[*dir]*listing{}
			for _, d := range before {
				lists[d] = d.list.Load()
			}
			f.set.Reload(entriesOf(is...))
			changes := f.show(f.arrange(f.set.Files()))
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
				if now := f.dirs[path]; now != nil && now != d {
					t.Errorf("%q is another directory", path)
				}
				if same := d.list.Load() == lists[d]; same == slices.Contains(changed, path) {
					t.Errorf("%q has the listing of before: %v; changed: %q", path, same, changed)
				}
			}
		})
	}
}

func TestADirectoryThatComesBackIsAnother(t *testing.T) {
	f := treeOf(setOf(t, "a/b"))
	first := f.dirs["a"]
	for _, names := range [][]string{{}, {"a/b"}} {
		f.set.Reload(entriesOf(names...))
		f.show(f.arrange(f.set.Files()))
		f.check(t, names...)
	}
	if d := f.dirs["a"]; d == first || d.gen == first.gen {
		t.Errorf("it is the one that went: %d, %d", d.gen, first.gen)
	}
	if n := first.list.Load().names; len(n) != 0 {
		t.Errorf("the one that went has %q", n)
	}
}
