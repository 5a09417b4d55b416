package origin

import (
	"fmt"
	"io"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

func TestNoRanges(t *testing.T) {
	for _, fault := range []func() *origintest.Fault{origintest.NoRanges, origintest.LyingAcceptRanges} {
		bubble(t, func(t *testing.T, x *fixture) {
			want := x.pin()
			rangeless := fault()
			x.Inject(rangeless)
			for _, e := range []struct{ off, n int64 }{{0, 1}, {0, size - 1}, {1, size}, {size - 1, 1}} {
				_, p, err := x.get(want, e.off, e.n)
				wantKind(t, err, NoRanges)
				if len(p) > 0 {
					t.Errorf("[%d +%d): %d bytes", e.off, e.n, len(p))
				}
			}
			x.wantRequests(4)
			_, _, err := x.get(nil, 1, 100)
			wantKind(t, err, NoRanges)

			b, p, err := x.get(want, 0, size) // what was asked
			x.wantBytes(p, size, err)
			if b.Ranged() {
				t.Error("ranged")
			}
			wantHit(t, rangeless)
		})
	}
}

// First contact keeps the whole that comes, and resumes it from the start.
func TestNoRangesOnFirstContact(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		rangeless, cut := origintest.NoRanges(), origintest.CutAfter(100_000).Times(1)
		x.Inject(rangeless, cut)
		b, p, err := x.get(nil, 0, 65_536)
		x.wantBytes(p, size, err)
		if b.End() != size || b.Ranged() || b.Version().Size != size {
			t.Errorf("end %d, ranged %t, version %v", b.End(), b.Ranged(), b.Version())
		}
		x.wantRanges("bytes=0-65535", "")
		wantHit(t, rangeless, cut)
	})
}

// Each byte once, in order, though each resumption begins at the first.
func TestGetWhole(t *testing.T) {
	faults := []func() *origintest.Fault{
		func() *origintest.Fault { return origintest.CutAfter(0).Times(2) },
		func() *origintest.Fault { return origintest.CutAfter(1).Times(1) },
		func() *origintest.Fault { return origintest.CutAfter(150_000).Times(2) },
		func() *origintest.Fault { return origintest.CutAfter(size - 1).Times(1) },
		func() *origintest.Fault { return origintest.ResetAfter(-1).Times(1) },
		func() *origintest.Fault { return origintest.StallAfter(70_000).Times(1) },
		func() *origintest.Fault { return origintest.Status(503).Times(3) },
	}
	for _, newFault := range faults {
		for _, pinned := range []bool{true, false} {
			for _, rangeless := range []bool{true, false} {
				fault := newFault()
				t.Run(fmt.Sprintf("%v pinned=%t rangeless=%t", fault, pinned, rangeless), func(t *testing.T) {
					bubble(t, func(t *testing.T, x *fixture) {
						want := x.pin()
						if !pinned {
							want = nil
						}
						if rangeless {
							x.Inject(origintest.NoRanges())
						}
						x.Inject(fault)
						b, p, err := x.getWhole(want)
						x.wantBytes(p, size, err)
						if b.End() != size {
							t.Errorf("end %d", b.End())
						}
						for _, r := range x.Log() {
							if r.Range != "" {
								t.Errorf("asked for %s", r.Range)
							}
						}
						wantHit(t, fault)
					})
				})
			}
		}
	}
}

// The cut comes earlier on the second try: what was skipped counts for nothing.
func TestGetWholeCutWhileSkipping(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		first, second := origintest.CutAfter(100_000).Times(1), origintest.CutAfter(60_000).Times(2)
		second.After(1)
		x.Inject(first, second)
		_, p, err := x.getWhole(nil)
		x.wantBytes(p, size, err)
		x.wantRequests(4)
		wantHit(t, first, second)
		if got, want := x.c.Received(), int64(100_000+2*60_000+size); got != want {
			t.Errorf("%d bytes received, want %d", got, want)
		}
	})
}

// An origin that always breaks at the same byte will never give the rest.
func TestGetWholeGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		cut := origintest.CutAfter(100_000)
		x.Inject(cut)
		_, p, err := x.getWhole(nil)
		wantKind(t, err, Transient)
		if len(p) != 100_000 {
			t.Errorf("%d bytes", len(p))
		}
		wantHit(t, cut)
	})
}

// A Content-Range on the whole file, as some origins send, does no harm.
func TestGetWholeWithContentRange(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		cut := origintest.CutAfter(100_000).Times(1)
		label := origintest.Header("Content-Range", fmt.Sprintf("bytes 0-%d/%d", size-1, size))
		x.Inject(cut, label)
		_, p, err := x.getWhole(nil)
		x.wantBytes(p, size, err)
		wantHit(t, cut, label)
	})
}

// A range tells the length, so its answer needs none.
func TestChunkedRange(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		chunked := origintest.Chunked()
		x.Inject(chunked)
		_, p, err := x.get(nil, 100, 65_536)
		x.wantBytes(p, 65_536, err)
		wantHit(t, chunked)
	})
}

// Tiny legal answers are taken, but not as fast as they come.
func TestDrip(t *testing.T) {
	tests := []struct {
		answer int64
		want   time.Duration
	}{
		{1000, (20 - 3) * 500 * time.Millisecond},
		{20_000, 0},
	}
	for _, tt := range tests {
		bubble(t, func(t *testing.T, x *fixture) {
			short := origintest.ShortRange(tt.answer)
			x.Inject(short)
			start := time.Now()
			_, p, err := x.get(nil, 0, 20_000)
			x.wantBytes(p, 20_000, err)
			wantPassed(t, start, tt.want)
			if tt.answer < 20_000 {
				wantHit(t, short)
			}
		})
	}
	bubble(t, func(t *testing.T, x *fixture) { // long ones cost nothing
		big := origintest.Content{Seed: 1, Size: 10 * shortAnswer}
		x.Put("/big", origintest.File{Content: big})
		x.url = x.base + "/big"
		short := origintest.ShortRange(shortAnswer)
		x.Inject(short)
		start := time.Now()
		b, err := x.resource().Get(t.Context(), nil, 0, big.Size)
		if err != nil {
			t.Fatal(err)
		}
		p, err := io.ReadAll(b)
		x.wantBytes(p, big.Size, err)
		wantPassed(t, start, 0)
		wantHit(t, short)
	})
}
