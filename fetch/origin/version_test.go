package origin

import (
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/listfile/digest"
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

func TestChanged(t *testing.T) {
	same, other := time.Unix(1e9, 0), time.Unix(2e9, 0)
	const none = Kind(-1)
	type file = origintest.File
	of := func(n int64, etag string, mod time.Time) file {
		return file{Content: origintest.Content{Seed: 1, Size: n}, ETag: etag, ModTime: mod}
	}
	epoch := time.Unix(0, 0) // no Last-Modified
	tests := []struct {
		name     string
		was, now file
		want     Kind
	}{
		{"the same", of(size, "a", same), of(size, "a", same), none},
		{"longer", of(size, "a", same), of(size+1, "a", same), Changed},
		{"shorter", of(size, "a", same), of(size-1, "a", same), Changed},
		{"much shorter", of(size, "a", same), of(10, "a", same), Changed}, // 416
		{"shorter, no validator", of(size, "-", epoch), of(10, "-", epoch), Changed},
		{"empty", of(size, "a", same), of(0, "a", same), Changed},
		{"entity tag", of(size, "a", same), of(size, "b", same), Changed},
		{"date", of(size, "-", same), of(size, "-", other), Changed},
		{"date, same entity tag", of(size, "a", same), of(size, "a", other), none},
		{"weak entity tags, same date", of(size, `W/"a"`, same), of(size, `W/"b"`, same), none},
		{"weak entity tags, other date", of(size, `W/"a"`, same), of(size, `W/"a"`, other), Changed},
		{"weak entity tag alone", of(size, `W/"a"`, epoch), of(size, `W/"b"`, epoch), none},
		{"entity tag made weak, same date", of(size, "a", same), of(size, `W/"a"`, same), none},
		{"entity tag made weak, other date", of(size, "a", same), of(size, `W/"a"`, other), Changed},
		{"entity tag gone, same date", of(size, "a", same), of(size, "-", same), none},
		{"entity tag gone, other date", of(size, "a", same), of(size, "-", other), Changed},
		{"entity tag gone, no date", of(size, "a", epoch), of(size, "-", epoch), Transient},
		{"date for an entity tag", of(size, "a", epoch), of(size, "-", same), Transient},
		{"entity tag for a date", of(size, "-", same), of(size, "a", epoch), Transient},
		{"date gone", of(size, "-", same), of(size, "-", epoch), Transient},
		{"both gone", of(size, "a", same), of(size, "-", epoch), Transient},
		{"never any", of(size, "-", epoch), of(size, "-", epoch), none},
		{"some at last", of(size, "-", epoch), of(size, "a", same), none},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, get := range []func(*fixture, *Version) ([]byte, error){
				func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.get(v, 1000, 500); return p, err },
				func(x *fixture, v *Version) ([]byte, error) { _, p, err := x.getWhole(v); return p, err },
			} {
				bubble(t, func(t *testing.T, x *fixture) {
					x.Put("/a.tar", tt.was)
					want := x.pin()
					swap := origintest.Swap(tt.now)
					x.Inject(swap)
					p, err := get(x, want)
					if tt.want == none {
						if err != nil || len(p) == 0 {
							t.Errorf("%d bytes, %v", len(p), err)
						}
					} else {
						wantKind(t, err, tt.want)
					}
					if tt.want == Changed {
						x.wantRequests(3) // it is confirmed
					}
					wantHit(t, swap)
				})
			}
		})
	}
}

// An empty entity tag is none: a date tells versions apart beside it, and the size alone without
// one, also where an earlier release kept the tag.
func TestEmptyTagIsNoValidator(t *testing.T) {
	same, other := time.Unix(1e9, 0), time.Unix(2e9, 0)
	for _, tag := range []string{`""`, `W/""`} {
		bubble(t, func(t *testing.T, x *fixture) {
			empty := origintest.Header("ETag", tag)
			x.Inject(empty)
			put := func(mod time.Time, n int64) {
				x.Put("/a.tar", origintest.File{Content: origintest.Content{Seed: 1, Size: n}, ModTime: mod})
			}
			put(same, size)
			want := x.pin()
			if want.ETag != "" || want.LastModified == "" {
				t.Fatalf("%s: pinned %v", tag, want)
			}
			put(other, size)
			_, _, err := x.get(want, 1000, 500)
			wantKind(t, err, Changed)

			put(time.Unix(0, 0), size) // has no date
			kept := &Version{Size: size, ETag: tag}
			x.opts.Pinned = true
			_, p, err := x.get(kept, 1000, 500)
			if len(p) != 500 || err != nil {
				t.Errorf("%s kept: %d bytes, %v", tag, len(p), err)
			}
			put(time.Unix(0, 0), size+1)
			_, _, err = x.get(kept, 1000, 500)
			wantKind(t, err, Changed)
			wantHit(t, empty)
		})
	}
}

