package cache

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"
)

var records = []record{
	{},
	{gen: math.MaxUint64, version: Version{Size: math.MaxInt64}, mtime: math.MinInt64},
	{gen: 1 << 63, version: version(1), published: true, mtime: publishedAt.UnixNano()},
	{gen: 7, version: Version{Size: 1 << 40, ETag: `"` + string(bytes.Repeat([]byte{0xff}, 300)) + `"`}},
	{gen: 8, version: Version{LastModified: "not a\x00time"}},
	{gen: 9, note: Note{URL: math.MaxUint64, Digest: "sha256:00ff", Verified: true}},
	{gen: 9, note: Note{Digest: string(bytes.Repeat([]byte{0}, 300))}, published: true},
	{gen: 10, version: version(1), published: true, mtime: publishedAt.UnixNano(), own: math.MaxUint64},
	{gen: 11, version: version(1), mtime: publishedAt.UnixNano(), own: 1},
}

func TestRecordRoundTrip(t *testing.T) {
	for _, r := range records {
		got, err := decodeRecord(r.encode())
		check(t, err)
		if got != r {
			t.Errorf("%+v came back as %+v", r, got)
		}
	}
}

func TestRecordCutShort(t *testing.T) {
	for _, r := range records {
		b := r.encode()
		for n := range b {
			if _, err := decodeRecord(b[:n]); !errors.Is(err, errShort) {
				t.Errorf("the first %d of %d bytes of %+v: %v", n, len(b), r, err)
			}
		}
	}
}

func TestRecordOfAnotherFormat(t *testing.T) {
	for format := range 256 {
		b := records[2].encode()
		b[0] = byte(format)
		if _, err := decodeRecord(b); (err == nil) != (format == recordFormat) {
			t.Errorf("format %d: %v", format, err)
		}
	}
}

func TestRecordOfNegativeSize(t *testing.T) {
	r := record{version: Version{Size: -1}}
	if _, err := decodeRecord(r.encode()); err == nil {
		t.Error("a negative size was believed")
	}
}

// TestSealRefuses damages a sealed value in every single way.
func TestSealRefuses(t *testing.T) {
	key := recordKey("a/b")
	for _, value := range [][]byte{{}, {0}, records[2].encode(), make([]byte, chunkBytes)} {
		sealed := seal(key, bytes.Clone(value))
		got, err := unseal(key, sealed)
		check(t, err)
		if got == nil || !bytes.Equal(got, value) {
			t.Fatalf("%x came back as %x", value, got)
		}
		for n := range sealed {
			if _, err := unseal(key, sealed[:n]); err == nil {
				t.Errorf("the first %d of %d bytes were believed", n, len(sealed))
			}
		}
		for i := range sealed {
			for flip := 1; flip < 256; flip++ {
				sealed[i] ^= byte(flip)
				if _, err := unseal(key, sealed); err == nil {
					t.Errorf("byte %d of %d flipped by %02x was believed", i, len(sealed), flip)
				}
				sealed[i] ^= byte(flip)
			}
		}
		for _, other := range [][]byte{nil, recordKey("a/c"), recordKey("a/"), recordKey("a/bb"), chunkKey(0, 0)} {
			if _, err := unseal(other, sealed); err == nil {
				t.Errorf("the value of %q was believed under %q", key, other)
			}
		}
	}
}

func TestModTime(t *testing.T) {
	for _, c := range []struct {
		header string
		want   time.Time
	}{
		{lastModified, publishedAt},
		{"", time.Time{}},
		{"yesterday", time.Time{}},
		{"2015-10-21T07:28:00Z", time.Time{}},
	} {
		if got := (Version{LastModified: c.header}).ModTime(); !got.Equal(c.want) {
			t.Errorf("%q is %v, want %v", c.header, got, c.want)
		}
	}
}

// FuzzDecodeRecord: any bytes are refused or mean one record.
func FuzzDecodeRecord(f *testing.F) {
	for _, r := range records {
		f.Add(r.encode())
	}
	f.Add(append(make([]byte, 10), bytes.Repeat([]byte{0xff}, 30)...))
	f.Add(append([]byte{recordFormat, flagPublished | flagReplaces}, append(make([]byte, 31), 'x')...)) // replaces nothing
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeRecord(b)
		if err != nil {
			return
		}
		if r.version.Size < 0 {
			t.Fatalf("size %d", r.version.Size)
		}
		again, err := decodeRecord(r.encode())
		if err != nil || again != r {
			t.Fatalf("%+v came back as %+v, %v", r, again, err)
		}
	})
}

// The three forms of dates of HTTP are dates, and what no filesystem keeps is none.
func TestModTimeForms(t *testing.T) {
	of1994 := time.Date(1994, 11, 6, 8, 49, 37, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"Sun, 06 Nov 1994 08:49:37 GMT":    of1994,
		"Sunday, 06-Nov-94 08:49:37 GMT":   of1994,
		"Sun Nov  6 08:49:37 1994":         of1994,
		"Thursday, 01-Jan-26 00:00:00 GMT": time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		"Fri, 31 Dec 9999 23:59:59 GMT":    {},
		"Mon, 01 Jan 0001 00:00:00 GMT":    {},
		"yesterday":                        {},
		"":                                 {},
	} {
		if got := (Version{LastModified: text}).ModTime(); !got.Equal(want) {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
