package origin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

func TestParseContentRange(t *testing.T) {
	good := []struct {
		s                  string
		first, last, total int64
	}{
		{"bytes 0-0/1", 0, 0, 1},
		{"bytes 0-99/100", 0, 99, 100},
		{"bytes 10-19/100", 10, 19, 100},
		{"bytes 10-19/*", 10, 19, -1},
		{"BYTES 10-19/20", 10, 19, 20},
		{"bytes 007-08/10", 7, 8, 10},
		{"bytes 0-4611686018427387902/4611686018427387903", 0, 1<<62 - 2, 1<<62 - 1},
	}
	for _, tt := range good {
		first, last, total, err := parseContentRange(tt.s)
		if first != tt.first || last != tt.last || total != tt.total || err != nil {
			t.Errorf("%q: %d, %d, %d, %v", tt.s, first, last, total, err)
		}
	}
	bad := []string{
		"", " ", "bytes", "bytes ", "bytes */100", "bytes */*", "bytes 0-/1", "bytes -0/1", "bytes -/1", "bytes 0/1",
		"bytes 0-0", "bytes 0-0/", "bytes 0-0/ 1", "bytes 0 -0/1", "bytes 0- 0/1", "bytes  0-0/1", " bytes 0-0/1",
		"bytes 0-0/1 ", "bytes 1-0/2", "bytes 0-1/1", "bytes 5-5/5", "bytes 0-0/0", "bytes +0-0/1", "bytes 0-+0/1",
		"bytes -1-0/1", "bytes 0-0/-1", "bytes 0-0/+1", "bytes 0x0-0x0/1", "bytes 1_0-1_1/100", "bytes 0-0/1/1",
		"bytes 0-0-0/1", "bytes=0-0/1", "lines 0-0/1", "bytes 0-0/**", "bytes 0-1e3/10000", "bytes 0-0/1.5",
		"bytes 0-18446744073709551616/*", "bytes 0-9223372036854775807/*", "bytes 4611686018427387904-4611686018427387904/*",
		"bytes ٠-٠/١", "bytes 0-0/1, bytes 1-1/2", "bytes 0-0\x00/1",
	}
	for _, s := range bad {
		if first, last, total, err := parseContentRange(s); err == nil {
			t.Errorf("%q: %d, %d, %d", s, first, last, total)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"", "bytes 0-0/1", "bytes 10-19/*", "bytes */5", "bytes 1-0/2", "bytes 0-18446744073709551615/*", "bytes=0-1/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, total, err := parseContentRange(s)
		if err != nil {
			if first != 0 || last != 0 || total != 0 {
				t.Errorf("%q: %d, %d, %d with %v", s, first, last, total, err)
			}
			return
		}
		if first < 0 || last < first || total != -1 && last >= total || last+1 <= last {
			t.Fatalf("%q: %d, %d, %d", s, first, last, total)
		}
		again := fmt.Sprintf("bytes %d-%d/%d", first, last, total)
		if total == -1 {
			again = fmt.Sprintf("bytes %d-%d/*", first, last)
		}
		if a, b, c, err := parseContentRange(again); a != first || b != last || c != total || err != nil {
			t.Errorf("%q, again as %q: %d, %d, %d, %v", s, again, a, b, c, err)
		}
	})
}

