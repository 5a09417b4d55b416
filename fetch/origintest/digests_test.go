package origintest

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"hash/crc32"
	"testing"
	"testing/synctest"
	"time"
)

func TestDigestsAreTrue(t *testing.T) {
	all := content.Bytes()
	sum256, sum512, sum5 := sha256.Sum256(all), sha512.Sum512(all), md5.Sum(all)
	crc := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	crc.Write(all)
	b64 := base64.StdEncoding.EncodeToString
	part := md5.Sum(all[10:20])
	repr := "sha-256=:" + b64(sum256[:]) + ":, sha-512=:" + b64(sum512[:]) + ":"

	x := newFixture(t)
	f := Digests()
	x.Inject(f)
	for _, method := range []string{"GET", "HEAD"} {
		x.ask(method, "/a.tar").expect(t).code(200).
			field("Repr-Digest", repr).
			field("Content-MD5", b64(sum5[:])).
			field("X-Goog-Hash", "crc32c="+b64(crc.Sum(nil))+",md5="+b64(sum5[:])).
			field("X-Linked-Etag", `"`+content.SHA256()+`"`)
	}
	x.get("bytes=10-19").expect(t).code(206).field("Repr-Digest", repr).field("Content-MD5", b64(part[:]))
	x.get("bytes=100000-").expect(t).code(416).field("Repr-Digest", "")
	x.Put("/a.tar", Text("hello"))
	x.get("").expect(t).field("X-Linked-Etag", `"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`)
	wantHits(t, f, 4)
	x.Clear()
	x.Inject(Digests("Content-MD5"), Header("X-Linked-Etag", "false"))
	x.get("").expect(t).field("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==").field("Repr-Digest", "").field("X-Linked-Etag", "false")
}

func TestDigestsOfAnUnknownFieldPanic(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	Digests("sha-256")
}

// All but the bytes is as without the fault.
func TestWrongBytes(t *testing.T) {
	const off, n = 70_000, 3
	wrong := content.Bytes()
	for i := off; i < off+n; i++ {
		wrong[i] ^= 0x80
	}
	x := newFixture(t)
	x.Inject(Digests())
	honest := x.get("")
	f := WrongBytes(off, n)
	x.Inject(f)
	got := x.get("")
	got.expect(t).code(200).contentLength(size)
	if !bytes.Equal(got.body, wrong) {
		t.Error("the body is not wrong where it should be, or elsewhere")
	}
	for key := range honest.header {
		if key != "Date" {
			got.expect(t).field(key, honest.header.Get(key))
		}
	}
	if got := x.get("bytes=70002-70003"); !bytes.Equal(got.body, wrong[70_002:70_004]) {
		t.Errorf("range: got %x", got.body)
	}
	for _, rang := range []string{"bytes=0-69999", "bytes=70003-"} {
		x.get(rang).expect(t).code(206)
	}
	x.ask("HEAD", "/a.tar").expect(t).code(200)
	wantHits(t, f, 2)
	x.Inject(NoRanges())
	if got := x.get("bytes=70000-70000"); !bytes.Equal(got.body, wrong) {
		t.Error("with NoRanges the body is not wrong where it should be, or elsewhere")
	}
}

func TestRotateLastModified(t *testing.T) {
	x := newFixture(t)
	day := time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC)
	f := RotateLastModified(day, day.Add(time.Hour))
	x.Inject(f)
	for range 2 {
		x.get("").expect(t).field("Last-Modified", "Mon, 03 Feb 2020 04:05:06 GMT")
		x.get("bytes=0-9").expect(t).field("Last-Modified", "Mon, 03 Feb 2020 05:05:06 GMT")
	}
	wantHits(t, f, 4)
	x.Clear()
	x.Inject(RotateLastModified())
	x.get("").expect(t).field("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
	x.ask("HEAD", "/a.tar").expect(t).field("Last-Modified", "Wed, 01 Jan 2025 00:00:01 GMT")
}

