package digest

import (
	"net/http"
	"strings"
	"testing"
)

// FuzzFromHeader: whatever the fields say, a digest has a sum of its algorithm's
// length, and that of the body alone is taken of a whole body alone.
func FuzzFromHeader(f *testing.F) {
	f.Add("sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:", "crc32c=n03x6A==", "", "XUFAKrxLKna5cZ2REBfFkg==", true)
	f.Add("md5=:?:, x, =,,", "md5=", `"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"`, "", false)
	f.Add(strings.Repeat("sha-512=:AA==:,", 100), "=====", `""`, "\x00", true)
	f.Fuzz(func(t *testing.T, repr, goog, linked, md5 string, whole bool) {
		h := http.Header{"Repr-Digest": {repr}, "X-Goog-Hash": {goog, repr}, "X-Linked-Etag": {linked}, "Content-Md5": {md5}}
		d := FromHeader(h, whole)
		if d.IsZero() {
			return
		}
		if len(d.sum) != algorithms[d.Algorithm].size || d.Algorithm.New().Size() != len(d.sum) {
			t.Fatalf("%v of %d bytes", d, len(d.sum))
		}
		if back, err := Parse(d.String()); err != nil || back != d {
			t.Errorf("%v came back as %v, %v", d, back, err)
		}
		if part := FromHeader(http.Header{"Content-Md5": {md5}}, false); !part.IsZero() {
			t.Errorf("the MD5 of a part was taken for the file's: %v", part)
		}
	})
}

// FuzzParse: what is taken comes back as it was.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "sha256:", "md5=0cc175b9c0f1b6a831c399e269772661", "0cc175b9c0f1b6a831c399e269772661", "SHA-1:zz", ":=:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if (err != nil) != d.IsZero() {
			t.Fatalf("%q: %v, %v", s, d, err)
		}
		if back, err := Parse(d.String()); !d.IsZero() && (err != nil || back != d) {
			t.Errorf("%q: %v came back as %v, %v", s, d, back, err)
		}
	})
}
