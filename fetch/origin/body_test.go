package origin

import (
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"dlfs/fetch/origintest"
)

func TestGetExtents(t *testing.T) {
	extents := []struct{ off, n, want int64 }{
		{0, 1, 1},
		{0, 65_536, 65_536},
		{0, size, size},
		{0, size + 1, size},
		{1, 1, 1},
		{1, size, size - 1},
		{77_777, 12_345, 12_345},
		{size - 1, 1, 1},
		{size - 1, 1 << 40, 1},
		{size - 10, 11, 10},
	}
	for _, e := range extents {
		for _, pinned := range []bool{false, true} {
			t.Run(fmt.Sprintf("[%d +%d) pinned=%t", e.off, e.n, pinned), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					pin := x.pin()
					want := pin
					if !pinned {
						want = nil
					}
					b, p, err := x.get(want, e.off, e.n)
					x.wantBytes(p, e.want, err)
					if b.Version() != *pin || b.End() != e.off+e.want || !b.Ranged() {
						t.Errorf("version %v, end %d, ranged %t", b.Version(), b.End(), b.Ranged())
					}
					x.wantRequests(1)
					if got := x.Counts().BodyBytes; got != e.want {
						t.Errorf("%d bytes sent", got)
					}
				})
			})
		}
	}
}

// Once the size is known, nothing is asked for where no bytes are.
func TestGetNothing(t *testing.T) {
	for _, e := range []struct{ off, n int64 }{{0, 0}, {5, 0}, {size, 0}, {size, 1}, {size + 1, 1}, {1 << 40, 1 << 40}} {
		bubble(t, func(t *testing.T, x *fixture) {
			want := x.pin()
			_, p, err := x.get(want, e.off, e.n)
			x.wantBytes(p, 0, err)
			x.wantRanges()
		})
	}
}

// On first contact a 416 tells the size, and that is all there is to it.
func TestGetBeyondTheEnd(t *testing.T) {
	for _, off := range []int64{size, size + 1, 1 << 40} {
		bubble(t, func(t *testing.T, x *fixture) {
			b, p, err := x.get(nil, off, 10)
			x.wantBytes(p, 0, err)
			if b.Version().Size != size || !b.Ranged() {
				t.Errorf("version %v, ranged %t", b.Version(), b.Ranged())
			}
			x.wantRequests(1)
			if got := x.Log()[0].Status; got != 416 || x.log.String() != "" {
				t.Errorf("status %d, logged %q", got, &x.log)
			}
		})
	}
}

// A 416 that says nothing, or that the bytes are there, is no answer.
func TestRangeRefused(t *testing.T) {
	tests := []struct {
		value    string
		kind     Kind
		requests int
	}{
		{"", Permanent, 2},                            // the second without a range
		{"bytes */*", Permanent, 2},                   // the second without a range
		{"bytes */-1", Permanent, 2},                  // the second without a range
		{"bytes */9223372036854775808", Permanent, 2}, // the second without a range
		{fmt.Sprintf("bytes */%d", size), Transient, 4},
		{"bytes */10", Changed, 3},
		{"bytes */0", Changed, 3},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			want := x.pin()
			refused := origintest.Status(416, "Content-Range", tt.value, "ETag", want.ETag)
			x.Inject(refused)
			_, _, err := x.get(want, 100, 100)
			if e := wantKind(t, err, tt.kind); tt.kind != Changed && e.Status != 416 {
				t.Errorf("%q: status %d", tt.value, e.Status)
			}
			x.wantRequests(tt.requests)
			wantHit(t, refused)
		})
	}
}

func TestReadSizes(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		b, err := x.resource().Get(t.Context(), nil, 1000, 2000)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		if n, err := b.Read(nil); n != 0 || err != nil {
			t.Errorf("empty read: %d, %v", n, err)
		}
		if err := iotest.TestReader(b, content.Bytes()[1000:3000]); err != nil {
			t.Error(err)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after the end: %d, %v", n, err)
		}
	})
}

