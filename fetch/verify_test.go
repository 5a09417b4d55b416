package fetch

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/listfile"
	"dlfs/listfile/digest"
)

// flip changes one byte of a finished file, and returns what it has now.
func (x *fixture) flip(name string, off int64) []byte {
	x.t.Helper()
	path := filepath.Join(x.dir, name)
	p, err := os.ReadFile(path)
	check(x.t, err)
	p[off] ^= 1
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	check(x.t, err)
	_, err = f.WriteAt(p[off:off+1], off)
	check(x.t, err)
	check(x.t, f.Close())
	return p
}

func (x *fixture) repair() {
	x.t.Helper()
	check(x.t, x.Verify(x.t.Context(), VerifyOptions{Repair: true, Deep: true}, func(*File, Verdict) {}))
	if err := x.Run(x.t.Context()); err != nil && x.t.Context().Err() != nil {
		x.t.Fatal(err)
	}
}

func (x *fixture) keeps(name string, want []byte) {
	x.t.Helper()
	got, err := os.ReadFile(filepath.Join(x.dir, name))
	if err != nil || !bytes.Equal(got, want) {
		x.t.Errorf("%s: %d bytes, %v; it is not the file that was there", name, len(got), err)
	}
}

// A repair that cannot be finished leaves the wrong file where it is, says so, and
// is finished once it can be.
func TestFailedRepairKeepsTheFile(t *testing.T) {
	for state, fault := range map[string]*origintest.Fault{
		"needs-url": origintest.Status(403),
		"failed":    origintest.Status(404),
		"mismatch":  origintest.WrongBytes(1_000_000, 10),
	} {
		t.Run(state, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 2<<20)
				x.detail().Digest = sha256Of(x.contents["a"])
				x.start()
				check(t, x.Run(t.Context()))
				x.stop()
				old := x.flip("a", 1000)
				x.Inject(fault)
				for range 2 {
					x.start()
					x.repair()
					x.wantState("a", state, "; the file with the wrong digest stays in the output directory")
					x.keeps("a", old)
					x.stop()
				}
				x.keeps("a", old)
				x.Clear()
				x.start()
				check(t, x.Run(t.Context()))
				if state == "mismatch" { // its blob is complete: that is repaired in its turn
					x.repair()
				}
				x.materialized("a")
				wantHit(t, fault)
			})
		})
	}
}

// A repair that is stopped in the middle goes on at the next start.
func TestInterruptedRepairGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.detail().Digest = sha256Of(x.contents["a"])
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		old := x.flip("a", 1000)
		x.start()
		check(t, x.Verify(t.Context(), VerifyOptions{Repair: true, Deep: true}, func(*File, Verdict) {}))
		check(t, x.readOnce("a", 1<<20, 1<<20))
		x.keeps("a", old)
		x.restart()
		x.keeps("a", old)
		before := x.Counts().BodyBytes
		check(t, x.Run(t.Context()))
		if got := x.Counts().BodyBytes - before; got > 3<<20+1000 {
			t.Errorf("%d bytes were fetched after the restart", got)
		}
		x.materialized("a")
	})
}

// With digests of pieces, the other pieces are copied.
func TestRepairFetchesOnlyBadPieces(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.detail().Pieces = piecesOf(x.contents["a"])
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		old := x.flip("a", 2<<20)
		path := filepath.Join(x.dir, "a")
		reader, err := os.Open(path)
		check(t, err)
		defer reader.Close()
		x.start()
		before := x.Counts().BodyBytes
		x.repair()
		if got := x.Counts().BodyBytes - before; got > 600_000 {
			t.Errorf("%d bytes were fetched for a piece of 300,000", got)
		}
		x.materialized("a")
		got := make([]byte, len(old))
		if _, err := reader.ReadAt(got, 0); err != nil || !bytes.Equal(got, old) {
			t.Errorf("the old file was written to, %v", err)
		}
	})
}

