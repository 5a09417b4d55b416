// Package digest names what the bytes of a whole file must hash to, as lists,
// checksum files and origins say it.
package digest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"net/http"
	"strings"
)

// Algorithm is a hash function.
type Algorithm uint8

// The algorithms, the weakest first. Even the weakest tells damage; only from
// SHA256 on does one tell malice.
const (
	None Algorithm = iota
	CRC32C
	MD5
	SHA1
	SHA256
	SHA512
)

// algorithms has, for each Algorithm but None, its name, the length of a sum and its
// hash.
var algorithms = [...]struct {
	name string
	size int // bytes of a sum
	make func() hash.Hash
}{
	CRC32C: {"crc32c", 4, func() hash.Hash { return crc32.New(crc32.MakeTable(crc32.Castagnoli)) }},
	MD5:    {"md5", md5.Size, md5.New},
	SHA1:   {"sha1", sha1.Size, sha1.New},
	SHA256: {"sha256", sha256.Size, sha256.New},
	SHA512: {"sha512", sha512.Size, sha512.New},
}

// String returns the name of the algorithm in lower case, without a hyphen; "" for
// None.
func (a Algorithm) String() string { return algorithms[a].name }

// New returns a hash that computes the algorithm; a is not None.
func (a Algorithm) New() hash.Hash { return algorithms[a].make() }

// ParseAlgorithm knows an algorithm by its name, in any case, with or without
// the hyphen of the IANA registry ("SHA-256").
func ParseAlgorithm(name string) (Algorithm, bool) {
	name = strings.ReplaceAll(strings.ToLower(name), "-", "")
	for a := CRC32C; a <= SHA512; a++ {
		if a.String() == name {
			return a, true
		}
	}
	return None, false
}

// Digest is an algorithm and the sum it must yield. It is comparable; the zero
// value is no digest.
type Digest struct {
	Algorithm Algorithm
	sum       string // raw
}

// New returns the digest with that raw sum, whose length must be the
// algorithm's.
func New(a Algorithm, sum []byte) (Digest, error) {
	if a == None || len(sum) != algorithms[a].size {
		return Digest{}, fmt.Errorf("digest of %d bytes is not %v", len(sum), a)
	}
	return Digest{a, string(sum)}, nil
}

// FromHex returns the digest with that hexadecimal sum, in either case. If a is None,
// the length tells the algorithm: 32, 40, 64 or 128 digits. The error does not quote
// the text.
func FromHex(a Algorithm, digits string) (Digest, error) {
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return Digest{}, fmt.Errorf("digest is not hexadecimal")
	}
	for b := MD5; a == None && b <= SHA512; b++ {
		if algorithms[b].size == len(sum) {
			a = b
		}
	}
	if a == None {
		return Digest{}, fmt.Errorf("digest of %d hexadecimal digits is of no known algorithm", len(digits))
	}
	return New(a, sum)
}

// FromBase64 returns the digest with that sum in standard base64 with padding (RFC 4648
// section 4), as HTTP header fields have it. a is not None.
func FromBase64(a Algorithm, text string) (Digest, error) {
	sum, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return Digest{}, fmt.Errorf("digest is not base64")
	}
	return New(a, sum)
}

// Parse reads "ALGORITHM:HEX" and "ALGORITHM=HEX", or bare HEX as of FromHex.
// It undoes String.
func Parse(s string) (Digest, error) {
	i := strings.IndexAny(s, ":=")
	if i < 0 {
		return FromHex(None, s)
	}
	a, ok := ParseAlgorithm(s[:i])
	if !ok {
		return Digest{}, fmt.Errorf("digest algorithm %q is not known; use md5, sha1, sha256 or sha512", s[:i])
	}
	return FromHex(a, s[i+1:])
}

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.Algorithm == None }

// Hex returns the sum in hexadecimal.
func (d Digest) Hex() string { return hex.EncodeToString([]byte(d.sum)) }

// String returns "algorithm:hex", "" for no digest.
func (d Digest) String() string {
	if d.IsZero() {
		return ""
	}
	return d.Algorithm.String() + ":" + d.Hex()
}

// Is reports whether a hash that was made by d.Algorithm.New has d's sum.
func (d Digest) Is(h hash.Hash) bool { return string(h.Sum(nil)) == d.sum }

// FromHeader returns the strongest digest of the whole file that a response
// tells, the zero Digest if none. whole says that the body is the whole file:
// Content-MD5 is of the body, which may be a part of the file. The others
// are of the file: Repr-Digest (RFC 9530 section 3), x-goog-hash (Cloud
// Storage), and X-Linked-Etag (Hugging Face), which is a SHA-256 when it has
// the form of one.
func FromHeader(h http.Header, whole bool) (best Digest) {
	better := func(d Digest, err error) {
		if err == nil && d.Algorithm > best.Algorithm {
			best = d
		}
	}
	fields := []string{"Repr-Digest", "X-Goog-Hash"}
	if isTranscoded(h) {
		fields = fields[:1]
	}
	for _, field := range fields {
		for item := range strings.SplitSeq(strings.Join(h.Values(field), ","), ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(item), "=")
			if a, ok := ParseAlgorithm(name); ok {
				better(FromBase64(a, strings.Trim(value, ":"))) // a byte sequence stands in colons
			}
		}
	}
	if etag := strings.Trim(h.Get("X-Linked-Etag"), `"`); len(etag) == 2*sha256.Size {
		better(FromHex(SHA256, etag))
	}
	if md5 := h.Get("Content-MD5"); whole && md5 != "" {
		better(FromBase64(MD5, md5))
	}
	return best
}

// isTranscoded reports whether Cloud Storage says that it does not send an object
// as it is stored, but decompressed. Its hashes are of what is stored.
func isTranscoded(h http.Header) bool {
	stored := h.Get("X-Goog-Stored-Content-Encoding")
	return h.Get("X-Guploader-Response-Body-Transformations") != "" ||
		strings.EqualFold(stored, "gzip") && !strings.EqualFold(h.Get("Content-Encoding"), "gzip")
}

// Pieces are the digests of a file's pieces, as Metalink has them (RFC 5854
// section 4.2.11): all of Length bytes but the last.
type Pieces struct {
	Length int64 // bytes, above 0
	Sums   []Digest
}

// Fits reports whether there is a digest for every piece of a file of that
// size, and none to spare.
func (p *Pieces) Fits(size int64) bool {
	return p.Length > 0 && (size+p.Length-1)/p.Length == int64(len(p.Sums))
}
