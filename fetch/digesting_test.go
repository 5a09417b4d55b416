package fetch

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dlfs/fetch/origintest"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// detail returns the details of the last entry, made if need be.
func (x *fixture) detail() *listfile.Details {
	e := &x.entries[len(x.entries)-1]
	if e.Details == nil {
		e.Details = &listfile.Details{Size: -1}
	}
	return e.Details
}

func sha256Of(c origintest.Content) digest.Digest {
	d, err := digest.FromHex(digest.SHA256, c.SHA256())
	if err != nil {
		panic(err)
	}
	return d
}

func TestDigestOfTheListIsVerifiedBeforePublishing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i, size := range []int64{0, 1, bs, 10<<20 + 5} {
			x.add(string(rune('a'+i)), size)
			x.detail().Digest = sha256Of(x.contents[x.entries[i].Name])
		}
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized(x.names()...)
		for _, f := range x.Files() {
			if n := f.Blob().Note(); !n.Verified || n.Digest != f.Entry().Said().Digest.String() {
				t.Errorf("%s: %+v", f.Name(), n)
			}
		}
		sent := x.Counts().BodyBytes
		x.restart()
		check(t, x.Run(t.Context()))
		x.wantBodyBytes(sent, sent)
		x.wantState("d", "complete", "")
	})
}

func TestDigestOfTheOriginIsVerified(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 6<<20)
		wrong := origintest.WrongBytes(3<<20, 10).Times(1)
		x.Inject(wrong, origintest.Digests("Repr-Digest"))
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, wrong)
		x.materialized("a")
		if n := x.File("a").Blob().Note(); !n.Verified || !strings.HasPrefix(n.Digest, "sha512:") {
			t.Errorf("%+v", n)
		}
	})
}

func TestAdoptedFileIsVerifiedAndNeverTouched(t *testing.T) {
	for _, right := range []bool{true, false} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 1<<20)
			x.detail().Digest = sha256Of(x.contents["a"])
			bytes := x.contents["a"].Bytes()
			if !right {
				bytes[5]++
			}
			path := filepath.Join(x.dir, "a")
			check(t, os.WriteFile(path, bytes, 0o644))
			x.start()
			check(t, x.Run(t.Context()))
			if right {
				x.wantState("a", "complete", "")
			} else {
				x.wantState("a", "mismatch", "output directory")
			}
			if now, err := os.ReadFile(path); err != nil || !slices.Equal(now, bytes) {
				t.Error("the file was touched")
			}
		})
	}
}

// A small file may be complete by the very GET that asks for its version.
func TestDigestOfTheOriginIsVerifiedWhereAProbeBringsAll(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1000)
		wrong := origintest.WrongBytes(500, 10).Times(1)
		x.Inject(wrong, origintest.RefuseHead(405), origintest.Digests("Repr-Digest"))
		x.start()
		_, err := x.File("a").Probe(t.Context())
		check(t, err)
		check(t, x.Run(t.Context()))
		wantHit(t, wrong)
		x.materialized("a")
	})
}