func TestEmptyFile(t *testing.T) {
	for _, fault := range []*origintest.Fault{nil, origintest.LyingAcceptRanges(), origintest.NoRanges()} {
		bubble(t, func(t *testing.T, x *fixture) { // 416 */0, and 200 of no bytes
			x.url = x.base + "/empty"
			if fault != nil {
				x.Inject(fault)
				defer wantHit(t, fault)
			}
			b, p, err := x.get(nil, 0, 65_536)
			x.wantBytes(p, 0, err)
			v := b.Version()
			if v.Size != 0 || b.End() != 0 {
				t.Errorf("version %v, end %d", v, b.End())
			}
			x.wantRequests(1)
			_, p, err = x.get(&v, 0, 65_536)
			x.wantBytes(p, 0, err)
			x.wantRequests(1)
		})
	}
}

// A body that ends early is resumed at the next byte.
func TestResume(t *testing.T) {
	const off, n = 1000, 100_000
	next := func(at int64) string { return rangeHeader(off+at, off+n) }
	tests := []struct {
		faults []*origintest.Fault
		want   []string // the Range headers
	}{
		{[]*origintest.Fault{origintest.CutAfter(40_000).Times(1)}, []string{next(0), next(40_000)}},
		{[]*origintest.Fault{origintest.CutAfter(40_000).Times(1), origintest.Chunked()}, []string{next(0), next(40_000)}},
		{[]*origintest.Fault{origintest.CutAfter(n - 1)}, []string{next(0), next(n - 1)}},
		{[]*origintest.Fault{origintest.ResetAfter(50_000)}, []string{next(0), next(50_000)}},
		{[]*origintest.Fault{origintest.CutAfter(0).Times(2)}, []string{next(0), next(0), next(0)}},
		{[]*origintest.Fault{origintest.CutAfter(-1).Times(2)}, []string{next(0), next(0), next(0)}}, // see CutAfter
		{[]*origintest.Fault{origintest.ResetAfter(-1).Times(3)}, []string{next(0), next(0), next(0), next(0)}},
		{[]*origintest.Fault{origintest.ShortRange(30_000)}, []string{next(0), next(30_000), next(60_000), next(90_000)}},
		{[]*origintest.Fault{origintest.EndAfter(60_000)}, []string{next(0), next(60_000)}},
		{[]*origintest.Fault{origintest.StallAfter(0).Times(1)}, []string{next(0), next(0)}},
		{[]*origintest.Fault{origintest.StallAfter(-1).Times(1)}, []string{next(0), next(0)}},
		{[]*origintest.Fault{origintest.StallAfter(1).Times(1)}, []string{next(0), next(1)}},
		{[]*origintest.Fault{origintest.StallAfter(n - 1)}, []string{next(0), next(n - 1)}},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.faults), func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				want := x.pin()
				x.Inject(tt.faults...)
				_, p, err := x.get(want, off, n)
				x.wantBytes(p, n, err)
				x.wantRanges(tt.want...)
				wantHit(t, tt.faults...)
				if got := x.c.Received(); got < n {
					t.Errorf("%d bytes received", got)
				}
			})
		})
	}
}

// On first contact too; the first answer pins the version for the rest.
func TestResumeFirstContact(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		cut := origintest.CutAfter(40_000).Times(1)
		x.Inject(cut)
		_, p, err := x.get(nil, 0, 65_536)
		x.wantBytes(p, 65_536, err)
		x.wantRanges("bytes=0-65535", "bytes=40000-65535")
		wantHit(t, cut)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		swap := origintest.Swap(origintest.File{Content: origintest.Content{Seed: 9, Size: size}}).After(1)
		x.Inject(origintest.CutAfter(40_000).Times(1), swap)
		_, p, err := x.get(nil, 0, 65_536)
		wantKind(t, err, Changed)
		if len(p) != 40_000 {
			t.Errorf("%d bytes of the first version", len(p))
		}
		wantHit(t, swap)
	})
}

// Every n bytes the connection breaks, far more often than Tries; a byte now
// and then is progress.
func TestProgressResetsTries(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		cut := origintest.CutAfter(1000)
		down := origintest.Status(503).Every(2)
		x.Inject(cut, down)
		_, p, err := x.get(want, 0, 50_000)
		x.wantBytes(p, 50_000, err)
		if cut.Hits() < 20 || down.Hits() < 20 {
			t.Errorf("cut %d times, down %d times", cut.Hits(), down.Hits())
		}
	})
}
