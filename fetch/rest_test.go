package fetch

import (
	"testing"

	"dlfs/cache"
)

// resting reports whether a file is at rest.
func resting(f *File) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.rest != nil
}

// TestFilesRest: of a file whose size was asked for, little more than the size is kept. Who
// opens it finds the version that was told, without another request for it.
func TestFilesRest(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 30*bs) // of a shorter one, a read brings all
		x.add("b", 5*bs)
		x.opts.Prefetch, x.opts.Serve = PrefetchNone, true
		x.start()
		stop := x.background()
		advance(1e9)
		a, b := x.File("a"), x.File("b")
		totals := func(known int, bytes, present int64) {
			t.Helper()
			if s := x.Totals(); s.FilesKnown != known || s.TotalBytes != bytes || s.PresentBytes != present {
				t.Errorf("totals %+v, want %d known files of %d bytes, and %d present", s, known, bytes, present)
			}
		}
		if !resting(a) || !resting(b) || a.Known().Version().Size != 30*bs {
			t.Fatalf("probed: %+v, %+v", a.Status(), b.Status())
		}
		if asked := len(x.Log()); asked != 2 {
			t.Errorf("%d requests for two sizes", asked)
		}
		totals(2, 35*bs, 0)
		if s := a.Status(); s.State != "waiting" || s.Size != 30*bs || !resting(a) {
			t.Errorf("status %+v", s)
		}
		gen := a.Known().Generation()
		h := x.open("a")
		x.read(h, 0, 10)
		if _, is := a.Known().(*cache.Blob); !is || a.Known().Generation() != gen || h.Copy() != a.Known() {
			t.Errorf("an open file is %T", a.Known())
		}
		x.wantGets("a", 1)
		totals(2, 35*bs, bs)
		h.Close()
		stop()

		x.restart()
		defer x.background()()
		advance(1e9)
		a, b = x.File("a"), x.File("b")
		if resting(a) || a.Known().Present() != bs || !resting(b) {
			t.Errorf("after a restart: %+v, %+v", a.Status(), b.Status())
		}
		totals(2, 35*bs, bs)
		if got := b.Blob().Version().Size; got != 5*bs || resting(b) {
			t.Errorf("blob of %d bytes", got)
		}
		totals(2, 35*bs, bs)
		if asked := len(x.Log()); asked != 3 {
			t.Errorf("%d requests in all", asked)
		}
	})
}

// TestFileWakesWithoutItsRecord: where the index has lost the record of a file at rest, its
// origin is asked again.
func TestFileWakesWithoutItsRecord(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", bs)
		x.opts.Prefetch, x.opts.Serve = PrefetchNone, true
		x.start()
		f := x.File("a")
		_, err := f.Probe(t.Context())
		check(t, err)
		if !resting(f) {
			t.Fatalf("%+v", f.Status())
		}
		f.mu.Lock()
		f.mu.rest = &cache.Outline{} // of a generation that no record has
		f.mu.Unlock()
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, bs)
		if n := len(x.Log()); n != 3 { // HEAD, HEAD, GET
			t.Errorf("%d requests", n)
		}
		if s := x.Totals(); s.FilesKnown != 1 || s.TotalBytes != bs {
			t.Errorf("totals %+v", s)
		}
	})
}
