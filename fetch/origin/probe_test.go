package origin

import (
	"fmt"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// probe probes /a.tar and checks the bytes of head.
func (x *fixture) probe(useHead bool) (v Version, head []byte, err error) {
	x.t.Helper()
	v, head, err = x.resource().Probe(x.t.Context(), useHead)
	if len(head) > 0 && content.Check(head, 0) != nil {
		x.t.Error("wrong bytes")
	}
	return v, head, err
}

// wantMethods checks how the origin was asked.
func (x *fixture) wantMethods(want ...string) {
	x.t.Helper()
	var got []string
	for _, r := range x.Log() {
		got = append(got, r.Method+" "+r.Range)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		x.t.Errorf("asked %q, want %q", got, want)
	}
}

const getFirst = "GET bytes=0-65535"

func TestProbe(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := Version{Size: size, ETag: `"tag"`, LastModified: "Sun, 09 Sep 2001 01:46:40 GMT"}
		x.Put("/a.tar", origintest.File{Content: content, ETag: "tag", ModTime: time.Unix(1e9, 0)})

		v, head, err := x.probe(true)
		if v != want || head != nil || err != nil {
			t.Errorf("got %v, %d bytes, %v", v, len(head), err)
		}
		x.wantMethods("HEAD ")
		if got := x.Counts().BodyBytes; got != 0 {
			t.Errorf("%d body bytes", got)
		}

		x.ResetCounts()
		v, head, err = x.probe(false)
		if v != want || len(head) != firstBytes || err != nil {
			t.Errorf("got %v, %d bytes, %v", v, len(head), err)
		}
		x.wantMethods(getFirst)
	})
}

// HEAD may be refused, useless or slow: then a GET tells.
func TestProbeWithoutHead(t *testing.T) {
	head := func(f *origintest.Fault) *origintest.Fault { return f.Method("HEAD") }
	tests := []*origintest.Fault{
		origintest.RefuseHead(400),
		origintest.RefuseHead(403),
		origintest.RefuseHead(404),
		origintest.RefuseHead(405),
		origintest.RefuseHead(501),
		origintest.RefuseHead(503),
		origintest.RefuseHead(204),
		origintest.RefuseHead(206),
		origintest.HeadLength(-1),
		origintest.HeadLength(0),
		head(origintest.Gzip()),
		head(origintest.Header("Content-Encoding", "gzip")),
		head(origintest.CutAfter(-1)),
		head(origintest.StallAfter(-1)),
		head(origintest.RedirectLoop()),
	}
	for _, fault := range tests {
		t.Run(fmt.Sprint(fault), func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Inject(fault)
				v, p, err := x.probe(true)
				if v.Size != size || len(p) != firstBytes || err != nil {
					t.Errorf("got %v, %d bytes, %v", v, len(p), err)
				}
				log := x.Log()
				if got := log[len(log)-1]; got.Range != "bytes=0-65535" || x.Counts().Gets != 1 {
					t.Errorf("asked %v", log)
				}
				wantHit(t, fault)
			})
		})
	}
}

// A HEAD that lies is found out by the next GET.
func TestHeadLies(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		lie := origintest.HeadLength(12_345)
		x.Inject(lie)
		v, p, err := x.probe(true)
		if v.Size != 12_345 || p != nil || err != nil {
			t.Errorf("got %v, %d bytes, %v", v, len(p), err)
		}
		_, _, err = x.get(&v, 0, 100)
		wantKind(t, err, Changed)
		wantHit(t, lie)
	})
}

func TestProbeSmallFiles(t *testing.T) {
	for _, n := range []int64{0, 1, firstBytes - 1, firstBytes, firstBytes + 1} {
		for _, fault := range []*origintest.Fault{nil, origintest.NoRanges()} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Put("/a.tar", origintest.File{Content: origintest.Content{Seed: 1, Size: n}})
				if fault != nil {
					x.Inject(fault)
					defer wantHit(t, fault)
				}
				v, head, err := x.probe(false)
				if v.Size != n || int64(len(head)) != min(n, firstBytes) || err != nil {
					t.Errorf("got %v, %d bytes, %v", v, len(head), err)
				}
				x.wantRequests(1)
			})
		}
	}
}

func TestProbeFails(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		gone := origintest.Status(410)
		x.Inject(gone)
		_, _, err := x.probe(true)
		wantKind(t, err, NeedsURL)
		x.wantMethods("HEAD ", getFirst)
		wantHit(t, gone)
	})
	bubble(t, func(t *testing.T, x *fixture) { // resumed like any body
		cut := origintest.CutAfter(100).Times(1)
		x.Inject(cut)
		v, head, err := x.probe(false)
		if v.Size != size || len(head) != firstBytes || err != nil {
			t.Errorf("got %v, %d bytes, %v", v, len(head), err)
		}
		x.wantMethods(getFirst, "GET bytes=100-65535")
		wantHit(t, cut)
	})
}

// What cannot be asked for is said, and not asked.
func TestNoBytesOnFirstContact(t *testing.T) {
	for _, e := range []struct{ off, n int64 }{{0, 0}, {5, 0}, {0, -1}, {-1, 5}} {
		bubble(t, func(t *testing.T, x *fixture) {
			_, _, err := x.get(nil, e.off, e.n)
			wantKind(t, err, Permanent)
			x.wantRequests(0)
		})
	}
}
