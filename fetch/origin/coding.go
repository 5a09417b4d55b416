package origin

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"

	"dlfs/listfile/digest"
)

// Encoded says what to do with an answer that has a content coding although none
// was asked for (RFC 9110 section 8.4).
type Encoded string

// The ways to treat an encoded answer.
const (
	RefuseEncoded Encoded = "refuse" // it is an error
	StoreEncoded  Encoded = "store"  // the bytes as they come are the file
	DecodeEncoded Encoded = "decode" // what they decode to is the file, read in one stream
)

// codings are the content codings in use, each with the extensions of files that
// are of that form themselves. Any other word in Content-Encoding ("none",
// "utf-8", "binary", "aws-chunked") is a mistake of who stored the file, and says
// nothing of its bytes.
var codings = map[string][]string{
	"gzip":     {".gz", ".tgz", ".taz", ".svgz", ".emz", ".bgz", ".gzip"},
	"deflate":  nil,
	"br":       {".br"},
	"zstd":     {".zst", ".zstd", ".tzst"},
	"compress": {".z", ".taz"},
	"bzip2":    {".bz2", ".tbz", ".tbz2", ".bz"},
	"xz":       {".xz", ".txz"},
}

// codingsOf returns the content codings that a response names, in the order they
// were applied.
func codingsOf(h http.Header) (list []string) {
	for word := range strings.SplitSeq(strings.Join(h.Values("Content-Encoding"), ","), ",") {
		word = strings.TrimPrefix(strings.ToLower(strings.TrimSpace(word)), "x-")
		if _, known := codings[word]; known {
			list = append(list, word)
		}
	}
	return list
}

// settleCoding leaves in a response the content codings alone that the file
// would have to be freed from: not those that only say what the file is, by its
// name, and none if encoded answers are stored as they come.
func (r *Resource) settleCoding(x *exchange) {
	list := codingsOf(x.resp.Header)
	if len(list) == 1 && slices.Contains(codings[list[0]], strings.ToLower(path.Ext(r.opts.Name))) && x.hasLength() && !x.packedTwice() {
		list = nil
	}
	if r.c.opts.Encoded == StoreEncoded {
		list = nil
	}
	x.resp.Header.Del("Content-Encoding")
	if len(list) > 0 {
		x.resp.Header.Set("Content-Encoding", strings.Join(list, ", "))
	}
}

// hasLength reports whether the body has a length, as a stored file has and few
// bodies that are compressed on the way.
func (x *exchange) hasLength() bool { return x.resp.ContentLength >= 0 }

// packedTwice reports whether a whole body is a gzipped file that was gzipped
// once more on the way.
func (x *exchange) packedTwice() bool {
	if x.resp.StatusCode != http.StatusOK {
		return false
	}
	z, err := gzip.NewReader(bytes.NewReader(x.body.peek(512)))
	if err != nil {
		return false
	}
	var magic [2]byte
	io.ReadFull(z, magic[:]) // bytes that do not come are zero
	return magic == [2]byte{0x1f, 0x8b}
}

// isEncoded reports whether the body of a response, after settleCoding, is not
// the file but a coding of it.
func isEncoded(resp *http.Response) bool {
	return resp.Header.Get("Content-Encoding") != "" &&
		(resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusPartialContent)
}

func encodedError(resp *http.Response) error {
	return &Error{Kind: Permanent, Status: resp.StatusCode, Err: fmt.Errorf("answer is encoded with %.40q although none was asked for; "+
		"--encoded=decode decodes it, --encoded=store keeps it as it comes", resp.Header.Get("Content-Encoding"))}
}

// decode has an encoded answer decoded while it is read, if that is to be done
// and can be. The length of what comes out is not known, no range of it can be
// asked for, and digests in the header are of other bytes.
func (r *Resource) decode(x *exchange, whole bool) error {
	if r.c.opts.Encoded != DecodeEncoded || !isEncoded(x.resp) {
		return nil
	}
	if !whole || !x.isWhole() {
		return &Error{Kind: NoRanges, Status: x.resp.StatusCode, Err: errors.New("encoded answers are decoded from their start")}
	}
	list := codingsOf(x.resp.Header)
	for _, coding := range slices.Backward(list) {
		if err := x.body.decode(coding); err != nil {
			return err
		}
	}
	x.resp.Header.Del("Content-Encoding")
	x.resp.ContentLength, x.digest = -1, digest.Digest{}
	return nil
}

// newDecoder returns a reader of what src decodes to. It may read from src at
// once.
func newDecoder(coding string, src *bufio.Reader) (io.Reader, error) {
	switch coding {
	case "gzip":
		return gzip.NewReader(src)
	case "deflate":
		// It has the header of zlib (RFC 9110 section 8.4.1.2), but some leave that out.
		if head, _ := src.Peek(2); len(head) == 2 && head[0]&0x0f == 8 && (uint(head[0])<<8|uint(head[1]))%31 == 0 {
			return zlib.NewReader(src)
		}
		return flate.NewReader(src), nil
	case "br":
		return brotli.NewReader(src), nil
	case "zstd":
		// One goroutine: it ends with the last Read, and needs no Close.
		return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxDecoder))
	case "bzip2":
		return bzip2.NewReader(src), nil
	case "xz":
		return xz.NewReader(src, maxDecoder)
	}
	return nil, fmt.Errorf("there is no decoder for %q", coding)
}

// maxDecoder bounds the memory of a decoder, in bytes.
const maxDecoder = 64 << 20
