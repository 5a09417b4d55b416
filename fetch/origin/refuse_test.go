package origin

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// What an answer claims in vain. Each is tried on a pinned Get and on a first
// contact, for ever and but once. The fixture checks each byte delivered.
func TestNeverOtherBytes(t *testing.T) {
	const off, n = 1000, 50_000
	contentRange := func(format string, args ...any) *origintest.Fault {
		return origintest.WrongContentRange(fmt.Sprintf(format, args...))
	}
	const (
		refused  = 1 << iota // the Get fails while this goes on
		accepted             // it is good enough
		trusted              // on first contact: nothing contradicts it
	)
	tests := []struct {
		fault func() *origintest.Fault
		want  int
	}{
		{func() *origintest.Fault { return contentRange("") }, refused},
		{func() *origintest.Fault { return contentRange("bytes") }, refused},
		{func() *origintest.Fault { return contentRange("bytes */%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-50999") }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-50999/") }, refused},
		{func() *origintest.Fault { return contentRange("bytes=1000-50999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 50999-1000/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes -1000-50999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1001-51000/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 999-50998/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 0-49999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-51000/%d", size) }, refused}, // one byte too many
		{func() *origintest.Fault { return contentRange("bytes 1000-50998/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-50999/50999") }, refused},
		{func() *origintest.Fault { return contentRange("lines 1000-50999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-99999999999999999999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 18446744073709552616-50999/%d", size) }, refused},
		{func() *origintest.Fault { return contentRange("bytes 1000-50999/18446744073709751616") }, refused},
		{func() *origintest.Fault { return origintest.CompleteLength("200001") }, refused | trusted},
		{func() *origintest.Fault { return origintest.CompleteLength("199999") }, refused | trusted},
		{func() *origintest.Fault { return origintest.CompleteLength("x") }, refused},
		{origintest.Multipart, refused},
		{func() *origintest.Fault { return origintest.Header("Content-Type", "Multipart/byteranges; boundary=x") }, refused},
		{origintest.WholeAs206, refused},
		{origintest.Gzip, refused},
		{func() *origintest.Fault { return origintest.ShiftRange(1) }, refused},
		{func() *origintest.Fault { return origintest.ShiftRange(-1) }, refused},
		{func() *origintest.Fault { return origintest.WideRange(1, 0) }, refused},
		{func() *origintest.Fault { return origintest.WideRange(500, 500) }, refused},
		{func() *origintest.Fault { return origintest.WideRange(0, 500) }, accepted},
		{func() *origintest.Fault { return origintest.LongBody(1) }, accepted},
		{func() *origintest.Fault { return origintest.LongBody(10 << 20) }, accepted},
		{origintest.RangeAs200, accepted},
		{origintest.NoRanges, refused},
		{origintest.LyingAcceptRanges, refused},
		{func() *origintest.Fault { return origintest.Page(200) }, refused},
		{func() *origintest.Fault { return origintest.EndAfter(0) }, refused},
	}
	for _, tt := range tests {
		for _, pinned := range []bool{true, false} {
			for _, times := range []int{0, 1} {
				fault := tt.fault().Times(times).Ranged()
				t.Run(fmt.Sprintf("%v pinned=%t", fault, pinned), func(t *testing.T) {
					bubble(t, func(t *testing.T, x *fixture) {
						want := x.pin()
						if !pinned {
							want = nil
						}
						x.Inject(fault)
						_, p, err := x.get(want, off, n)
						switch {
						case tt.want&accepted != 0, tt.want&trusted != 0 && !pinned, times == 1 && err == nil:
							x.wantBytes(p, n, err)
						case err == nil || len(p) > 0:
							t.Errorf("delivered %d bytes, %v", len(p), err)
						default:
							wantKind(t, err, KindOf(err))
						}
						wantHit(t, fault)
					})
				})
			}
		}
	}
}

// A login page that claims the very range has another validator, or none. Only
// where the file itself has none nothing tells.
func TestPage206(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		page := origintest.Page(206)
		x.Inject(page)
		_, p, err := x.get(want, 1000, 1000)
		wantKind(t, err, NeedsURL)
		if len(p) > 0 {
			t.Errorf("%d bytes of a page", len(p))
		}
		x.wantRequests(12)
		wantHit(t, page)
	})
	bubble(t, func(t *testing.T, x *fixture) { // it passes by itself
		want := x.pin()
		page := origintest.Page(206).Times(3)
		x.Inject(page)
		_, p, err := x.get(want, 1000, 1000)
		x.wantBytes(p, 1000, err)
		x.wantRequests(4)
		wantHit(t, page)
	})
}