// Two replicas that differ in their entity tags only.
func TestRotateETagKeepsTheDate(t *testing.T) {
	x := newFixture(t)
	date := x.get("").header.Get("Last-Modified")
	x.Inject(RotateETag("a", "b"))
	x.get("").expect(t).field("ETag", `"a"`).field("Last-Modified", date)
	x.get("").expect(t).field("ETag", `"b"`).field("Last-Modified", date)
}

// Some faults that are compositions of others.
func TestCompositions(t *testing.T) {
	x := newFixture(t)
	x.Inject(Status(416, "Content-Range", "bytes */100000").Ranged().LongerThan(10))
	x.get("bytes=0-10").expect(t).code(416).field("Content-Range", "bytes */100000")
	x.get("bytes=0-9").expect(t).code(206).bytesAt(0, 10)
	x.get("").expect(t).code(200).bytesAt(0, size)

	x.Clear()
	x.Inject(Header("Content-Type", "text/html"), Header("Set-Cookie", "k=v; Path=/"))
	x.get("bytes=0-9").expect(t).code(206).bytesAt(0, 10).
		field("Content-Type", "text/html").field("Set-Cookie", "k=v; Path=/")
}

func TestPageOfFileSize(t *testing.T) {
	x := newFixture(t)
	f := PageOfFileSize(200)
	x.Inject(f)
	for _, rang := range []string{"", "bytes=10-19"} {
		x.get(rang).expect(t).code(200).text("Sign in").contentLength(size).
			field("Content-Type", "text/html; charset=utf-8").field("Content-Range", "")
	}
	wantHits(t, f, 2)
	x.ask("GET", "/none").expect(t).code(404)
	x.Clear()
	x.Inject(PageOfFileSize(206), Header("Content-Type", "application/octet-stream"))
	x.get("").expect(t).code(200).text("Sign in").contentLength(size).field("Content-Type", "application/octet-stream")
	x.get("bytes=10-19").expect(t).code(206).text("<!DOCTYPE ").contentLength(10).
		field("Content-Range", "bytes 10-19/100000")
	if got, want := f.String(), "PageOfFileSize(200)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHeaders(t *testing.T) {
	x := newFixture(t)
	x.ask("GET", "/a.tar", "Authorization", "secret")
	x.ask("HEAD", "/a.tar")
	x.ask("GET", "/b", "Cookie", "k=v")
	got := x.Headers("a.tar")
	if len(got) != 2 || got[0].Get("Authorization") != "secret" || got[1].Get("Authorization") != "" {
		t.Errorf("/a.tar: got %v", got)
	}
	if got := x.Headers("/b"); len(got) != 1 || got[0].Get("Cookie") != "k=v" {
		t.Errorf("/b: got %v", got)
	}
	if got := x.Headers("/c"); len(got) != 0 {
		t.Errorf("/c: got %v", got)
	}
}

func TestSlowStart(t *testing.T) {
	tests := []struct {
		faults []*Fault
		want   time.Duration
	}{
		// 1000 bytes in the first 10 s, then 2000, …: 63000 in 60 s.
		{[]*Fault{SlowStart(100, 10*time.Second)}, 66 * time.Second},
		{[]*Fault{SlowStart(100, 10*time.Second), Throttle(100)}, 1000 * time.Second},
		{[]*Fault{Throttle(1000), SlowStart(500, 10*time.Second)}, 105 * time.Second},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			x := newPipeFixture(t)
			x.Inject(tt.faults...)
			start := time.Now()
			x.get("").expect(t).code(200).bytesAt(0, size)
			if got := time.Since(start).Round(time.Second); got != tt.want {
				t.Errorf("%v: took %v, want %v", tt.faults, got, tt.want)
			}
			for _, f := range tt.faults {
				wantHits(t, f, 1)
			}
		})
	}
}
