package cache

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkPut(b *testing.B) {
	for _, n := range []int64{64 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			const span = 256 << 20 // written again and again
			blob := create(b, open(b, b.TempDir(), Options{SyncEvery: time.Second}), "a", span+1)
			p := pattern("a", 0, n)
			b.SetBytes(n)
			for i := int64(0); b.Loop(); i++ {
				check(b, blob.Put(i*n%span, p))
			}
		})
	}
}

func BenchmarkReadAt(b *testing.B) {
	for _, n := range []int64{4 << 10, 128 << 10} {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			const size = 16 << 20
			blob := create(b, open(b, b.TempDir(), Options{}), "a", size+1)
			check(b, blob.Put(0, pattern("a", 0, size)))
			p := make([]byte, n)
			b.SetBytes(n)
			for i := int64(0); b.Loop(); i++ {
				if _, err := blob.ReadAt(p, i*n%size); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMissing asks for all of a 10 GiB blob where only the last block
// is missing, and for a small extent that is present.
func BenchmarkMissing(b *testing.B) {
	const size = 10 << 30
	blob := create(b, open(b, b.TempDir(), Options{}), "a", size)
	last := blob.geo.blocks() - 1
	for i := range last {
		blob.bits.set(i)
	}
	for _, e := range []struct {
		name   string
		off, n int64
		want   bool
	}{{"whole", 0, size, false}, {"128KiB", size / 3, 128 << 10, true}} {
		b.Run(e.name, func(b *testing.B) {
			for b.Loop() {
				if blob.Has(e.off, e.n) != e.want {
					b.Fatal("wrong answer")
				}
			}
		})
	}
}
