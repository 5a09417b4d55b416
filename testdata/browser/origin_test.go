package browser

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// hostile is a name that would run a script if the page took it for HTML, and that would
// reorder the line it stands in.
const hostile = "\u202e<img src=x onerror=\"window.hacked=1\">&amp;.bin"

// origin serves files slowly, so that a browser sees them come.
type origin struct {
	url string

	mu     sync.Mutex
	sizes  map[string]int64 // by name
	broken map[string]bool  // answered with 404
	asked  []string         // names, in order
	rate   int              // bytes a second, for each connection
}

func newOrigin(t *testing.T) *origin {
	o := &origin{sizes: map[string]int64{}, broken: map[string]bool{}, rate: 1 << 20}
	s := httptest.NewServer(o)
	t.Cleanup(s.Close)
	o.url = s.URL
	return o
}

// add shows a file.
func (o *origin) add(name string, size int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.sizes[name] = size
}

// breaks has the origin have a file no longer, or again.
func (o *origin) breaks(name string, broken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.broken[name] = broken
}

// speed sets how fast each connection is.
func (o *origin) speed(rate int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.rate = rate
}

// was reports whether a file was asked for.
func (o *origin) was(name string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, n := range o.asked {
		if n == name {
			return true
		}
	}
	return false
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := strings.TrimPrefix(r.URL.Path, "/")
	o.mu.Lock()
	size, there := o.sizes[name]
	there = there && !o.broken[name]
	o.asked = append(o.asked, name)
	o.mu.Unlock()
	if !there {
		http.Error(w, "<script>window.hacked=2</script>", http.StatusNotFound)
		return
	}
	body := make([]byte, size)
	rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)}).Read(body) // never fails
	w.Header().Set("ETag", fmt.Sprintf(`"%d"`, size))
	http.ServeContent(&slowly{ResponseWriter: w, o: o, r: r}, r, "", time.Unix(1700000000, 0), bytes.NewReader(body))
}

// slowly writes a body at the rate of the origin.
type slowly struct {
	http.ResponseWriter
	o *origin
	r *http.Request
}

func (w *slowly) Write(p []byte) (n int, err error) {
	const step = 64 << 10
	for len(p) > 0 && err == nil {
		w.o.mu.Lock()
		rate := w.o.rate
		w.o.mu.Unlock()
		var k int
		k, err = w.ResponseWriter.Write(p[:min(step, len(p))])
		n, p = n+k, p[k:]
		select {
		case <-time.After(time.Duration(k) * time.Second / time.Duration(rate)):
		case <-w.r.Context().Done():
			return n, w.r.Context().Err()
		}
	}
	return n, err
}

// ReadFrom keeps io.Copy from going around Write.
func (w *slowly) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{w}, r)
}

// list writes a list of files of the origin, and returns where it is.
func (o *origin) list(t *testing.T, dir string, names ...string) string {
	t.Helper()
	var b strings.Builder
	for _, name := range names {
		fmt.Fprintf(&b, "%s\t%s/%s?sig=CANARY\n", name, o.url, url.PathEscape(name))
	}
	path := filepath.Join(dir, "list.txt")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