// Once pinned, an entity tag stays, though an answer between left it out.
func TestPinDoesNotDrift(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		file := origintest.File{Content: content, ETag: "a", ModTime: time.Unix(1e9, 0)}
		x.Put("/a.tar", file)
		want := x.pin()
		short := origintest.ShortRange(1000)
		tags := origintest.RotateETag("a", "-", `W/"b"`, "b", "b", "b", "b")
		x.Inject(short, tags)
		_, p, err := x.get(want, 0, 50_000)
		wantKind(t, err, Changed)
		if len(p) != 3000 {
			t.Errorf("%d bytes before the change", len(p))
		}
		x.wantRequests(6) // it is confirmed
		wantHit(t, short, tags)
	})
}

// A validator that comes later is held to from then on.
func TestPinLearns(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.Put("/a.tar", origintest.File{Content: content, ETag: "-", ModTime: time.Unix(1e9, 0)})
		short := origintest.ShortRange(1000)
		tags := origintest.RotateETag("-", "a", "a", "b", "b", "b")
		x.Inject(short, tags)
		_, p, err := x.get(nil, 0, 50_000)
		wantKind(t, err, Changed)
		if len(p) != 3000 {
			t.Errorf("%d bytes before the change", len(p))
		}
		wantHit(t, short, tags)
	})
}

// Another version comes in while one body is read in short answers; bytes of
// both never meet.
func TestChangedMidway(t *testing.T) {
	for _, after := range []int{1, 2, 10} {
		bubble(t, func(t *testing.T, x *fixture) {
			swap := origintest.Swap(origintest.File{Content: origintest.Content{Seed: 7, Size: size}}).After(after)
			short := origintest.ShortRange(1000)
			x.Inject(short, swap)
			_, p, err := x.get(nil, 0, size)
			wantKind(t, err, Changed)
			if len(p) != after*1000 {
				t.Errorf("%d bytes of the first version", len(p))
			}
			wantHit(t, short, swap)
		})
	}
}

// A page in the place of a file, such as a captive portal's, does not make the
// file changed: what was fetched is kept, and asking goes on.
func TestPageIsNoVersion(t *testing.T) {
	pinned := Version{Size: 100, ETag: `"a"`}
	if err := pinned.check(Version{Size: 7}); KindOf(err) != Transient {
		t.Errorf("answer without a validator: %v, want a transient error", err)
	}
	if err := pinned.check(Version{Size: 7, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"}); KindOf(err) != Changed {
		t.Errorf("answer of another size with a validator: %v, want Changed", err)
	}
}

// A redirect may tell what its target does not.
func TestDigest(t *testing.T) {
	const (
		sum    = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
		md5    = "XrY7u+Ae7tCTyyK7j1rNww=="
		md5Hex = "md5:5eb63bbbe01eeed093cb22bb8f5acdc3"
	)
	tests := []struct {
		name   string
		faults []*origintest.Fault
		whole  bool
		want   string
	}{
		{"none", nil, true, ""},
		{"of the redirect", []*origintest.Fault{
			origintest.Header("X-Linked-Etag", `"`+sum+`"`).On("/start"), origintest.Header("Content-MD5", md5).On("/a.tar")}, true, "sha256:" + sum},
		{"of the body, whole", []*origintest.Fault{origintest.Header("Content-MD5", md5).On("/a.tar")}, true, md5Hex},
		{"of the body, a range", []*origintest.Fault{origintest.Header("Content-MD5", md5).On("/a.tar")}, false, ""},
		{"of a redirect's body", []*origintest.Fault{origintest.Header("Content-MD5", md5).On("/start")}, true, ""},
		{"of an error", []*origintest.Fault{origintest.Status(500).Times(1),
			origintest.Header("X-Linked-Etag", sum).On("/start").Times(1)}, true, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.elsewhere()
				x.Inject(tt.faults...)
				get := func() (*Body, []byte, error) { return x.get(nil, 0, 1000) }
				if tt.whole {
					get = func() (*Body, []byte, error) { return x.getWhole(nil) }
				}
				for range 2 { // the second goes to the target alone
					b, _, err := get()
					if err != nil {
						t.Fatal(err)
					}
					if got := b.Digest(); got.String() != tt.want {
						t.Errorf("got %q, want %q", got, tt.want)
					}
				}
				wantHit(t, tt.faults...)
			})
		})
	}
	if d := (&Body{}).Digest(); d != (digest.Digest{}) {
		t.Errorf("of nothing: %v", d)
	}
}

// What is told of one version is not told of the next.
func TestDigestIsOfTheVersion(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		told := origintest.Header("X-Linked-Etag", strings.Repeat("ab", 32)).Times(1)
		x.Inject(told)
		b, _, err := x.get(nil, 0, 1000)
		if err != nil || b.Digest().IsZero() {
			t.Errorf("no digest: %v", err)
		}
		x.Put("/a.tar", origintest.File{Content: content, ETag: "new"})
		b, _, err = x.get(nil, 0, 1000)
		if err != nil || !b.Digest().IsZero() {
			t.Errorf("digest %v, %v", b.Digest(), err)
		}
		wantHit(t, told)
	})
}
