package origin

import (
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// mirror is a Resource of /b.tar at another host, which shows f. It has yet to
// prove that it serves what is wanted.
func (x *fixture) mirror(f origintest.File, opts ResourceOptions) {
	x.Put("/b.tar", f)
	x.url, x.opts = "http://mirror/b.tar", opts
}

// The first contact of a URL with a version that another one told.
func TestMirrorProvesItself(t *testing.T) {
	day, other, epoch := time.Unix(1e9, 0), time.Unix(2e9, 0), time.Unix(0, 0)
	const none = Kind(-1)
	type file = origintest.File
	of := func(n int64, etag string, mod time.Time) file {
		return file{Content: origintest.Content{Seed: 1, Size: n}, ETag: etag, ModTime: mod}
	}
	tests := []struct {
		name           string
		want, mirror   file
		kind, suffices Kind // suffices: where the size does
	}{
		{"all the same", of(size, "a", day), of(size, "a", day), none, none},
		{"other size", of(size, "a", day), of(size+1, "a", day), Changed, Changed},
		{"entity tag, other date", of(size, "a", day), of(size, "a", other), none, none},
		{"date, other entity tag", of(size, "a", day), of(size, "b", day), none, none},
		{"both differ", of(size, "a", day), of(size, "b", other), Changed, none},
		{"entity tag differs, no date", of(size, "a", epoch), of(size, "b", epoch), Changed, none},
		{"date differs, no entity tag", of(size, "-", day), of(size, "-", other), Changed, none},
		{"weak entity tags", of(size, `W/"a"`, epoch), of(size, `W/"a"`, epoch), Unproven, none},
		{"weak entity tags and dates", of(size, `W/"a"`, day), of(size, `W/"b"`, day), none, none},
		{"entity tag for a date", of(size, "-", day), of(size, "a", epoch), Unproven, none},
		{"mirror says nothing", of(size, "a", day), of(size, "-", epoch), Unproven, none},
		{"nothing was said", of(size, "-", epoch), of(size, "a", day), Unproven, none},
		{"nothing at all", of(size, "-", epoch), of(size, "-", epoch), Unproven, none},
	}
	for _, tt := range tests {
		for _, suffices := range []bool{false, true} {
			kind := tt.kind
			if suffices {
				kind = tt.suffices
			}
			t.Run(tt.name, func(t *testing.T) {
				for _, get := range []func(*fixture, *Version) ([]byte, error){
					func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.get(v, 1000, 500); return p, err },
					func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.getWhole(v); return p, err },
				} {
					bubble(t, func(t *testing.T, x *fixture) {
						x.Put("/a.tar", tt.want)
						want := x.pin()
						x.mirror(tt.mirror, ResourceOptions{SizeSuffices: suffices})
						p, err := get(x, want)
						if kind == none {
							if err != nil || len(p) == 0 {
								t.Errorf("suffices=%t: %d bytes, %v", suffices, len(p), err)
							}
							return
						}
						wantKind(t, err, kind)
						if len(p) > 0 {
							t.Errorf("%d bytes", len(p))
						}
					})
				}
			})
		}
	}
}

// Once it has proven itself, a mirror is held to its own validators, of which
// the first URL knows nothing.
func TestMirrorIsHeldToItsOwn(t *testing.T) {
	for _, change := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			day := time.Unix(1e9, 0)
			x.Put("/a.tar", origintest.File{Content: content, ETag: "a", ModTime: day})
			want := x.pin()
			x.mirror(origintest.File{Content: content, ETag: "b", ModTime: day}, ResourceOptions{})
			for range 3 {
				b, p, err := x.get(want, 0, 1000)
				x.wantBytes(p, 1000, err)
				if b.Version() != *want {
					t.Errorf("version %v", b.Version())
				}
			}
			x.wantRequests(3)
			if !change {
				return
			}
			x.Put("/b.tar", origintest.File{Content: content, ETag: "c", ModTime: day.Add(time.Hour)})
			_, _, err := x.get(want, 0, 1000)
			if e := wantKind(t, err, Changed); e.Now.ETag != `"c"` || e.Now.Size != size {
				t.Errorf("now %v", e.Now)
			}
		})
	}
}

// A version that the Resource told itself needs no proof, validators or not:
// by Probe, by Get, or as what a file changed to.
func TestToldVersionsNeedNoProof(t *testing.T) {
	bare := func(n int64) origintest.File {
		return origintest.File{Content: origintest.Content{Seed: 1, Size: n}, ETag: "-", ModTime: time.Unix(0, 0)}
	}
	read := func(t *testing.T, x *fixture, want Version) {
		t.Helper()
		_, p, err := x.get(&want, 0, 1000)
		x.wantBytes(p, 1000, err)
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.mirror(bare(size), ResourceOptions{})
		for _, useHead := range []bool{false, true} {
			v, _, err := x.probe(useHead)
			if err != nil {
				t.Fatal(err)
			}
			read(t, x, v)
		}
		b, _, err := x.get(nil, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		read(t, x, b.Version())

		x.Put("/b.tar", bare(size+5))
		was := b.Version()
		_, _, err = x.get(&was, 0, 10)
		read(t, x, wantKind(t, err, Changed).Now)
	})
	bubble(t, func(t *testing.T, x *fixture) { // nor does what earlier runs were told
		x.mirror(bare(size), ResourceOptions{Pinned: true})
		read(t, x, Version{Size: size})
		_, _, err := x.get(&Version{Size: size, ETag: `"a"`}, 0, 10)
		wantKind(t, err, Unproven)
	})
}

// A body of the old version never goes on with the new one, though the Resource
// was asked for that meanwhile.
func TestVersionsOfOneResourceDoNotMix(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		cut := origintest.CutAfter(1000).Times(1)
		x.Inject(cut)
		was := x.pin()
		b, err := x.resource().Get(t.Context(), was, 0, 50_000)
		if err != nil {
			t.Fatal(err)
		}
		x.Put("/a.tar", origintest.File{Content: origintest.Content{Seed: 5, Size: size}})
		if v, _, err := x.resource().Probe(t.Context(), true); err != nil || v == *was {
			t.Errorf("probed %v, %v", v, err)
		}
		_, p, err := x.read(b, 0, err)
		wantKind(t, err, Changed)
		if len(p) != 1000 {
			t.Errorf("%d bytes", len(p))
		}
		wantHit(t, cut)
	})
}
