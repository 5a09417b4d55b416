package main

import (
	"go/build"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layers is what each package of this module may import of the others. Imports
// point one way: listfile names the bytes, fetch gets them, cache keeps them,
// fs shows them, cmd wires.
var layers = map[string]struct {
	may []string
	why string
}{
	"listfile":         {nil, "a list is text: reading it needs no network and no disk, so it can be fuzzed alone"},
	"cache":            {nil, "what is on disk is tested with crashes, not with origins: it knows of no network"},
	"fetch/origin":     {nil, "the HTTP client knows neither blocks nor disks: its promises hold for any use"},
	"fetch":            {[]string{"cache", "fetch/origin"}, "a file joins its blob and its origin, and must work and be tested without FUSE and without lists"},
	"fetch/origintest": {nil, "an origin that knew the client would share its mistakes"},
	"fs":               {[]string{"cache", "fetch", "fetch/origin"}, "the adapter has no logic of its own: it sees files, their blobs and their errors"},
	"cmd/dlfs":         {[]string{"cache", "fetch", "fetch/origin", "fs", "listfile"}, "the program wires the others; what tests are made of stays out of it"},
}

// wardens are the packages that alone may import a package from outside.
var wardens = []struct {
	path string // and what is below it
	who  []string
	why  string
}{
	{"github.com/dgraph-io/badger", []string{"cache"}, "the index can be replaced as long as one package knows what it is"},
	{"github.com/hanwen/go-fuse", []string{"fs"}, "everything but the adapter works, and is tested, without a mount"},
	{"net/http", []string{"fetch/origin", "fetch/origintest", "cmd/dlfs"}, "what HTTP means is decided in one place"},
}

func TestImports(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(layers)) {
		pkg, err := build.ImportDir("../../"+name, 0)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, path := range pkg.Imports {
			checkLayer(t, name, path)
			checkWarden(t, name, path)
		}
	}
}

func checkLayer(t *testing.T, name, path string) {
	t.Helper()
	of, ours := strings.CutPrefix(path, "dlfs/")
	if ours && !slices.Contains(layers[name].may, of) {
		t.Errorf("%s must not import %s: %s", name, of, layers[name].why)
	}
}

func checkWarden(t *testing.T, name, path string) {
	t.Helper()
	for _, w := range wardens {
		if (path == w.path || strings.HasPrefix(path, w.path+"/")) && !slices.Contains(w.who, name) {
			t.Errorf("%s must not import %s: %s", name, path, w.why)
		}
	}
}

// A package without a row in the table would escape it.
func TestEveryPackageHasALayer(t *testing.T) {
	found := map[string]bool{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && (name == "testdata" || len(name) > 2 && name[0] == '.') {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, ".go") {
			found[filepath.ToSlash(strings.TrimPrefix(filepath.Dir(path), "../../"))] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range found {
		if _, ok := layers[name]; !ok {
			t.Errorf("%s is not in the table of layers", name)
		}
	}
}