// Where the list was wrong and is corrected, the file that stayed is right, though
// nothing can be fetched any more.
func TestRepairIsGivenUpWhenTheListIsCorrected(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 2<<20)
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		x.entries[0].Details = &listfile.Details{Size: -1, Digest: sha256Of(other(x.contents["a"], 0))}
		dead := origintest.Status(403)
		x.Inject(dead)
		x.start()
		x.repair()
		x.wantState("a", "needs-url", "stays in the output directory")
		x.stop()
		x.entries[0].Details = &listfile.Details{Size: -1, Digest: sha256Of(x.contents["a"])}
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "complete", "")
		x.materialized("a")
		wantHit(t, dead)
	})
}

// The origin may have another version by now, of another size or not.
func TestRepairByAnotherVersion(t *testing.T) {
	for _, grown := range []int64{0, 12345} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 2<<20)
			x.detail().Digest = sha256Of(x.contents["a"])
			x.start()
			check(t, x.Run(t.Context()))
			x.stop()
			x.show("a", other(x.contents["a"], grown))
			x.entries[0].Details = &listfile.Details{Size: -1, Digest: sha256Of(x.contents["a"])}
			x.start()
			x.repair()
			x.materialized("a")
		})
	}
}

func TestVerify(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"right", "flipped", "gone", "plain", "never"} {
			x.add(name, 2<<20)
			if name != "plain" {
				x.detail().Digest = sha256Of(x.contents[name])
			}
		}
		lost := origintest.Status(404).On("/never")
		x.Inject(lost)
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		path := filepath.Join(x.dir, "flipped")
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		check(t, err)
		_, err = f.WriteAt([]byte{1}, 1000)
		check(t, err)
		check(t, f.Close())
		check(t, os.Remove(filepath.Join(x.dir, "gone")))

		want := map[string]Verdict{"right": Right, "flipped": Wrong, "gone": Incomplete, "plain": NoDigest, "never": Incomplete}
		for _, repair := range []bool{false, true} {
			x.start()
			got := map[string]Verdict{}
			check(t, x.Verify(t.Context(), VerifyOptions{Repair: repair}, func(f *File, v Verdict) { got[f.Name()] = v }))
			for name, v := range want {
				if got[name] != v {
					t.Errorf("%s is %s, want %s", name, got[name], v)
				}
			}
			_, err := os.Lstat(path)
			check(t, err)
			if blob := x.File("flipped").Blob(); blob.Replaces() != repair {
				t.Errorf("repair %v, is to be replaced %v", repair, blob.Replaces())
			}
			if !repair {
				x.stop()
			}
		}
		check(t, x.Run(t.Context()))
		x.materialized("right", "flipped", "gone", "plain")
	})
}

// TestVerifyByADigestNotKnownBefore: what is found right counts as complete, and
// leaves Run nothing to do.
func TestVerifyByADigestNotKnownBefore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 2<<20)
		x.start()
		check(t, x.Run(t.Context()))
		x.stop()
		x.detail().Digest = sha256Of(x.contents["a"])
		x.start()
		check(t, x.Verify(t.Context(), VerifyOptions{}, func(f *File, v Verdict) {
			if v != Right {
				t.Errorf("%s is %s", f.Name(), v)
			}
		}))
		if n := x.Totals().FilesComplete; n != 1 {
			t.Errorf("%d files are complete, want 1", n)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		check(t, x.Run(ctx))
	})
}

func TestVerifiedFileIsNotReadAgainAtTheNextStart(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 2<<20)
		x.detail().Digest = sha256Of(x.contents["a"])
		x.start()
		check(t, x.Run(t.Context()))
		x.restart()
		if f := x.File("a"); f.Blob() == nil || f.fill().digest != nil {
			t.Error("the digest is computed again")
		}
		advance(time.Second)
	})
}

// piecesOf returns the digests of the pieces of a content.
func piecesOf(c origintest.Content) *digest.Pieces {
	pieces := &digest.Pieces{Length: 300_000}
	for off := int64(0); off < c.Size; off += pieces.Length {
		p := make([]byte, min(pieces.Length, c.Size-off))
		c.ReadAt(p, off)
		h := digest.SHA1.New()
		h.Write(p)
		d, err := digest.New(digest.SHA1, h.Sum(nil))
		if err != nil {
			panic(err)
		}
		pieces.Sums = append(pieces.Sums, d)
	}
	return pieces
}