// Whatever the header says, an answer without an error is one that says it
// starts where it was asked to, and is of the pinned version.
func FuzzExamine(f *testing.F) {
	add := func(status int, contentRange string, length, off, n int64) {
		f.Add(status, length, contentRange, `"a"`, "date", "", "", off, n, true, int64(100), `"a"`, "date")
		f.Add(status, length, contentRange, `W/"a"`, "", "identity", "text/html", off, n, false, int64(0), "", "")
	}
	add(200, "", 100, 0, 100)
	add(200, "", -1, 0, 100)
	add(200, "bytes 10-19/100", 10, 10, 10)
	add(206, "bytes 10-19/100", 10, 10, 10)
	add(206, "bytes 10-99/100", 90, 10, 10)
	add(206, "bytes 10-19/*", -1, 10, 90)
	add(206, "bytes 0-99/100", 100, 10, 10)
	add(416, "bytes */100", 10, 100, 10)
	add(416, "bytes */0", 10, 0, 10)
	add(503, "", 10, 0, 10)
	f.Fuzz(func(t *testing.T, status int, length int64, contentRange, etag, date, encoding, kind string, off, n int64,
		pinned bool, size int64, wasTag, wasDate string) {
		if off < 0 || n <= 0 || off+n < 0 || size < 0 {
			return
		}
		end := off + n
		resp := &http.Response{StatusCode: status, ContentLength: max(length, -1), Header: http.Header{}}
		for key, value := range map[string]string{"Content-Range": contentRange, "ETag": etag, "Last-Modified": date,
			"Content-Encoding": encoding, "Content-Type": kind} {
			if value != "" {
				resp.Header.Set(key, value)
			}
		}
		var want *Version
		if pinned {
			want = &Version{Size: size, ETag: wasTag, LastModified: wasDate}
			if off >= size {
				return // never asked
			}
			end = min(end, size)
		}
		known := int64(UnknownSize)
		if pinned {
			known = size
		}
		a, err := examine(resp, off, end, known)
		if err == nil && pinned {
			err = want.check(a.version)
		}
		if err != nil {
			wantKind(t, err, KindOf(err))
			return
		}
		switch v := a.version; {
		case a.whole && (status != 200 || contentRange != "" || a.off != 0 || v.Size != resp.ContentLength || v.Size >= 0 && a.end != v.Size):
			t.Errorf("whole: %+v", a)
		case status == 416 && off < v.Size:
			t.Errorf("416: %+v", a)
		case !a.whole && status != 416 && (a.off != off || a.end <= off || a.end > end):
			t.Errorf("asked for [%d, %d), got %+v", off, end, a)
		case v.Size < 0 && !a.whole, status != 416 && !pinned && v.Size >= 0 && a.end > v.Size:
			t.Errorf("size: %+v", a)
		case status != 416 && encoding != "" && http.CanonicalHeaderKey(encoding) != "Identity": // the body of a 416 is not read
			t.Errorf("encoded with %q", encoding)
		case pinned && v.Size >= 0 && v.Size != size,
			pinned && v.Size < 0 && wasTag+wasDate == "",
			pinned && validators(resp.Header).ETag != "" && wasTag != "" && etag != wasTag,
			pinned && v.ETag == "" && v.LastModified == "" && wasTag+wasDate != "":
			t.Errorf("pinned %+v, got %+v", want, a)
		}
		if want != nil {
			if m := want.merge(a.version); wasTag != "" && m.ETag != wasTag || wasDate != "" && m.LastModified != wasDate {
				t.Errorf("the pin drifts from %+v to %+v", want, m)
			}
		}
	})
}

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

func TestUnusableAnswers(t *testing.T) {
	for _, fault := range []*origintest.Fault{
		origintest.WrongContentRange(""), origintest.WrongContentRange("bytes 7-8/9"), origintest.Multipart(),
		origintest.WholeAs206(), origintest.ShiftRange(1), origintest.WideRange(1, 0), origintest.CompleteLength("x"),
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(fault)
			_, _, err := x.get(nil, 1000, 1000)
			wantKind(t, err, NoRanges)
			x.wantRequests(4)

			_, p, err := x.get(nil, 0, 1000)      // who has nothing yet takes all of it
			if len(p) != 1000 && len(p) != size { // if the fault has nothing to change there
				t.Errorf("got %d bytes", len(p))
			}
			x.wantBytes(p, int64(len(p)), err)
			wantHit(t, fault)
		})
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.Inject(origintest.Status(502).Every(2), origintest.ShiftRange(1))
		_, _, err := x.get(nil, 1000, 1000)
		wantKind(t, err, Transient)
		x.wantRequests(12)
	})
}
