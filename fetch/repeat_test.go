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
