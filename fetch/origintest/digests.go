package origintest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strings"
	"sync"
)

// Digests and bytes that do not have them.

// Digests adds fields with true digests, each named by one of these:
//
//	Repr-Digest    SHA-256 and SHA-512 of the file (RFC 9530, section 3)
//	Content-MD5    of the part of the file that was asked (RFC 1864)
//	X-Goog-Hash    CRC32C and MD5 of the file, as Cloud Storage says them
//	X-Linked-Etag  SHA-256 of the file, as Hugging Face says it
//
// Without any it adds all four. A digest that is not true is a Header.
func Digests(fields ...string) *Fault {
	if len(fields) == 0 {
		fields = []string{"Repr-Digest", "Content-MD5", "X-Goog-Hash", "X-Linked-Etag"}
	}
	for _, field := range fields {
		if digestOf[field] == nil {
			panic(fmt.Sprintf("origintest: Digests(%q)", field))
		}
	}
	var known sync.Map // string by digestKey: hashing is slow
	return newFault(stageHeader, (*plan).shows, func(p *plan) {
		for _, field := range fields {
			e := extent{0, p.file.Size}
			if field == "Content-MD5" {
				e = p.asked
			}
			key := digestKey{field, p.truth, e}
			value, ok := known.Load(key)
			if !ok {
				value = digestOf[field](io.NewSectionReader(p.truth.Body, e.off, e.n))
				known.Store(key, value)
			}
			p.set(field, value.(string))
		}
	}, "Digests(%s)", strings.Join(fields, ", "))
}

type digestKey struct {
	field string
	file  *File
	extent
}

var digestOf = map[string]func(io.Reader) string{
	"Repr-Digest": func(r io.Reader) string {
		sums := hashAll(r, sha256.New(), sha512.New())
		return fmt.Sprintf("sha-256=:%s:, sha-512=:%s:", base(sums[0]), base(sums[1]))
	},
	"Content-MD5": func(r io.Reader) string {
		return base(hashAll(r, md5.New())[0])
	},
	"X-Goog-Hash": func(r io.Reader) string {
		sums := hashAll(r, crc32.New(crc32.MakeTable(crc32.Castagnoli)), md5.New())
		return fmt.Sprintf("crc32c=%s,md5=%s", base(sums[0]), base(sums[1]))
	},
	"X-Linked-Etag": func(r io.Reader) string {
		return `"` + hex.EncodeToString(hashAll(r, sha256.New())[0]) + `"`
	},
}

func base(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

func hashAll(r io.Reader, hashes ...hash.Hash) [][]byte {
	writers := make([]io.Writer, len(hashes))
	for i, h := range hashes {
		writers[i] = h
	}
	if _, err := io.Copy(io.MultiWriter(writers...), r); err != nil {
		panic("origintest: reading a body: " + err.Error())
	}
	sums := make([][]byte, len(hashes))
	for i, h := range hashes {
		sums[i] = h.Sum(nil)
	}
	return sums
}

// WrongBytes sends wrong bytes in place of those at [off +n) of the file, as a
// proxy with bad memory does. All else is honest, Digests included. It meets
// requests that ask for one of them; the answer to a request meets it as a
// whole, so that with NoRanges, too, they are wrong.
func WrongBytes(off, n int64) *Fault {
	return newFault(stageVersion, func(p *plan) bool {
		return p.found() && p.isGet() && p.asked.off < off+n && off < p.asked.off+p.asked.n
	}, func(p *plan) {
		wrong := *p.file
		wrong.Body = wrongBody{wrong.Body, extent{off, n}}
		p.file = &wrong
		p.honest()
	}, "WrongBytes(%d, %d)", off, n)
}

// wrongBody is a body with wrong bytes at an extent.
type wrongBody struct {
	io.ReaderAt
	wrong extent
}

func (b wrongBody) ReadAt(p []byte, off int64) (int, error) {
	n, err := b.ReaderAt.ReadAt(p, off)
	first := max(b.wrong.off-off, 0)
	last := min(b.wrong.off+b.wrong.n-off, int64(n))
	for i := first; i < last; i++ {
		p[i] ^= 0x80 // which makes no byte of a Content zero
	}
	return n, err
}
