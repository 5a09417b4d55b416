package fetch

import (
	"testing"

	"dlfs/fetch/origintest"
)

// What GET says of the version is right where HEAD says something else. A reader does not notice,
// since no byte was shown of what HEAD told.
func TestHeadTellsAnotherVersion(t *testing.T) {
	get, head := "GET", "HEAD"
	for name, faults := range map[string][]*origintest.Fault{
		"tag":            {origintest.Header("ETag", `"x-gzip"`).Method(head), origintest.Header("Last-Modified", "")},
		"weak at HEAD":   {origintest.WeakETag().Method(head)},
		"weak at GET":    {origintest.WeakETag().Method(get), origintest.Header("Last-Modified", "")},
		"none at GET":    {origintest.Header("ETag", "").Method(get), origintest.Header("Last-Modified", "").Method(get)},
		"none at HEAD":   {origintest.Header("ETag", "").Method(head), origintest.Header("Last-Modified", "").Method(head)},
		"tag and date":   {origintest.Header("ETag", `"x"`).Method(head), origintest.Header("Last-Modified", "Mon, 02 Nov 2020 10:00:00 GMT").Method(head)},
		"tag, then date": {origintest.Header("Last-Modified", "").Method(head), origintest.Header("ETag", "").Method(get)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 5<<20)
				x.Inject(faults...)
				x.opts.Serve = true
				x.start()
				one, other := x.open("a"), x.open("a")
				defer one.Close()
				defer other.Close()
				check(t, x.readPart(one, 1<<20, 100))
				check(t, x.readPart(other, 3<<20, 100))
				check(t, other.Ensure(t.Context(), 0, 5<<20))
				check(t, x.readPart(one, 0, 5<<20))
				wantHit(t, faults...)
			})
		})
	}
}

// All handles of a version that HEAD told go on with the same version: they share an inode, and
// the pages of it. So none goes on with a still newer one.
func TestHandlesGoOnWithOneVersion(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 5<<20)
		x.Inject(origintest.Header("ETag", `"x-gzip"`).Method("HEAD").Times(1), origintest.Header("Last-Modified", ""))
		x.opts.Serve = true
		x.start()
		one, other := x.open("a"), x.open("a")
		defer one.Close()
		defer other.Close()
		check(t, x.readPart(one, 0, 100))
		x.show("a", origintest.Content{Size: 5 << 20, Seed: 99})
		wantError(t, x.readPart(one, 4<<20, 100), ErrStale)
		wantError(t, x.readPart(other, 4<<20, 100), ErrStale)
		h := x.open("a")
		defer h.Close()
		check(t, x.readPart(h, 4<<20, 100))
		wantError(t, x.readPart(other, 4<<20, 100), ErrStale)
	})
}

// readPart reads [off +n) and compares it with what the origin has, whatever version it tells.
func (x *fixture) readPart(h *Handle, off, n int64) error {
	p := make([]byte, n)
	if _, err := h.ReadAt(x.t.Context(), p, off); err != nil {
		return err
	}
	return x.contents[h.file.name].Check(p, off)
}

// A tag without quotes is no entity tag, but another one is another version, as with weak tags.
func TestTagWithoutQuotesTellsVersionsApart(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20)
		undated, first := origintest.Header("Last-Modified", ""), origintest.Header("ETag", "build-1")
		x.Inject(undated, first)
		x.opts.Serve = true
		x.start()
		h := x.open("a")
		defer h.Close()
		check(t, x.readPart(h, 0, 100))
		wantHit(t, undated, first)
		x.Clear()
		x.Inject(undated, origintest.Header("ETag", "build-2"))
		x.show("a", other(x.contents["a"], 0))
		wantError(t, x.readPart(h, 6<<20, 100), ErrStale)
		again := x.open("a")
		defer again.Close()
		check(t, x.readPart(again, 0, 100))
		check(t, x.readPart(again, 6<<20, 100))
	})
}
