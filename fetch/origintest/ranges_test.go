package origintest

import (
	"bytes"
	"compress/gzip"
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"
)

// Each fault that chooses the bytes or describes them, on bytes=1000-1999.
func TestRangeFaults(t *testing.T) {
	const asked = "bytes=1000-1999"
	honest := "bytes 1000-1999/100000"
	tests := []struct {
		fault  *Fault
		status int
		rang   string // Content-Range
		off, n int64
		length int64
	}{
		{NoRanges(), 200, "", 0, size, size},
		{LyingAcceptRanges(), 200, "", 0, size, size},
		{NoLength(), 200, "", 0, size, -1},
		{ShortRange(1), 206, "bytes 1000-1000/100000", 1000, 1, 1},
		{ShortRange(999), 206, "bytes 1000-1998/100000", 1000, 999, 999},
		{ShiftRange(1), 206, "bytes 1001-2000/100000", 1001, 1000, 1000},
		{ShiftRange(-1000), 206, "bytes 0-999/100000", 0, 1000, 1000},
		{ShiftRange(98_500), 206, "bytes 99500-99999/100000", 99_500, 500, 500},
		{WideRange(1, 2), 206, "bytes 999-2001/100000", 999, 1003, 1003},
		{WideRange(5000, size), 206, "bytes 0-99999/100000", 0, size, size},
		{WholeAs206(), 206, "bytes 0-99999/100000", 0, size, size},
		{RangeAs200(), 200, honest, 1000, 1000, 1000},
		{WrongContentRange(""), 206, "", 1000, 1000, 1000},
		{WrongContentRange("bytes 0-999/100000"), 206, "bytes 0-999/100000", 1000, 1000, 1000},
		{CompleteLength("*"), 206, "bytes 1000-1999/*", 1000, 1000, 1000},
		{CompleteLength("7"), 206, "bytes 1000-1999/7", 1000, 1000, 1000},
		{Chunked(), 206, honest, 1000, 1000, -1},
		{EndAfter(999), 206, honest, 1000, 999, -1},
		{EndAfter(0), 206, honest, 1000, 0, -1},
	}
	for _, tt := range tests {
		t.Run(tt.fault.String(), func(t *testing.T) {
			x := newFixture(t)
			x.Inject(tt.fault)
			x.get(asked).expect(t).code(tt.status).
				field("Content-Range", tt.rang).
				bytesAt(tt.off, tt.n).
				contentLength(tt.length)
			wantHits(t, tt.fault, 1)
			if got := x.Counts().BodyBytes; got != tt.n {
				t.Errorf("%d bytes counted", got)
			}
		})
	}
}

func TestAcceptRanges(t *testing.T) {
	tests := []struct {
		fault *Fault
		want  string
	}{
		{NoRanges(), ""},
		{NoLength(), ""},
		{LyingAcceptRanges(), "bytes"},
		{Header("Accept-Ranges", "none"), "none"},
	}
	for _, tt := range tests {
		x := newFixture(t)
		x.Inject(tt.fault)
		x.get("bytes=0-0").expect(t).field("Accept-Ranges", tt.want)
		x.ask("GET", "/a.tar").expect(t).code(200).field("Accept-Ranges", tt.want)
	}
}

// Where an honest origin would answer 416.
func TestWholeInPlaceOf416(t *testing.T) {
	for _, f := range []*Fault{NoRanges(), LyingAcceptRanges(), NoLength()} {
		x := newFixture(t)
		x.Put("/empty", File{})
		x.Inject(f)
		a := x.ask("GET", "/empty", "Range", "bytes=0-0")
		a.expect(t).code(200).field("Content-Range", "").field("Content-Type", "application/octet-stream").text("")
		if len(a.body) != 0 {
			t.Errorf("%v: body %q", f, a.body)
		}
		x.get("bytes=100000-").expect(t).code(200).bytesAt(0, size)
		wantHits(t, f, 2)
	}
}

func TestNoLengthHead(t *testing.T) {
	x := newFixture(t)
	x.Inject(NoLength())
	x.ask("HEAD", "/a.tar").expect(t).code(200).contentLength(-1)
}

