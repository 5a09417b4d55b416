package main

import (
	"errors"
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The import table: what each package may import of this module, and which
// outside packages belong to one package alone. It keeps the layers apart, so
// that each can be understood, tested and replaced without the others.
var (
	mayImport = map[string][]string{
		"dlfs/listfile/digest":  nil,                                                                      // sums of contents: lists name them, origins send them
		"dlfs/listfile/header":  nil,                                                                      // what users may ask of origins: lists, flags and requests agree
		"dlfs/listfile":         {"dlfs/listfile/digest", "dlfs/listfile/header"},                         // text in, entries out
		"dlfs/cache":            {"dlfs/cache/lockorder"},                                                 // storage knows no network: crash tests need no origin
		"dlfs/cache/lockorder":  nil,                                                                      // the order of all locks needs none of what they guard
		"dlfs/cache/hosttest":   nil,                                                                      // nor does what tests ask of their host
		"dlfs/cache/powercut":   nil,                                                                      // a disk for tests knows nothing of what is on it
		"dlfs/fetch/origin":     {"dlfs/cache/lockorder", "dlfs/listfile/digest", "dlfs/listfile/header"}, // HTTP knows no blocks and no disks
		"dlfs/fetch/origintest": {"dlfs/cache/hosttest"},                                                  // an origin shares no code with what it tests
		"dlfs/fetch/hosts":      {"dlfs/cache", "dlfs/cache/lockorder"},                                   // who may ask a host for how much: no HTTP, no files
		"dlfs/fetch/peers":      {"dlfs/cache/lockorder"},                                                 // which machine to ask: no HTTP, no files, no clock
		"dlfs/fetch/evict":      nil,                                                                      // what goes first: no files, no disk
		"dlfs/fetch/peerhttp":   {"dlfs/fetch/peers"},                                                     // what machines say to each other: no files, no disks
		"dlfs/fetch":            {"dlfs/fetch/evict", "dlfs/fetch/peers", "dlfs/fetch/peerhttp", "dlfs/fetch/hosts", "dlfs/cache", "dlfs/cache/lockorder", "dlfs/fetch/origin", "dlfs/listfile/digest", "dlfs/listfile"},
		"dlfs/fs":               {"dlfs/fetch", "dlfs/fetch/origin", "dlfs/cache", "dlfs/cache/lockorder"}, // no list, no HTTP
		"dlfs/cmd/dlfs/web":     nil,                                                                       // a page for a browser needs nothing of what it shows
		"dlfs/cmd/dlfs":         {"dlfs/cmd/dlfs/web", "dlfs/fs", "dlfs/fetch", "dlfs/fetch/peers", "dlfs/fetch/peerhttp", "dlfs/fetch/origin", "dlfs/cache", "dlfs/cache/lockorder", "dlfs/listfile", "dlfs/listfile/header"},
		"dlfs/cmd/dlfs-peers":   {"dlfs/fetch/origintest"}, // to it dlfs is a program like others
		"dlfs/cmd/dlfs-bench":   {"dlfs/fetch/origintest"}, // to it, too
	}
	onlyIn = map[string]struct {
		packages []string
		why      string
	}{
		"github.com/dgraph-io/badger/v4":  {[]string{"dlfs/cache"}, "the index is the store's secret"},
		"github.com/hanwen/go-fuse/v2/fs": {[]string{"dlfs/fs", "dlfs/cache/powercut"}, "FUSE is an adapter, not a foundation; and it makes disks for tests"},
		"net/http": {[]string{"dlfs/fetch/origin", "dlfs/fetch/peerhttp", "dlfs/listfile/digest", "dlfs/listfile/header", "dlfs/listfile", "dlfs/fetch", "dlfs/fetch/origintest", "dlfs/cmd/dlfs", "dlfs/cmd/dlfs/web", "dlfs/cmd/dlfs-bench"},
			"what HTTP means is decided in one place; machines ask each other in another; the others carry headers there, cmd has the control socket, the page in the browser and the demo, and the bench asks without dlfs"},
		"github.com/alecthomas/kong":                     {[]string{"dlfs/cmd/dlfs"}, "flags are the command's"},
		"github.com/prometheus/client_golang/prometheus": {[]string{"dlfs/cmd/dlfs"}, "the others count, and know no monitor"},
		"testing": {[]string{"dlfs/fetch/origintest", "dlfs/cache/hosttest"}, "what ships does not test itself"},
	}
)

func TestImports(t *testing.T) {
	for path, imports := range importsOfModule(t) {
		allowed, known := mayImport[path]
		if !known {
			t.Errorf("package %s is not in the import table", path)
		}
		for _, i := range imports {
			if strings.HasPrefix(i, "dlfs/") && !slices.Contains(allowed, i) {
				t.Errorf("%s must not import %s", path, i)
			}
			if rule, ok := onlyIn[i]; ok && !slices.Contains(rule.packages, path) {
				t.Errorf("%s must not import %s: %s", path, i, rule.why)
			}
		}
	}
}

// importsOfModule returns what each package of this module imports on this system, by its
// path, without its tests. It reads the sources itself: "go list" wants a cache, which a user
// without a home directory does not have.
func importsOfModule(t *testing.T) map[string][]string {
	t.Helper()
	all := map[string][]string{}
	for _, top := range []string{"cmd", "fs", "fetch", "cache", "listfile"} {
		err := filepath.WalkDir(filepath.Join("..", "..", top), func(dir string, d fs.DirEntry, err error) error {
			switch {
			case err != nil || !d.IsDir():
				return err
			case d.Name() == "testdata":
				return filepath.SkipDir
			}
			p, err := build.ImportDir(dir, 0)
			if errors.As(err, new(*build.NoGoError)) {
				return nil
			}
			if err != nil {
				return err
			}
			path := "dlfs/" + filepath.ToSlash(strings.TrimPrefix(dir, filepath.Join("..", "..")+string(filepath.Separator)))
			all[path] = p.Imports
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(all) < len(mayImport) {
		t.Fatalf("%d packages were found, and the import table has %d", len(all), len(mayImport))
	}
	return all
}
