package origin

import (
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

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
