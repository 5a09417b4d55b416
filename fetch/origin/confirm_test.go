package origin

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

var otherVersion = origintest.File{Content: origintest.Content{Seed: 7, Size: size}, ModTime: time.Unix(2e9, 0)}

// One answer of another version is no change: a cache on the way may have it.
func TestOddAnswerIsNoChange(t *testing.T) {
	odd := map[string]func() *origintest.Fault{
		"size": func() *origintest.Fault { return origintest.CompleteLength("300000").Times(1) },
		"date": func() *origintest.Fault {
			return origintest.Header("Last-Modified", "Sun, 09 Sep 2001 01:46:41 GMT").Times(1)
		},
		"416": func() *origintest.Fault { return origintest.Status(416, "Content-Range", "bytes */10").Times(1) },
	}
	for name, newFault := range odd {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Put("/a.tar", origintest.File{Content: content, ETag: "-"})
				want := x.pin()
				fault := newFault()
				x.Inject(fault)
				_, p, err := x.get(want, 1000, 5000)
				x.wantBytes(p, 5000, err)
				x.wantRanges("bytes=1000-5999", "bytes=0-0", "bytes=1000-5999")
				wantHit(t, fault)
			})
		})
	}
}

// Two answers that follow say so too.
func TestChangeIsConfirmed(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		x.Put("/a.tar", otherVersion)
		_, _, err := x.get(want, 1000, 5000)
		e := wantKind(t, err, Changed)
		x.wantRanges("bytes=1000-5999", "bytes=0-0", "bytes=0-0")
		now, _, err := x.resource().Probe(t.Context(), true)
		if e.Now != now || err != nil {
			t.Errorf("now %v, should be %v, %v", e.Now, now, err)
		}
	})
}

// Who meets the same change later asks nothing more.
func TestChangeIsConfirmedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		x.Put("/a.tar", otherVersion)
		slow := origintest.FirstByteAfter(time.Second)
		x.Inject(slow)
		var flights sync.WaitGroup
		for range 10 {
			flights.Go(func() { // awaited below
				_, _, err := x.get(want, 1000, 5000)
				if e := wantKind(t, err, Changed); e.Now.Size != size {
					t.Errorf("now %v", e.Now)
				}
			})
		}
		flights.Wait()
		x.wantRequests(10 + 2)
		wantHit(t, slow)
	})
}

// Where it cannot be confirmed, nothing is believed; it is asked again.
func TestChangeThatCannotBeConfirmed(t *testing.T) {
	for _, fault := range []*origintest.Fault{
		origintest.Status(500), origintest.Status(404), origintest.Status(416), origintest.Page(200),
		origintest.Gzip(), origintest.CutAfter(-1), origintest.WrongContentRange(""),
	} {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.c.opts.Tries = 3
				want := x.pin()
				x.Put("/a.tar", otherVersion)
				x.Inject(fault.When(func(r *http.Request) bool { return r.Header.Get("Range") == "bytes=0-0" }))
				_, _, err := x.get(want, 1000, 5000)
				wantKind(t, err, Transient)
				x.Clear()
				_, _, err = x.get(want, 1000, 5000)
				wantKind(t, err, Changed)
				wantHit(t, fault)
			})
		})
	}
}

// A cluster whose replicas have entity tags of their own, or one that makes a
// new one each time: size and date tell, and it is said once.
func TestUnstableEntityTag(t *testing.T) {
	for _, tags := range [][]string{{"a", "b"}, {"a", "b", "b"}, {"a", "b", "c"}, nil} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.opts.Known = pieceOf(content)
			short := origintest.ShortRange(2000)
			rotate := origintest.RotateETag(tags...)
			x.Inject(short, rotate)
			v, _, err := x.probe(false)
			if err != nil {
				t.Fatal(err)
			}
			_, p, err := x.get(&v, 0, 50_000)
			x.wantBytes(p, 50_000, err)
			if got := strings.Count(x.log.String(), "entity tag differs"); got != 1 {
				t.Errorf("%q: said %d times: %s", tags, got, &x.log)
			}

			x.Clear()
			x.Put("/a.tar", otherVersion)
			_, _, err = x.get(&v, 0, 50_000)
			wantKind(t, err, Changed) // the date still tells
			wantHit(t, short, rotate)
		})
	}
}

// Without a date nothing else tells, unless the size suffices.
func TestUnstableEntityTagAlone(t *testing.T) {
	for _, suffices := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.opts.SizeSuffices, x.opts.Known = suffices, pieceOf(content)
			x.Put("/a.tar", origintest.File{Content: content, ModTime: time.Unix(0, 0)})
			want := x.pin()
			rotate := origintest.RotateETag()
			x.Inject(rotate)
			_, p, err := x.get(want, 0, 5000)
			if suffices {
				x.wantBytes(p, 5000, err)
				x.Put("/a.tar", origintest.File{Content: origintest.Content{Seed: 1, Size: 10}})
				_, _, err = x.get(want, 0, 5000)
			}
			wantKind(t, err, Changed)
			wantHit(t, rotate)
		})
	}
}

