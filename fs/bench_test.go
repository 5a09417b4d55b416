//go:build linux

package fs

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Reads of a complete file of 64 MiB, and for comparison of the file itself in
// the output directory. All from the page cache, after the first round.
func BenchmarkRead(b *testing.B) {
	const size = 1024 * bs
	for _, way := range []string{"passthrough", "NoPassthrough", "plain"} {
		b.Run(way, func(b *testing.B) {
			if way == "passthrough" {
				needRoot(b)
			}
			x := newRig(b)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			x.ctx = ctx
			x.config.NoPassthrough = way == "NoPassthrough"
			x.add("a", size)
			x.start()
			x.whole("a")
			path := x.path("a")
			if way == "plain" {
				path = filepath.Join(x.config.Dir, "a")
			}
			for name, n := range map[string]int{"sequential128KiB": 128 << 10, "random4KiB": 4 << 10} {
				b.Run(name, func(b *testing.B) {
					f, err := os.Open(path)
					must(b, err)
					defer f.Close()
					rng := rand.New(rand.NewPCG(1, 1))
					p, off := make([]byte, n), int64(0)
					b.SetBytes(int64(n))
					for b.Loop() {
						if _, err := f.ReadAt(p, off); err != nil {
							b.Fatal(err)
						}
						off = (off + int64(n)) % size
						if n == 4<<10 {
							off = rng.Int64N(size/4096) * 4096
						}
					}
				})
			}
		})
	}
}

// Open, one read and close of a complete file.
func BenchmarkOpen(b *testing.B) {
	for _, no := range []bool{false, true} {
		name := map[bool]string{false: "passthrough", true: "NoPassthrough"}[no]
		b.Run(name, func(b *testing.B) {
			if !no {
				needRoot(b)
			}
			x := newRig(b)
			x.config.NoPassthrough = no
			x.add("a", 10)
			x.start()
			x.whole("a")
			for b.Loop() {
				f, err := os.Open(x.path("a"))
				must(b, err)
				x.read(f, "a", 0, 10)
				must(b, f.Close())
			}
		})
	}
}
