package origintest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestContentReadAtEqualsBytes(t *testing.T) {
	c := Content{Seed: 7, Size: 100}
	whole := c.Bytes()
	for off := int64(0); off <= c.Size; off++ {
		for n := int64(0); n <= 20; n++ {
			p := make([]byte, n)
			got, err := c.ReadAt(p, off)
			want := whole[off:min(off+n, c.Size)]
			if !bytes.Equal(p[:got], want) {
				t.Fatalf("[%d +%d): got %x, want %x", off, n, p[:got], want)
			}
			if atEnd := int64(got) < n || off == c.Size; (err == io.EOF) != atEnd {
				t.Fatalf("[%d +%d): error %v", off, n, err)
			}
		}
	}
	if _, err := c.ReadAt(make([]byte, 1), -1); err == nil || err == io.EOF {
		t.Errorf("negative offset: error %v", err)
	}
}

func TestContentReader(t *testing.T) {
	c := Content{Seed: 3, Size: 1003}
	if err := iotest.TestReader(c.Reader(), c.Bytes()); err != nil {
		t.Error(err)
	}
	sum := sha256.Sum256(c.Bytes())
	if got, want := c.SHA256(), hex.EncodeToString(sum[:]); got != want {
		t.Errorf("SHA256: got %s, want %s", got, want)
	}
}

func TestContentEmpty(t *testing.T) {
	c := Content{Seed: 1}
	if err := iotest.TestReader(c.Reader(), nil); err != nil {
		t.Error(err)
	}
	if err := c.Check(nil, 0); err != nil {
		t.Error(err)
	}
}

// No word is at home at two places, in any version.
func TestContentWordsDiffer(t *testing.T) {
	seen := make(map[string]string)
	for seed := range uint64(20) {
		p := Content{Seed: seed, Size: 8 << 10}.Bytes()
		for off := 0; off < len(p); off += wordSize {
			here := fmt.Sprintf("seed %d offset %d", seed, off)
			word := string(p[off : off+wordSize])
			if there, ok := seen[word]; ok {
				t.Fatalf("%s is %s", here, there)
			}
			seen[word] = here
		}
	}
}

func TestContentHasNoZero(t *testing.T) {
	for _, seed := range []uint64{0, 1, ^uint64(golden) + 1} {
		if i := bytes.IndexByte(Content{Seed: seed, Size: 64 << 10}.Bytes(), 0); i >= 0 {
			t.Errorf("seed %d: byte %d is zero", seed, i)
		}
	}
}

// A longer version begins like a shorter one: an appended file.
func TestContentSizeIsNotMixed(t *testing.T) {
	short, long := Content{Seed: 5, Size: 77}, Content{Seed: 5, Size: 99}
	if !bytes.HasPrefix(long.Bytes(), short.Bytes()) {
		t.Error("another size changes the bytes")
	}
}

func TestContentCheck(t *testing.T) {
	c := Content{Seed: 9, Size: 20_000}
	whole := c.Bytes()
	swapped := func(a, b, n int) []byte { // the blocks [a +n) and [b +n) change places
		p := bytes.Clone(whole)
		copy(p[a:a+n], whole[b:])
		copy(p[b:b+n], whole[a:])
		return p
	}
	with := func(off int, bytes ...byte) []byte {
		p := append([]byte(nil), whole...)
		copy(p[off:], bytes)
		return p
	}
	tests := []struct {
		name string
		p    []byte
		off  int64
		want string // in the error; empty for none
	}{
		{"whole", whole, 0, ""},
		{"odd extent", whole[4097:9001], 4097, ""},
		{"last byte", whole[19_999:], 19_999, ""},
		{"nothing at the end", nil, 20_000, ""},
		{"shifted block", swapped(4096, 8192, 4096), 0, "wrong byte at offset 4096:"},
		{"shifted by one", whole[1:], 0, "wrong byte at offset 0:"},
		{"other version", Content{Seed: 10, Size: 8}.Bytes(), 0, "wrong byte at offset 0:"},
		{"hole of one byte", with(12_345, 0), 0, "offset 12345: got 0x00, want 0x" + hex.EncodeToString(whole[12_345:12_346]) + " (a hole"},
		{"past the end", append(bytes.Clone(whole), 1), 0, "not inside the size 20000"},
		{"before the start", whole[:1], -1, "not inside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := c.Check(tt.p, tt.off)
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

func BenchmarkContentReadAt(b *testing.B) {
	c := Content{Seed: 1, Size: 1 << 40}
	for _, off := range []int64{0, 3} {
		b.Run(fmt.Sprintf("off=%d", off), func(b *testing.B) {
			p := make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				if _, err := c.ReadAt(p, off); err != nil {
					b.Fatal(err)
				}
				off += int64(len(p))
			}
		})
	}
}
