package origin

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"dlfs/fetch/origintest"
)

// Words in Content-Encoding that are no content coding say nothing of the bytes.
func TestWordsThatAreNoCoding(t *testing.T) {
	for _, word := range []string{"none", "None", "utf-8", "binary", "aws-chunked", "identity", "application/zip", ", ,", "aws-chunked, none"} {
		bubble(t, func(t *testing.T, x *fixture) {
			label := origintest.Header("Content-Encoding", word)
			x.Inject(label)
			v, _, err := x.probe(true)
			if v.Size != size || err != nil {
				t.Errorf("%q: %v, %v", word, v, err)
			}
			_, p, err := x.get(&v, 1000, 1000)
			x.wantBytes(p, 1000, err)
			_, p, err = x.getWhole(&v)
			x.wantBytes(p, size, err)
			wantHit(t, label)
		})
	}
}

// A file whose name says the coding too is what is sent, in ranges or as a whole.
func TestCodingOfTheFileItself(t *testing.T) {
	for name, coding := range map[string]string{
		"a.tar.gz": "gzip", "a.TGZ": "x-gzip", "a.tar.xz": "xz", "a.bz2": "bzip2", "a.zst": "zstd", "a.br": "br", "a.tar.Z": "x-compress",
	} {
		for _, ranges := range []bool{true, false} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.Put("/"+name, origintest.File{Content: content})
				x.url = x.base + "/" + name
				label := origintest.Header("Content-Encoding", coding)
				x.Inject(label)
				if !ranges {
					x.Inject(origintest.NoRanges())
				}
				_, p, err := x.get(nil, 0, size)
				x.wantBytes(p, size, err)
				wantHit(t, label)
			})
		}
	}
	bubble(t, func(t *testing.T, x *fixture) { // of another name it is a coding
		x.Put("/a.tar.gz", origintest.File{Content: content})
		x.url = x.base + "/a.tar.gz"
		x.Inject(origintest.Header("Content-Encoding", "zstd"))
		_, _, err := x.get(nil, 0, size)
		wantKind(t, err, Permanent)
	})
}

// An error that is compressed is the error it is.
func TestErrorsMayBeEncoded(t *testing.T) {
	for code, kind := range map[int]Kind{404: NotFound, 410: NeedsURL} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.Inject(origintest.Header("Content-Encoding", "gzip"), origintest.Status(code))
			_, _, err := x.get(nil, 0, size)
			wantKind(t, err, kind)
		})
	}
}

const decoded = "the bytes that are meant\n"

func gzipped(text string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, text) // a bytes.Buffer takes everything
	w.Close()
	return b.String()
}

// encodings of decoded, as an origin may send them.
func encodings(t *testing.T) map[string]string {
	all := map[string]string{"gzip": gzipped(decoded), "gzip, x-gzip": gzipped(gzipped(decoded))}
	put := func(coding string, w io.WriteCloser, b *bytes.Buffer) {
		_, err := io.WriteString(w, decoded)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		all[coding] = b.String()
	}
	var deflate, br, zst bytes.Buffer
	put("deflate", zlib.NewWriter(&deflate), &deflate)
	put("br", brotli.NewWriter(&br), &br)
	w, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	put("aws-chunked, zstd", w, &zst)
	for coding, stored := range map[string]string{ // by the programs xz and bzip2
		"xz":      "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAYdGhlIGJ5dGVzIHRoYXQgYXJlIG1lYW50CgAAAACLEXK3PiRvFQABMRlZGrCCH7bzfQEAAAAABFla",
		"x-bzip2": "QlpoOTFBWSZTWRmdngsAAAvRgAAQQAAyQxwgIAAhqeo9TQ/UhA0DQFtDnGz1YnVRm4X8XckU4UJAZnZ4LA==",
	} {
		p, err := base64.StdEncoding.DecodeString(stored)
		if err != nil {
			t.Fatal(err)
		}
		all[coding] = string(p)
	}
	return all
}

func TestEncodedAnswers(t *testing.T) {
	for coding, stored := range encodings(t) {
		for how, want := range map[Encoded]string{RefuseEncoded: "", StoreEncoded: stored, DecodeEncoded: decoded} {
			t.Run(fmt.Sprint(coding, " ", how), func(t *testing.T) {
				bubble(t, func(t *testing.T, x *fixture) {
					x.c.opts.Encoded = how
					x.Put("/a.json", origintest.Text(stored))
					x.url = x.base + "/a.json"
					// The digest is that of what is stored, which is not what is read.
					label := origintest.Header("Content-Encoding", coding)
					said := origintest.Header("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==")
					x.Inject(label, said)
					b, err := x.resource().Get(t.Context(), nil, 0, 1<<20)
					if how == RefuseEncoded {
						if e := wantKind(t, err, Permanent); !strings.Contains(e.Error(), "--encoded=decode") {
							t.Error(e)
						}
						return
					}
					if err != nil {
						t.Fatal(err)
					}
					defer b.Close()
					p, err := io.ReadAll(b)
					if string(p) != want || err != nil {
						t.Errorf("got %q, %v; want %q", p, err, want)
					}
					if how == DecodeEncoded && (b.Version().Size != UnknownSize || !b.Digest().IsZero()) {
						t.Errorf("version %v, digest %v", b.Version(), b.Digest())
					}
					wantHit(t, label)
				})
			})
		}
	}
}

// What does not decode is asked for a few times, and then believed to be so.
func TestUndecodable(t *testing.T) {
	for coding, stored := range encodings(t) {
		for _, body := range []string{"nonsense", stored[:len(stored)-3]} {
			bubble(t, func(t *testing.T, x *fixture) {
				x.c.opts.Encoded = DecodeEncoded
				x.Put("/a.json", origintest.Text(body))
				x.url = x.base + "/a.json"
				x.Inject(origintest.Header("Content-Encoding", coding))
				b, err := x.resource().Get(t.Context(), nil, 0, 1<<20)
				if err == nil {
					_, err = io.ReadAll(b)
					b.Close()
				}
				if err == nil || KindOf(err) == Transient {
					t.Errorf("%s: %q: %v", coding, body, err)
				}
				if n := x.Counts().Requests; n > 6 {
					t.Errorf("%s: %q: %d requests", coding, body, n)
				}
			})
		}
	}
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Encoded = DecodeEncoded
		x.Inject(origintest.Header("Content-Encoding", "compress"))
		_, _, err := x.get(nil, 0, size)
		if err == nil || !strings.Contains(err.Error(), "--encoded=store") {
			t.Error(err)
		}
	})
}

// A decoded body that breaks off goes on where it was, if it is the same.
func TestDecodedBodyIsResumed(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.c.opts.Encoded = DecodeEncoded
		text := strings.Repeat(decoded, 10_000)
		var b bytes.Buffer
		w, err := gzip.NewWriterLevel(&b, gzip.NoCompression)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, text) // a bytes.Buffer takes everything
		w.Close()
		x.Put("/a.json", origintest.Text(b.String()))
		x.url = x.base + "/a.json"
		cut := origintest.CutAfter(100_000).Times(3)
		x.Inject(origintest.Header("Content-Encoding", "gzip"), cut)
		body, err := x.resource().GetWhole(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer body.Close()
		p, err := io.ReadAll(body)
		if string(p) != text || err != nil {
			t.Errorf("%d bytes, %v", len(p), err)
		}
		wantHit(t, cut)
	})
}