func TestLongBody(t *testing.T) {
	for _, extra := range []int64{1, 200_000} {
		x := newFixture(t)
		f := LongBody(extra)
		x.Inject(f)
		a := x.get("bytes=1000-1999")
		a.expect(t).code(206).contentLength(-1).field("Content-Range", "bytes 1000-1999/100000")
		if a.bodyErr != nil || int64(len(a.body)) != 1000+extra {
			t.Fatalf("%d bytes, %v", len(a.body), a.bodyErr)
		}
		if err := content.Check(a.body[:1000], 1000); err != nil {
			t.Error(err)
		}
		if rest := bytes.Trim(a.body[1000:], "\xee"); len(rest) != 0 {
			t.Errorf("after the end: %x", rest)
		}
		wantHits(t, f, 1)
	}
}

func TestMultipart(t *testing.T) {
	x := newFixture(t)
	f := Multipart()
	x.Inject(f)
	a := x.get("bytes=1000-1999")
	a.expect(t).code(206).field("Content-Range", "").contentLength(int64(len(a.body)))
	kind, params, err := mime.ParseMediaType(a.header.Get("Content-Type"))
	if err != nil || kind != "multipart/byteranges" {
		t.Fatalf("Content-Type %q: %v", a.header.Get("Content-Type"), err)
	}
	r := multipart.NewReader(bytes.NewReader(a.body), params["boundary"])
	first, err := r.NextPart()
	if err != nil {
		t.Fatal(err)
	}
	if got := first.Header.Get("Content-Range"); got != "bytes 1000-1999/100000" {
		t.Errorf("Content-Range inside: %q", got)
	}
	p, _ := io.ReadAll(first)
	if err := content.Check(p, 1000); err != nil || len(p) != 1000 {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	if _, err := r.NextPart(); err != io.EOF {
		t.Errorf("after the only one: %v", err)
	}
	wantHits(t, f, 1)
}

func TestHeadLength(t *testing.T) {
	for _, n := range []int64{-1, 0, 7, size + 1} {
		x := newFixture(t)
		f := HeadLength(n)
		x.Inject(f)
		x.ask("HEAD", "/a.tar").expect(t).code(200).contentLength(n)
		x.get("").expect(t).code(200).contentLength(size).bytesAt(0, size)
		wantHits(t, f, 1)
	}
}

func TestRotateETag(t *testing.T) {
	x := newFixture(t)
	own := RotateETag()
	x.Inject(own)
	seen := make(map[string]bool)
	for range 5 {
		seen[x.get("bytes=0-9").expect(t).code(206).header.Get("ETag")] = true
	}
	if len(seen) != 5 {
		t.Errorf("ETags: %v", seen)
	}
	x.Clear()
	given := RotateETag("a", `"b"`, `W/"c"`)
	x.Inject(given)
	for _, want := range []string{`"a"`, `"b"`, `W/"c"`, `"a"`} {
		x.get("bytes=0-9").expect(t).code(206).field("ETag", want)
	}
	wantHits(t, own, 5)
	wantHits(t, given, 4)
}

func TestWeakETag(t *testing.T) {
	x := newFixture(t)
	strong := x.get("").header.Get("ETag")
	f := WeakETag()
	x.Inject(f)
	x.get("").expect(t).field("ETag", "W/"+strong)
	x.Put("/a.tar", File{Content: content, ETag: "-"})
	x.get("").expect(t).field("ETag", "")
	wantHits(t, f, 1)
}

func TestHeader(t *testing.T) {
	x := newFixture(t)
	f := Header("Last-Modified", "")
	x.Inject(f, Header("Digest", "sha-256=x"))
	x.get("").expect(t).field("Last-Modified", "").field("Digest", "sha-256=x")
	x.ask("GET", "/none").expect(t).code(404).field("Digest", "sha-256=x")
	wantHits(t, f, 2)
}

func TestGzip(t *testing.T) {
	x := newFixture(t)
	x.Put("/zeros", File{Body: strings.NewReader(strings.Repeat("0", size)), Size: size})
	f := Gzip()
	x.Inject(f)
	a := x.ask("GET", "/zeros", "Range", "bytes=0-49999", "Accept-Encoding", "identity")
	a.expect(t).code(206).contentLength(int64(len(a.body))).
		field("Content-Encoding", "gzip").
		field("Content-Range", "bytes 0-49999/100000")
	z, err := gzip.NewReader(bytes.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(z)
	if err != nil || string(p) != strings.Repeat("0", 50_000) {
		t.Errorf("%d bytes, %v", len(p), err)
	}
	x.ask("HEAD", "/zeros").expect(t).code(200).contentLength(-1).field("Content-Encoding", "gzip")
	wantHits(t, f, 2)
}
