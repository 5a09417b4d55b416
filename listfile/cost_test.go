package listfile

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// generated is a list of n lines, each made by line as it is read, so that tests
// of memory hold none of it.
type generated struct {
	n    int
	line func(i int) string

	i    int
	rest string // of line i-1, not yet read
}

func (g *generated) Read(p []byte) (int, error) {
	total := 0
	for total < len(p) {
		if g.rest == "" {
			if g.i == g.n {
				break
			}
			g.rest = g.line(g.i)
			g.i++
		}
		n := copy(p[total:], g.rest)
		g.rest = g.rest[n:]
		total += n
	}
	if total == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return total, nil
}

// signedLine is a line of a real list: a short name in a directory and a signed
// URL of about 80 bytes.
func signedLine(i int) string {
	return fmt.Sprintf("images/%03d/%07d.tar\thttps://origin.example/v1/%07d.tar?expires=1700000000&sig=%024x\r\n", i%1000, i, i, i)
}

// TestRetained measures what a parsed list keeps alive.
func TestRetained(t *testing.T) {
	const n, bound = 200_000, 220
	before := heap()
	l, err := Parse(&generated{n: n, line: signedLine}, "list", Options{})
	if err != nil {
		t.Fatal(err)
	}
	after := heap()
	if len(l.Entries) != n {
		t.Fatalf("%d entries, want %d", len(l.Entries), n)
	}
	each := (int64(after) - int64(before)) / n
	t.Logf("%d bytes an entry, URL of %d bytes", each, len(l.Entries[0].URL))
	if each > bound {
		t.Errorf("%d bytes retained an entry, want at most %d", each, bound)
	}
	runtime.KeepAlive(l)
}

// heap returns the bytes alive.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestLongLineMemory reads a line of 50 MiB between two entries and counts all
// that was allocated on the way, alive or not.
func TestLongLineMemory(t *testing.T) {
	const n, bound = 50, 10 << 20
	mebibyte := strings.Repeat("x", 1<<20)
	text := io.MultiReader(
		strings.NewReader("a http://h/1\n"),
		&generated{n: n, line: func(int) string { return mebibyte }},
		strings.NewReader("\nb http://h/2\n"))

	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l, err := Parse(text, "list", Options{})
	runtime.ReadMemStats(&after)

	if want := "list:2: line is longer than 1048576 bytes; remove it or shorten it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if len(l.Entries) != 2 || l.Entries[1].Line != 3 {
		t.Errorf("got %q, want the entries of lines 1 and 3", entries(l))
	}
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d KiB allocated", allocated>>10)
	if allocated > bound {
		t.Errorf("%d bytes allocated, want at most %d", allocated, bound)
	}
}

// BenchmarkParse parses a million lines an iteration.
func BenchmarkParse(b *testing.B) {
	const n = 1_000_000
	var text strings.Builder
	for i := range n {
		text.WriteString(signedLine(i))
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		l, err := Parse(strings.NewReader(text.String()), "list", Options{})
		if err != nil || len(l.Entries) != n {
			b.Fatal(len(l.Entries), err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/line")
}
