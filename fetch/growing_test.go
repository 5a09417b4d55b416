package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/cache/hosttest"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

// readAll reads a file of unknown length to its end, n bytes at a time, and
// checks every byte.
func (x *fixture) readAll(ctx context.Context, h *Handle, n int) error {
	c := x.contents[h.file.name]
	p := make([]byte, n)
	var off int64
	for {
		k, err := h.ReadAt(ctx, p, off)
		if k > 0 {
			if err := c.Check(p[:k], off); err != nil {
				return err
			}
		}
		off += int64(k)
		if errors.Is(err, io.EOF) && off == c.Size {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func TestFileOfUnknownLengthMaterializesAndIsReadWhileItGrows(t *testing.T) {
	for _, mode := range []Mode{PrefetchAll, PrefetchNone} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 5<<20+77)
			x.add("empty", 0)
			nolength := origintest.NoLength()
			x.Inject(nolength, origintest.HeadLength(-1), origintest.Throttle(1<<20))
			x.opts.Prefetch, x.opts.Serve = mode, true
			x.start()
			defer x.background()()
			h := x.open("a")
			defer h.Close()
			if _, ok := h.Copy().(*cache.Stream); !ok {
				t.Fatalf("%T", h.Copy())
			}
			began := time.Now()
			x.checkSome(h, 1000)
			if time.Since(began) > 2*time.Second {
				t.Error("the first bytes came with the last")
			}
			if s := x.File("a").Status(); s.State != "fetching" || s.Size != -1 || s.Present == 0 {
				t.Errorf("while it grows: %+v", s)
			}
			together(t, 3, func(i int) error { return x.readAll(t.Context(), h, 1000*(i+1)) })
			wantHit(t, nolength)
			for x.File("a").Status().State != "complete" {
				advance(time.Second)
			}
			x.materialized("a")
			check(t, x.readAll(t.Context(), h, 50_000)) // the old handle goes on
			again := x.open("a")
			defer again.Close()
			x.readSized(again)
			x.wantGets("a", 1+x.headless("a"))
		})
	}
}

// headless is how many requests only asked for the length.
func (x *fixture) headless(name string) (n int) {
	for _, r := range x.Log() {
		if r.Method == "GET" && r.Path == "/"+name && r.BodyBytes < x.contents[name].Size {
			n++
		}
	}
	return n
}

func (x *fixture) checkSome(h *Handle, n int) {
	x.t.Helper()
	p := make([]byte, n)
	k, err := h.ReadAt(x.t.Context(), p, 0)
	check(x.t, err)
	check(x.t, x.contents[h.file.name].Check(p[:k], 0))
}

// readSized reads a file whose length is known by now.
func (x *fixture) readSized(h *Handle) {
	x.t.Helper()
	c := x.contents[h.file.name]
	if size := h.Copy().Version().Size; size != c.Size {
		x.t.Errorf("size %d, want %d", size, c.Size)
	}
	p := make([]byte, c.Size)
	_, err := h.ReadAt(x.t.Context(), p, 0)
	check(x.t, err)
	check(x.t, c.Check(p, 0))
}

func TestBrokenBodyOfUnknownLengthStartsAgain(t *testing.T) {
	for _, validators := range []bool{true, false} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 5<<20)
			cut := origintest.CutAfter(3 << 20).Method("GET").Times(2)
			x.Inject(origintest.NoLength(), origintest.HeadLength(-1), cut)
			if !validators {
				x.Inject(origintest.Header("ETag", ""), origintest.Header("Last-Modified", ""))
			}
			x.start()
			check(t, x.Run(t.Context()))
			wantHit(t, cut)
			x.materialized("a")
		})
	}
}

func TestBodyOfUnknownLengthThatNeverEndsWellFails(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 5<<20)
		cut := origintest.CutAfter(3 << 20).Method("GET")
		x.Inject(origintest.NoLength(), origintest.HeadLength(-1), cut,
			origintest.Header("ETag", ""), origintest.Header("Last-Modified", ""))
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "failed", "broke off")
		if hits := cut.Hits(); hits > 3*maxRestarts {
			t.Errorf("asked %d times", hits)
		}
		if _, err := os.Lstat(filepath.Join(x.dir, "a")); err == nil {
			t.Error("published")
		}
	})
}

// A body without a length that ends early looks as if it were whole. HEAD may
// know better.
func TestBodyOfUnknownLengthThatEndsEarlyIsDoubted(t *testing.T) {
	for _, always := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 5<<20)
			early := origintest.EndAfter(80_000).Method("GET")
			if !always {
				early.Times(1)
			}
			busy := origintest.Status(503).Method("HEAD").Times(2)
			x.Inject(busy, origintest.NoRanges(), early)
			x.start()
			check(t, x.Run(t.Context()))
			wantHit(t, early)
			wantHit(t, busy)
			if !always {
				x.materialized("a")
				return
			}
			x.wantState("a", "failed", "HEAD says")
			if _, err := os.Lstat(filepath.Join(x.dir, "a")); err == nil {
				t.Error("published")
			}
		})
	}
}