// What was not asked to be encoded and is, is refused once and for all.
// A file that is gzipped itself may be labelled so, and is the file.
func TestGzippedFileMayBeCalledEncoded(t *testing.T) {
	for _, label := range []string{"gzip", "x-gzip", "GZIP"} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Put("/a.tar.gz", origintest.File{Content: content})
			x.url = x.base + "/a.tar.gz"
			fault := origintest.Header("Content-Encoding", label)
			x.Inject(fault)
			b, p, err := x.get(nil, 0, size)
			x.wantBytes(p, size, err)
			v := b.Version()
			_, p, err = x.get(&v, 1000, 1000)
			x.wantBytes(p, 1000, err)
			wantHit(t, fault)
		})
	}
	for _, faults := range [][]*origintest.Fault{
		{origintest.Gzip()}, {origintest.Gzip(), origintest.Chunked()}, {origintest.NoRanges(), origintest.Gzip()},
	} {
		bubble(t, func(t *testing.T, x *fixture) { // compressed on the way
			x.Put("/a.tar.gz", origintest.Text(gzipped(strings.Repeat("a file ", 1000))))
			x.url = x.base + "/a.tar.gz"
			x.Inject(faults...)
			if _, _, err := x.get(nil, 0, size); err == nil {
				t.Errorf("%v: taken for the file", faults)
			}
			wantHit(t, faults...)
		})
	}
}

func TestEncoded(t *testing.T) {
	for _, encoding := range []string{"gzip", "br", "aws-chunked, zstd", "identity, gzip"} {
		bubble(t, func(t *testing.T, x *fixture) {
			label := origintest.Header("Content-Encoding", encoding)
			x.Inject(label)
			_, _, err := x.get(nil, 0, 100)
			wantKind(t, err, Permanent)
			_, _, err = x.getWhole(nil)
			wantKind(t, err, Permanent)
			x.wantRequests(2)
			wantHit(t, label)
		})
	}
	bubble(t, func(t *testing.T, x *fixture) {
		label := origintest.Header("Content-Encoding", "Identity")
		x.Inject(label)
		_, p, err := x.get(nil, 0, 100)
		x.wantBytes(p, 100, err)
		wantHit(t, label)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		gzip, chunked := origintest.Gzip(), origintest.Chunked()
		x.Inject(gzip, chunked)
		_, _, err := x.get(want, 0, 100)
		wantKind(t, err, Permanent)
		wantHit(t, gzip, chunked)
	})
}

// The first bytes of a slice that calls itself the whole file must not become
// a short file.
func TestRangeAs200IsNoVersion(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		slice := origintest.RangeAs200()
		x.Inject(slice)
		b, p, err := x.get(nil, 0, 65_536)
		x.wantBytes(p, 65_536, err)
		if b.Version().Size != size || !b.Ranged() {
			t.Errorf("version %v, ranged %t", b.Version(), b.Ranged())
		}
		wantHit(t, slice)
	})
	bubble(t, func(t *testing.T, x *fixture) {
		slice := origintest.RangeAs200()
		x.Inject(slice, origintest.CompleteLength("*"))
		b, p, err := x.get(nil, 0, 65_536)
		x.wantBytes(p, size, err) // asked for without a range
		if b.Version().Size != size || b.Ranged() {
			t.Errorf("version %v, ranged %t", b.Version(), b.Ranged())
		}
		wantHit(t, slice)
	})
}

// The bytes are handed out when they are there, though the end of the body is
// not.
func TestBodyWithoutEnd(t *testing.T) {
	for _, longer := range []*origintest.Fault{origintest.WideRange(0, 500), origintest.LongBody(1)} {
		bubble(t, func(t *testing.T, x *fixture) {
			stall := origintest.StallAfter(1000)
			x.Inject(longer, stall)
			start := time.Now()
			_, p, err := x.get(nil, 0, 1000)
			x.wantBytes(p, 1000, err)
			wantPassed(t, start, endWait)
			wantHit(t, longer, stall)
		})
	}
}
