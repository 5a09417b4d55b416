package origintest

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
)

// Content is the bytes of one version of a file: any size, made from a seed,
// kept nowhere.
//
// Each aligned 8-byte word mixes the seed with the word's own offset, so bytes
// of another version, or of another place in the same version, are told apart
// wherever they turn up. No byte is zero, so a hole is seen at any length.
//
// A Content is a value and safe for concurrent use.
type Content struct {
	Seed uint64
	Size int64
}

const (
	wordSize = 8
	golden   = 0x9e3779b97f4a7c15 // splitmix64's increment, 2^64 over the golden ratio
	noZero   = 0x0101010101010101 // one set bit in each byte
)

// mix is the finalizer of splitmix64.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// state returns what mix turns into the word with index i; the next word's
// state is golden more.
func (c Content) state(i int64) uint64 {
	return mix(c.Seed+golden) + uint64(i+1)*golden
}

// ReadAt implements io.ReaderAt. At an offset that is not negative it fails with
// io.EOF only.
func (c Content) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("content: negative offset %d", off)
	}
	if off >= c.Size {
		return 0, io.EOF
	}
	short := int64(len(p)) > c.Size-off
	if short {
		p = p[:c.Size-off]
	}
	c.fill(p, off)
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// fill writes the bytes [off +len(p)), whatever the Size.
func (c Content) fill(p []byte, off int64) {
	var words [4096]byte
	for len(p) > 0 {
		skip := int(off % wordSize)
		whole := min(len(words), (skip+len(p)+wordSize-1)/wordSize*wordSize)
		c.fillWords(words[:whole], off/wordSize)
		n := copy(p, words[skip:whole])
		p, off = p[n:], off+int64(n)
	}
}

// fillWords fills p, whole words, with those from index i on.
//
// The race detector would look at each byte by itself, and take longer than all
// else a test does. It sees fill's copy to where the bytes are wanted.
//
//go:norace
func (c Content) fillWords(p []byte, i int64) {
	for state := c.state(i); len(p) >= wordSize; state += golden {
		binary.LittleEndian.PutUint64(p, mix(state)|noZero)
		p = p[wordSize:]
	}
}

// Reader returns a new reader of all the bytes.
func (c Content) Reader() io.Reader {
	return io.NewSectionReader(c, 0, c.Size)
}

// Bytes returns all the bytes, in memory.
func (c Content) Bytes() []byte {
	p := make([]byte, c.Size)
	c.fill(p, 0)
	return p
}

// SHA256 returns the hexadecimal SHA-256 of all the bytes.
func (c Content) SHA256() string {
	h := sha256.New()
	if _, err := io.Copy(h, c.Reader()); err != nil {
		panic(err) // neither side can fail
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Check returns nil if p is exactly the bytes [off +len(p)), and otherwise an
// error that names the first offset that is not.
func (c Content) Check(p []byte, off int64) error {
	if off < 0 || int64(len(p)) > c.Size-off {
		return fmt.Errorf("extent [%d +%d) is not inside the size %d", off, len(p), c.Size)
	}
	var want [4096]byte
	for len(p) > 0 {
		n := min(len(p), len(want))
		c.fill(want[:n], off)
		if !bytes.Equal(p[:n], want[:n]) {
			return wrongByte(p[:n], want[:n], off)
		}
		p, off = p[n:], off+int64(n)
	}
	return nil
}

// wrongByte describes the first difference of got and want, which differ.
func wrongByte(got, want []byte, off int64) error {
	i := 0
	for got[i] == want[i] {
		i++
	}
	hint := ""
	if got[i] == 0 {
		hint = " (a hole: no byte of a Content is zero)"
	}
	return fmt.Errorf("wrong byte at offset %d: got %#02x, want %#02x%s", off+int64(i), got[i], want[i], hint)
}
