package listfile

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/therootcompany/xz"
)

// maxUnpacked is how long a packed list may be when unpacked. Its lines (maxLine) and
// its names (maxKnown) are bounded, too, so that no list fills the memory.
const maxUnpacked = 8 << 30

var errUnpacked = fmt.Errorf("the list unpacks to more than %d GiB", maxUnpacked>>30)

// maxWindow bounds what a packed list may have a decoder remember, in bytes. What
// the common tools write by default fits.
const maxWindow = 128 << 20

// packings are the ways a list may be packed, known by its first bytes.
var packings = []struct {
	magic  string
	unpack func(in io.Reader) (io.Reader, func(), error)
}{
	{"\x1f\x8b", func(in io.Reader) (io.Reader, func(), error) {
		r, err := gzip.NewReader(in)
		return r, func() {}, err
	}},
	{"BZh", func(in io.Reader) (io.Reader, func(), error) { return bzip2.NewReader(in), func() {}, nil }},
	{"\xfd7zXZ\x00", func(in io.Reader) (io.Reader, func(), error) {
		r, err := xz.NewReader(in, maxWindow)
		return r, func() {}, err
	}},
	{"\x28\xb5\x2f\xfd", func(in io.Reader) (io.Reader, func(), error) {
		r, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxUnpacked), zstd.WithDecoderConcurrency(1))
		if err != nil {
			return nil, func() {}, err
		}
		return r, r.Close, nil
	}},
}

// unpack returns a reader of the list as it is unpacked, which is in itself if the list
// is not packed. Packed twice is not undone twice. The caller calls done when it has
// read the list, also after an error; done is never nil. The error says that the packed
// data is wrong at its start; damage further on is an error of the reader.
func unpack(in *bufio.Reader) (_ *bufio.Reader, done func(), err error) {
	for _, packing := range packings {
		if start, _ := in.Peek(len(packing.magic)); !bytes.Equal(start, []byte(packing.magic)) {
			continue // of a list that cannot be read, the parser tells it
		}
		r, done, err := packing.unpack(in)
		if err != nil {
			return nil, done, err
		}
		return bufio.NewReaderSize(&bounded{r: r, left: maxUnpacked, err: errUnpacked}, sampleBytes), done, nil
	}
	return in, func() {}, nil
}
