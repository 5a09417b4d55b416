package digest

import (
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
)

const text = "hello"

var (
	ofMD5    = md5.Sum([]byte(text))
	ofSHA256 = sha256.Sum256([]byte(text))
)

func TestDigestChecksWhatItSays(t *testing.T) {
	for a := CRC32C; a <= SHA512; a++ {
		h := a.New()
		h.Write([]byte(text))
		d, err := New(a, h.Sum(nil))
		if err != nil || !d.Is(h) {
			t.Errorf("%v: %v %v", a, d, err)
		}
		back, err := Parse(d.String())
		if err != nil || back != d {
			t.Errorf("%v: parsed back as %v, %v", d, back, err)
		}
		h.Write([]byte("!"))
		if d.Is(h) {
			t.Errorf("%v agrees with other bytes", d)
		}
	}
}

func TestParse(t *testing.T) {
	digits := hex.EncodeToString(ofSHA256[:])
	want, _ := New(SHA256, ofSHA256[:])
	for _, s := range []string{digits, strings.ToUpper(digits), "sha256:" + digits, "sha-256=" + digits, "SHA256:" + digits} {
		if d, err := Parse(s); err != nil || d != want {
			t.Errorf("%s: %v %v", s, d, err)
		}
	}
	for _, s := range []string{"", "xyz", "abcd", "md5:" + digits, "whirlpool:" + digits, "sha256:" + digits[2:], ":" + digits} {
		if d, err := Parse(s); err == nil || !d.IsZero() {
			t.Errorf("%q is taken for %v", s, d)
		}
	}
}

func TestFromHeader(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for _, tt := range []struct {
		name  string
		h     http.Header
		whole bool
		want  Algorithm
	}{
		{"nothing", http.Header{}, true, None},
		{"Content-MD5 of the whole", http.Header{"Content-Md5": {b64(ofMD5[:])}}, true, MD5},
		{"Content-MD5 of a range", http.Header{"Content-Md5": {b64(ofMD5[:])}}, false, None},
		{"Repr-Digest of a range", http.Header{"Repr-Digest": {"sha-256=:" + b64(ofSHA256[:]) + ":"}}, false, SHA256},
		{"the strongest", http.Header{"Repr-Digest": {"md5=:" + b64(ofMD5[:]) + ":, sha-256=:" + b64(ofSHA256[:]) + ":"}}, false, SHA256},
		{"two fields", http.Header{"X-Goog-Hash": {"crc32c=n03x6A==", "md5=" + b64(ofMD5[:])}}, false, MD5},
		{"crc alone", http.Header{"X-Goog-Hash": {"crc32c=n03x6A=="}}, false, CRC32C},
		{"of what is stored, which is not sent", http.Header{"X-Goog-Hash": {"md5=" + b64(ofMD5[:])}, "X-Guploader-Response-Body-Transformations": {"gunzipped"}}, true, None},
		{"of a gzipped object that is sent without a coding", http.Header{"X-Goog-Hash": {"md5=" + b64(ofMD5[:])}, "X-Goog-Stored-Content-Encoding": {"gzip"}}, true, None},
		{"of a gzipped object that is sent so", http.Header{"X-Goog-Hash": {"md5=" + b64(ofMD5[:])}, "X-Goog-Stored-Content-Encoding": {"gzip"}, "Content-Encoding": {"gzip"}}, true, MD5},
		{"a linked tag", http.Header{"X-Linked-Etag": {`"` + hex.EncodeToString(ofSHA256[:]) + `"`}}, false, SHA256},
		{"a linked tag of git", http.Header{"X-Linked-Etag": {`"0123456789abcdef0123456789abcdef01234567"`}}, false, None},
		{"nonsense", http.Header{"Repr-Digest": {"sha-256=:?:, x=1, , sha-256"}, "Content-Md5": {"?"}}, true, None},
	} {
		if d := FromHeader(tt.h, tt.whole); d.Algorithm != tt.want {
			t.Errorf("%s: %v", tt.name, d)
		}
	}
}

func TestPiecesFit(t *testing.T) {
	p := &Pieces{Length: 10, Sums: make([]Digest, 2)}
	for size, want := range map[int64]bool{10: false, 11: true, 20: true, 21: false} {
		if p.Fits(size) != want {
			t.Errorf("2 pieces of 10 for %d bytes: %v", size, !want)
		}
	}
	if (&Pieces{}).Fits(0) {
		t.Error("pieces without a length fit")
	}
}
