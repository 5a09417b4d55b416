package fetch

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// turns has the origin answer the GETs for name by the two files in turns.
func (x *fixture) turns(name string, a, b origintest.File) {
	each := func(f origintest.File, turn int) *origintest.Fault {
		n := 0
		return origintest.Swap(f).On("/" + name).Method("GET").Times(1 << 30).
			When(func(*http.Request) bool { n++; return n%2 == turn })
	}
	x.Put("/"+name, a)
	x.Inject(each(a, 1), each(b, 0))
}

// Two builds of the same size and date behind one name are never mixed: not in what
// is read, and not in what is published, also after a restart.
func TestTwoBuildsBehindOneName(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		date := time.Unix(1e9, 0)
		one := origintest.File{Content: x.contents["a"], ETag: tagOf(x.contents["a"]), ModTime: date}
		second := other(x.contents["a"], 0)
		two := origintest.File{Content: second, ETag: tagOf(second), ModTime: date}
		x.versions.Store(two.ETag, second)
		x.turns("a", one, two)
		for range 3 {
			x.start()
			for off := int64(0); off < 8<<20; off += 1 << 20 {
				h, err := x.File("a").Open(t.Context())
				if err != nil {
					continue // an error is an honest answer
				}
				p := make([]byte, 1000)
				if _, err := h.ReadAt(t.Context(), p, off); err == nil {
					check(t, x.version(h.Copy()).Check(p, off))
				}
				h.Close()
			}
			x.stop()
		}
		x.start()
		x.Run(t.Context()) // which may fail: what it publishes counts
		got, err := os.ReadFile(filepath.Join(x.dir, "a"))
		if err == nil && !bytes.Equal(got, one.Content.Bytes()) && !bytes.Equal(got, second.Bytes()) {
			t.Error("what is published is neither build")
		}
	})
}

// Replicas with tags of their own cost no byte twice, but for the pieces that are
// compared.
func TestNoisyEntityTagCostsLittle(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		date := time.Unix(1e9, 0)
		one := origintest.File{Content: x.contents["a"], ETag: tagOf(x.contents["a"]), ModTime: date}
		two := one
		two.ETag = "replica"
		x.turns("a", one, two)
		for range 2 {
			x.start()
			check(t, x.readOnce("a", 3<<20, 1<<20))
			check(t, x.readOnce("a", 1<<20, 100_000))
			x.stop()
		}
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		x.wantBodyBytes(8<<20, 9<<20)
	})
}
