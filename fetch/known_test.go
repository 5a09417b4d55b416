package fetch

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origintest"
)

// turns has the origin answer the GETs for name by the two files in turns.
func (x *fixture) turns(name string, a, b origintest.File) {
	x.Put("/"+name, a)
	each := func(f origintest.File) *origintest.Fault {
		return origintest.Swap(f).On("/" + name).Method("GET").Times(1 << 30)
	}
	x.Inject(each(a), each(b).Every(2))
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

// bare is a file that nothing but its size tells from another.
func bare(c origintest.Content) origintest.File {
	return origintest.File{Content: c, ETag: "-", ModTime: time.Unix(0, 0)}
}

// Without ranges and validators, an answer repeats what came before, and shows by
// that whether it is of the same version.
func TestRepeatedBytesAreCompared(t *testing.T) {
	for _, broken := range []int64{300_000, 3<<20 + 17} {
		for _, unknown := range []bool{false, true} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 4<<20)
				second := other(x.contents["a"], 0)
				x.Put("/a", bare(x.contents["a"]))
				cut := origintest.CutAfter(broken).Method("GET").Times(1)
				x.Inject(origintest.NoRanges(), cut)
				x.Inject(origintest.Swap(bare(second)).On("/a").Method("GET").After(1))
				if unknown {
					x.Inject(origintest.Chunked())
				}
				x.start()
				check(t, x.Run(t.Context()))
				x.publishedIsOneOf("a", second)
				wantHit(t, cut)
			})
		}
	}
}

// The same after a restart, where the bytes are on disk alone.
func TestRepeatedBytesAreComparedWithTheDisk(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		second := other(x.contents["a"], 0)
		x.Put("/a", bare(x.contents["a"]))
		stall := origintest.StallAfter(3 << 20).Method("GET")
		x.Inject(origintest.NoRanges(), stall)
		x.start()
		stop := x.background()
		advance(5 * time.Second)
		stop()
		x.stop()
		x.Clear()
		x.Inject(origintest.NoRanges())
		x.Put("/a", bare(second))
		x.start()
		if c, err := x.File("a").Probe(t.Context()); err != nil || c.(*cache.Blob).Present() == 0 {
			t.Fatalf("nothing is there of before: %v", err)
		}
		check(t, x.Run(t.Context()))
		x.publishedIsOneOf("a", second)
		wantHit(t, stall)
	})
}

func (x *fixture) publishedIsOneOf(name string, versions ...origintest.Content) {
	x.t.Helper()
	got, err := os.ReadFile(filepath.Join(x.dir, name))
	check(x.t, err)
	for _, v := range versions {
		if bytes.Equal(got, v.Bytes()) {
			return
		}
	}
	x.t.Errorf("what is published of %s is no version of it", name)
}