// The change of a file behind a redirect is confirmed by its URL: it is the
// target that may be old.
func TestConfirmGoesRoundTheTarget(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		to := x.elsewhere()
		_, p, err := x.get(nil, 0, 1000)
		x.wantBytes(p, 1000, err)
		want, err := x.resource().Get(t.Context(), nil, 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		want.Close()
		v := want.Version()
		x.Put("/a.tar", otherVersion)
		_, _, err = x.get(&v, 0, 1000)
		wantKind(t, err, Changed)
		x.wantAsked(map[string]int{"/start": 3, "/a.tar": 5})
		wantHit(t, to)
	})
}

// pieceOf returns pieces of c, as a caller does that has some of it.
func pieceOf(c origintest.Content) func(Version) (int64, []byte) {
	return func(Version) (int64, []byte) {
		p := make([]byte, 1000)
		off := rand.Int64N(c.Size - 1000)
		c.ReadAt(p, off) // never fails
		return off, p
	}
}

// turns has the answers to GET come of the two in turns. Both have the same size and
// date.
func (x *fixture) turns(a, b origintest.File) {
	x.Inject(origintest.Swap(a).Times(1<<30), origintest.Swap(b).Every(2).Times(1<<30))
}

// Two builds behind one name, of the same size and date: no answer of the other is
// ever read.
func TestTwoBuildsAreNotMixed(t *testing.T) {
	for _, tags := range [][2]string{{"a", "b"}, {`W/"a"`, `W/"b"`}} {
		for _, suffices := range []bool{false, true} {
			bubble(t, func(t *testing.T, x *fixture) {
				date := time.Unix(1e9, 0)
				one := origintest.File{Content: content, ETag: tags[0], ModTime: date}
				two := origintest.File{Content: otherVersion.Content, ETag: tags[1], ModTime: date}
				x.opts.SizeSuffices, x.opts.Known = suffices, pieceOf(content)
				x.c.opts.Tries = 3
				x.Put("/a.tar", one)
				want := x.pin()
				x.turns(one, two)
				for off := int64(0); off < 100_000; off += 10_000 {
					_, p, err := x.get(want, off, 10_000)
					if err != nil && KindOf(err) != Changed {
						wantKind(t, err, Transient)
					} else if err := content.Check(p, off); err != nil {
						t.Error(err)
					}
				}
				x.Clear()
				x.Put("/a.tar", two)
				_, _, err := x.get(want, 0, 1000)
				wantKind(t, err, Changed)
			})
		}
	}
}

// A tag means nothing only where content has agreed; replicas with the same content
// and tags of their own are one.
func TestReplicasWithTagsOfTheirOwn(t *testing.T) {
	for _, tags := range [][3]string{{"a", "b", "c"}, {`W/"a"`, `W/"b"`, `W/"c"`}} {
		bubble(t, func(t *testing.T, x *fixture) {
			date := time.Unix(1e9, 0)
			one := origintest.File{Content: content, ETag: tags[0], ModTime: date}
			two := origintest.File{Content: content, ETag: tags[1], ModTime: date}
			x.opts.Known = pieceOf(content)
			x.Put("/a.tar", one)
			want := x.pin()
			x.turns(one, two)
			for off := int64(0); off < 100_000; off += 10_000 {
				_, p, err := x.get(want, off, 10_000) // which checks the bytes
				x.wantBytes(p, 10_000, err)
			}
			x.Clear()
			x.Put("/a.tar", origintest.File{Content: otherVersion.Content, ETag: tags[2], ModTime: date})
			_, _, err := x.get(want, 0, 1000)
			wantKind(t, err, Changed)
		})
	}
}

// While there is nothing to compare by, an answer with another tag is not read
// beside one with the first.
func TestNothingToCompareBy(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Tries = 2
		date := time.Unix(1e9, 0)
		x.opts.Known = func(Version) (int64, []byte) { return 0, nil }
		x.Put("/a.tar", origintest.File{Content: content, ETag: "a", ModTime: date})
		want := x.pin()
		_, p, err := x.get(want, 0, 1000)
		x.wantBytes(p, 1000, err)
		x.Put("/a.tar", origintest.File{Content: content, ETag: "b", ModTime: date})
		_, _, err = x.get(want, 1000, 1000)
		wantKind(t, err, Transient)
	})
}

// Of a version that HEAD alone told no byte was read: the tag of GET takes its place.
func TestTagOfHeadIsAnother(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		date := time.Unix(1e9, 0)
		x.opts.Known = func(Version) (int64, []byte) { return 0, nil }
		x.Put("/a.tar", origintest.File{Content: content, ETag: "a", ModTime: date})
		v, _, err := x.probe(true)
		if err != nil {
			t.Fatal(err)
		}
		x.Put("/a.tar", origintest.File{Content: content, ETag: "b", ModTime: date})
		_, p, err := x.get(&v, 0, 1000)
		x.wantBytes(p, 1000, err)
	})
}
