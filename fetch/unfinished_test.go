package fetch

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"dlfs/fetch/origintest"
	"dlfs/listfile/digest"
)

// leave puts p into the output directory, as another program would.
func (x *fixture) leave(name string, p []byte) {
	x.t.Helper()
	check(x.t, os.WriteFile(filepath.Join(x.dir, name), p, 0o644))
}

// stays checks that a file of the output directory is still p.
func (x *fixture) stays(name string, p []byte) {
	x.t.Helper()
	if got, err := os.ReadFile(filepath.Join(x.dir, name)); err != nil || !bytes.Equal(got, p) {
		x.t.Errorf("%s has %d bytes, want the %d that were there: %v", name, len(got), len(p), err)
	}
}

// firstBytes returns the first n bytes that the origin shows under a name.
func (x *fixture) firstBytes(name string, n int64) []byte {
	x.t.Helper()
	p := make([]byte, n)
	_, err := x.contents[name].ReadAt(p, 0)
	check(x.t, err)
	return p
}

func (x *fixture) sum(name string, content []byte) {
	x.t.Helper()
	sum := sha256.Sum256(content)
	want, err := digest.FromHex(digest.SHA256, hex.EncodeToString(sum[:]))
	check(x.t, err)
	x.detail().Digest = want
}

// What another program has left of a file is not fetched again but for the pieces that
// are compared.
func TestUnfinishedFileIsGoneOnWith(t *testing.T) {
	const size, have = 8 << 20, 6<<20 + 100
	for _, n := range []int64{0, 1, bs + 1130, have} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", size)
			x.opts.AdoptPartial = true
			x.leave("a", x.firstBytes("a", n))
			x.start()
			check(t, x.Run(t.Context()))
			x.wantState("a", "complete", "")
			x.materialized("a")
			x.wantBodyBytes(size-n, size-n+4*bs)
		})
	}
}

// A file that is no beginning of the origin's stays: one that differs in what is
// compared, one that a digest refutes, one that cannot be compared.
func TestUnfinishedFileOfOtherBytesStays(t *testing.T) {
	const size, have = 4 << 20, 2<<20 + 100
	for what, tt := range map[string]struct {
		harm       func(p []byte)
		prepare    func(x *fixture)
		keep, flag bool
		says       string
	}{
		"another file":         {harm: func(p []byte) { clear(p); p[0] = 1 }, flag: true, says: "no part"},
		"its end differs":      {harm: func(p []byte) { p[have-1] ^= 1 }, flag: true, says: "no part"},
		"its start differs":    {harm: func(p []byte) { p[0] ^= 1 }, flag: true, says: "no part"},
		"it is not to be used": {harm: func([]byte) {}, says: "where the origin has"},
		"origin without ranges": {harm: func([]byte) {}, flag: true, says: "where the origin has",
			prepare: func(x *fixture) { x.Inject(origintest.NoRanges()) }},
		"a digest refutes it": {harm: func(p []byte) { // but for what is compared
			for i := 64 << 10; i < have-128<<10; i += 64 << 10 {
				p[i+40<<10] ^= 1
			}
		}, flag: true, says: "in the output directory",
			prepare: func(x *fixture) { x.sum("a", x.firstBytes("a", size)) }},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", size)
				x.opts.AdoptPartial = tt.flag
				left := x.firstBytes("a", have)
				tt.harm(left)
				x.leave("a", left)
				if tt.prepare != nil {
					tt.prepare(x)
				}
				for range 2 {
					x.start()
					check(t, x.Run(t.Context()))
					x.wantState("a", "failed", tt.says)
					x.stays("a", left)
					x.stop()
				}
				check(t, os.Remove(filepath.Join(x.dir, "a")))
				x.start()
				check(t, x.Run(t.Context()))
				x.materialized("a")
			})
		})
	}
}

// A file that a backup has restored with holes for zeros is whole if the origin has
// zeros there, and nothing else is asked for. If not, the holes are fetched.
func TestFileWithHolesIsComparedWithItsOrigin(t *testing.T) {
	const size, hole, end = 4 << 20, 1 << 20, 3 << 20
	whole := origintest.Content{Seed: 1, Size: size}
	content := make([]byte, size)
	_, err := whole.ReadAt(content, 0)
	check(t, err)
	sparse := bytes.Clone(content)
	clear(sparse[hole:end])
	for what, tt := range map[string]struct {
		origin      []byte
		least, most int64
	}{
		"whole":      {sparse, end - hole, end - hole + 2*bs},
		"unfinished": {content, end - hole, end - hole + 8*bs},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.enter("a")
				x.Put("/a", origintest.File{Body: bytes.NewReader(tt.origin), Size: size})
				x.opts.AdoptPartial = true
				path := filepath.Join(x.dir, "a")
				f, err := os.Create(path)
				check(t, err)
				_, err1 := f.WriteAt(sparse[:hole], 0)
				_, err2 := f.WriteAt(sparse[end:], end)
				check(t, errors.Join(err1, err2, f.Close()))
				before, err := os.Stat(path)
				check(t, err)
				x.start()
				check(t, x.Run(t.Context()))
				x.wantState("a", "complete", "")
				x.stays("a", tt.origin)
				x.wantBodyBytes(tt.least, tt.most)
				if after, err := os.Stat(path); err != nil || os.SameFile(before, after) != (what == "whole") {
					t.Errorf("the same file stands there: %v, %v", os.SameFile(before, after), err)
				}
			})
		})
	}
}

// The engine may end at any time while it takes a file over: the file stays, and the
// next one goes on.
func TestUnfinishedFileStaysUntilTheCompleteOneIsThere(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size, have = 4 << 20, 2 << 20
		x.add("a", size)
		x.opts.AdoptPartial, x.opts.Prefetch, x.opts.Serve = true, PrefetchNone, true
		left := x.firstBytes("a", have)
		x.leave("a", left)
		x.start()
		h := x.open("a")
		x.read(h, 0, 100)
		if got := h.Copy().Present(); got < have {
			t.Errorf("%d bytes are present, want %d", got, have)
		}
		h.Close()
		x.stays("a", left)
		x.restart()
		x.stays("a", left)
		if b := x.File("a").Blob(); b == nil || !b.Extends() || b.Present() < have {
			t.Fatalf("after a restart: %v", b)
		}
		x.opts.Prefetch, x.opts.Serve = PrefetchAll, false
		x.restart()
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}