func TestOriginThatSaysTheLengthAtLast(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 5<<20)
		silent := origintest.NoLength().Method("GET").Times(1)
		x.Inject(silent, origintest.HeadLength(-1))
		x.start()
		h := x.open("a") // asks with HEAD, with GET, and then for the whole
		defer h.Close()
		x.read(h, 1<<20, 1000)
		wantHit(t, silent)
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

func TestStoppingWhileAFileGrows(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 50<<20)
		x.Inject(origintest.NoLength(), origintest.HeadLength(-1), origintest.Throttle(1<<20))
		x.start()
		stop := x.background()
		h := x.open("a")
		reader := make(chan error, 1)
		go func() { reader <- x.readAll(t.Context(), h, 1000) }() // ends with the engine
		advance(3 * time.Second)
		synctest.Wait()
		stop()
		x.Set.Close()
		wantError(t, <-reader, errClosing)
		h.Close()
		x.restart()
		x.Clear()
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

func TestReaderOfAGrowingFileIsNotBoundToIt(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 5<<20)
		x.originOpts.Timeout = time.Hour
		stall := origintest.StallAfter(1 << 20)
		x.Inject(origintest.NoLength(), origintest.HeadLength(-1), stall)
		x.start()
		h := x.open("a")
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := x.readAll(ctx, h, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		wantHit(t, stall)
		if origin.KindOf(context.DeadlineExceeded) != origin.Transient {
			t.Error("a reader's patience is no origin's fault")
		}
	})
}

// An answer that never comes ends as a body does, for net/http: with io.EOF.
func TestHostThatDiesInABodyOfUnknownLengthDoesNotEndIt(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 5<<20)
		x.Inject(origintest.NoLength(), origintest.HeadLength(-1), origintest.Throttle(1<<20))
		x.opts.Serve, x.opts.Prefetch, x.originOpts.Tries = true, PrefetchNone, 2
		x.start()
		h := x.open("a")
		x.checkSome(h, 1000)
		x.Down()
		_, err := h.ReadAt(t.Context(), make([]byte, 1), 3<<20)
		if err == nil || errors.Is(err, io.EOF) {
			t.Errorf("beyond what came there is %v", err)
		}
		h.Close()
		x.wantState("a", "failed", "http://origin/a") // net/http has several words for it
		if _, err := os.Lstat(filepath.Join(x.dir, "a")); err == nil {
			t.Error("what came of the file was published")
		}
		x.Up()
		advance(time.Minute)
		again := x.open("a")
		defer again.Close()
		check(t, x.readAll(t.Context(), again, 50_000))
	})
}

// closing is a server that knows GET alone. Its answers have no length: send writes the body of
// the nth, and then the connection is closed. It also returns the count of answers.
func closing(t *testing.T, start func(http.Handler) *httptest.Server, send func(n int64, conn net.Conn)) (*httptest.Server, *atomic.Int64) {
	gets := new(atomic.Int64)
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		n := gets.Add(1)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
		send(n, conn)
	}))
	t.Cleanup(s.Close)
	return s, gets
}

// TestEmptyBodyIsDoubted: a body without a length whose connection is closed before the
// first byte is read again, and believed when there is none again.
func TestEmptyBodyIsDoubted(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	for name, tt := range map[string]struct {
		empty, size, gets int64 // answers without a byte before the others
	}{
		"broken once":  {1, 3 * bs, 2},
		"always empty": {9, 0, 2},
	} {
		x := newFixture(t)
		t.Cleanup(x.stop)
		s, gets := closing(t, httptest.NewServer, func(n int64, conn net.Conn) {
			if n > tt.empty {
				io.Copy(conn, x.contents["a"].Reader())
			}
		})
		x.url = s.URL
		x.add("a", tt.size)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if n := gets.Load(); n != tt.gets {
			t.Errorf("%s: asked %d times, want %d", name, n, tt.gets)
		}
	}
}

// TestBodyCutOffTLSIsDoubted: over TLS, a body without a length that ends without a
// close_notify is read again, and believed when it ends at the same byte twice.
func TestBodyCutOffTLSIsDoubted(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	const size = 3 * bs
	for name, tt := range map[string]struct {
		cuts []int64 // where the connection is cut, by request; then it is closed well
		gets int64
	}{
		"closed well":                    {nil, 1},
		"cut once":                       {[]int64{bs}, 2},
		"cut twice, at different bytes":  {[]int64{bs, 2 * bs}, 3},
		"cut before the first byte":      {[]int64{0}, 2},
		"never closed well, but at once": {[]int64{size, size, size, size}, 2},
	} {
		x := newFixture(t)
		t.Cleanup(x.stop)
		s, gets := closing(t, httptest.NewTLSServer, func(n int64, conn net.Conn) {
			if n > int64(len(tt.cuts)) {
				io.Copy(conn, x.contents["a"].Reader())
				return
			}
			io.CopyN(conn, x.contents["a"].Reader(), tt.cuts[n-1])
			conn.(*tls.Conn).NetConn().Close()
		})
		x.url, x.originOpts.TLS = s.URL, s.Client().Transport.(*http.Transport).TLSClientConfig
		x.add("a", size)
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if n := gets.Load(); n != tt.gets {
			t.Errorf("%s: asked %d times, want %d", name, n, tt.gets)
		}
	}
}
