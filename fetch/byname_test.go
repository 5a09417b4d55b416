package fetch

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"dlfs/listfile"
)

func TestByName(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 1000} {
		files := make([]*File, n)
		for i := range files {
			files[i] = &File{name: fmt.Sprint("f", i)}
		}
		table := newByName(files)
		for _, f := range files {
			if table.find(f.name) != f {
				t.Errorf("%s of %d is not found", f.name, n)
			}
		}
		for _, name := range []string{"", "f", "g1", fmt.Sprint("f", n)} {
			if f := table.find(name); f != nil {
				t.Errorf("%q of %d is %q", name, n, f.name)
			}
		}
	}
}

// TestMemoryOfAFile: a set takes little for a file of which nothing is known, since a list may
// have a million.
func TestMemoryOfAFile(t *testing.T) {
	const n, bound = 100_000, 210
	x := newFixture(t)
	x.url = "http://origin.example"
	t.Cleanup(x.stop)
	x.start()
	entries := make([]listfile.Entry, n)
	for i := range entries {
		entries[i] = listfile.Entry{Name: fmt.Sprint("f", i), URL: x.url}
	}
	before := heapNow()
	set := New(context.Background(), x.store, x.client, entries, Options{})
	each := (heapNow() - before) / n
	runtime.KeepAlive(entries)
	if set.File("f1") == nil || each > bound {
		t.Errorf("%d bytes a file, want at most %d", each, bound)
	}
	t.Logf("%d bytes a file", each)
	set.Close()
}

func heapNow() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
