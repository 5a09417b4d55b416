package fetch

import (
	"fmt"
	"testing"
)

// What fs does most: everything is present.
func BenchmarkReadWarm(b *testing.B) {
	for _, n := range []int64{4 << 10, 128 << 10} {
		for _, name := range []string{"complete", "partial"} {
			b.Run(fmt.Sprintf("%s/%dKiB", name, n>>10), func(b *testing.B) {
				x := overTCP(b)
				x.add("complete", 8<<20)
				x.add("partial", 1<<30)
				x.start()
				h := x.open(name)
				defer h.Close()
				x.read(h, 0, 8<<20)
				p := make([]byte, n)
				b.SetBytes(n)
				b.ReportAllocs()
				off := int64(0)
				for b.Loop() {
					if _, err := h.ReadAt(b.Context(), p, off); err != nil {
						b.Fatal(err)
					}
					off = (off + n) % (4 << 20)
				}
			})
		}
	}
}

// A random read of a block that is missing: one request over the loopback.
func BenchmarkReadMissing(b *testing.B) {
	x := overTCP(b)
	x.add("a", 1<<40)
	x.start()
	h := x.open("a")
	defer h.Close()
	p := make([]byte, 4096)
	b.SetBytes(bs)
	off := int64(0)
	for b.Loop() {
		if _, err := h.ReadAt(b.Context(), p, off); err != nil {
			b.Fatal(err)
		}
		off += 2 * slack
	}
}

// 256 MiB over the loopback, in one file and in many.
func BenchmarkRun(b *testing.B) {
	const total = 256 << 20
	for _, files := range []int64{1, 16, 1024} {
		b.Run(fmt.Sprintf("%dfiles", files), func(b *testing.B) {
			b.SetBytes(total)
			for b.Loop() {
				b.StopTimer()
				x := overTCP(b)
				for i := range files {
					x.add(fmt.Sprint(i), total/files)
				}
				x.start()
				b.StartTimer()
				check(b, x.Run(b.Context()))
				b.StopTimer()
				x.stop()
				b.StartTimer()
			}
		})
	}
}
