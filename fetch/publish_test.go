package fetch

import (
	"os"
	"path/filepath"
	"testing"
)

// TestPublishedFileHoldsNoMirrors: a file lets go of its mirrors when it is published, and
// makes them again for a repair in the same run.
func TestPublishedFileHoldsNoMirrors(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4*bs)
		x.add("b", 100)
		x.detail().Digest = sha256Of(x.contents["b"])
		x.start()
		lean := func() {
			t.Helper()
			for _, name := range []string{"a", "b"} {
				f := x.File(name)
				f.mu.Lock()
				if fi := f.fill(); f.mu.mirrors != nil || fi == nil || !fi.blob.Published() {
					t.Errorf("%s: mirrors %+v, fill %+v", name, f.mu.mirrors, fi)
				}
				f.mu.Unlock()
			}
		}
		check(t, x.Run(t.Context()))
		x.materialized("a", "b")
		lean()
		asked := len(x.Log())
		path := filepath.Join(x.dir, "b")
		info, err := os.Stat(path)
		check(t, err)
		x.flip("b", 7)
		check(t, os.Chtimes(path, info.ModTime(), info.ModTime())) // as a disk that fails leaves it
		x.repair()
		x.materialized("a", "b")
		if len(x.Log()) == asked {
			t.Error("the bad file was not fetched again")
		}
		lean()
	})
}
