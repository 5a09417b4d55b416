package origintest

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"dlfs/cache/hosttest"
)

// randomRange returns a Range header around the edges of a file of this size.
func randomRange(r *rand.Rand, size int64) string {
	edges := []int64{0, 1, size / 2, size - 1, size, size + 1, 2 * size}
	pick := func() int64 { return max(0, edges[r.IntN(len(edges))]+r.Int64N(5)-2) }
	switch r.IntN(3) {
	case 0:
		return fmt.Sprintf("bytes=%d-", pick())
	case 1:
		return fmt.Sprintf("bytes=-%d", 1+pick()) // net/http answers -0 in its own way
	}
	off := pick()
	return fmt.Sprintf("bytes=%d-%d", off, off+r.Int64N(10))
}

// Without faults an Origin answers as http.ServeContent does.
func TestHonestIsLikeServeContent(t *testing.T) {
	const seed = 1
	r := rand.New(rand.NewPCG(seed, seed))
	day := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, size := range []int64{1, 2, 7, 100} {
		c := Content{Seed: 1, Size: size}
		o := New()
		o.Put("/f", File{Content: c, ETag: "v", ModTime: day})
		reference := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("ETag", `"v"`)
			w.Header().Set("Content-Type", "application/octet-stream")
			http.ServeContent(w, r, "f", day, bytes.NewReader(c.Bytes()))
		})
		for range 300 {
			rang := randomRange(r, size)
			got, want := record(o, rang), record(reference, rang)
			if got.Code != want.Code || got.Code != 416 && !bytes.Equal(got.Body.Bytes(), want.Body.Bytes()) {
				t.Errorf("size %d, %s: got %d %x, want %d %x", size, rang, got.Code, got.Body, want.Code, want.Body)
			}
			for _, key := range []string{"Content-Range", "Content-Length", "Content-Type", "ETag", "Last-Modified", "Accept-Ranges"} {
				if got.Code == 416 && key != "Content-Range" {
					continue // the body differs
				}
				if g, w := got.Header().Get(key), want.Header().Get(key); g != w {
					t.Errorf("size %d, %s: %s: got %q, want %q", size, rang, key, g, w)
				}
			}
		}
	}
}

// record asks an http.Handler without a connection.
func record(h http.Handler, rang string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/f", nil)
	r.Header.Set("Range", rang)
	h.ServeHTTP(w, r)
	return w
}

// Without a connection to reset, the answer is still cut.
func TestResetWithoutAConnection(t *testing.T) {
	o := New()
	o.Put("/f", File{Content: content})
	o.Inject(ResetAfter(5))
	defer func() {
		if got := recover(); got != http.ErrAbortHandler {
			t.Errorf("panic %v", got)
		}
		if got := o.Counts(); got.BodyBytes != 5 || got.Open != 0 {
			t.Errorf("counts %+v", got)
		}
	}()
	record(o, "")
}

func TestBodyShorterThanItsSize(t *testing.T) {
	o := New()
	o.Put("/f", File{Body: bytes.NewReader(nil), Size: 5})
	defer func() {
		if got, want := recover(), "origintest: body ends before its size: EOF"; got != want {
			t.Errorf("panic %v", got)
		}
	}()
	record(o, "")
}

// A reset under TLS is one of the TCP connection below it.
func TestResetUnderTLS(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	o := New()
	o.Put("/f", File{Content: content})
	s := httptest.NewTLSServer(o)
	defer s.Close()
	o.Inject(ResetAfter(100))
	resp, err := s.Client().Get(s.URL + "/f")
	if err != nil {
		return // RST overtook the headers
	}
	defer resp.Body.Close()
	p, err := io.ReadAll(resp.Body)
	if err == nil || len(p) > 100 || content.Check(p, 0) != nil {
		t.Errorf("got %d bytes, %v", len(p), err)
	}
}
