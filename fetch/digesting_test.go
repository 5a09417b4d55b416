package fetch

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
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

func TestWrongBytesAreFetchedOnceMoreAndNeverPublished(t *testing.T) {
	for _, always := range []bool{false, true} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 6<<20)
			x.detail().Digest = sha256Of(x.contents["a"])
			wrong := origintest.WrongBytes(3<<20, 10)
			if !always {
				wrong.Times(1)
			}
			x.Inject(wrong)
			x.start()
			check(t, x.Run(t.Context()))
			wantHit(t, wrong)
			if !always {
				x.materialized("a")
				x.wantBodyBytes(12<<20, 13<<20)
				return
			}
			x.wantState("a", "mismatch", "digest")
			if _, err := os.Lstat(filepath.Join(x.dir, "a")); err == nil {
				t.Error("a file with the wrong digest was published")
			}
			if x.Totals().FilesMismatch != 1 {
				t.Errorf("totals: %+v", x.Totals())
			}
			x.wantBodyBytes(12<<20, 13<<20)
		})
	}
}

func TestWrongBytesAreFetchedFromAnotherMirror(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 6<<20)
		others := x.mirrors("good")
		x.detail().Digest = sha256Of(x.contents["a"])
		wrong := origintest.WrongBytes(0, 10)
		x.Inject(wrong)
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, wrong)
		x.materialized("a")
		if others[0].Counts().BodyBytes < 6<<20 {
			t.Error("the second time was not the other mirror's")
		}
	})
}

func TestOnlyBadPiecesAreFetchedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 8<<20+100)
		c := x.contents["a"]
		pieces := &digest.Pieces{Length: 300_000}
		for off := int64(0); off < c.Size; off += pieces.Length {
			p := make([]byte, min(pieces.Length, c.Size-off))
			c.ReadAt(p, off)
			h := digest.SHA1.New()
			h.Write(p)
			d, err := digest.New(digest.SHA1, h.Sum(nil))
			check(t, err)
			pieces.Sums = append(pieces.Sums, d)
		}
		x.detail().Pieces = pieces
		x.detail().Digest = sha256Of(c)
		wrong := origintest.WrongBytes(5<<20, 10).Times(1)
		x.Inject(wrong)
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, wrong)
		x.materialized("a")
		x.wantBodyBytes(c.Size, c.Size+6*bs)
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

// While a blob with wrong bytes is given up for another one, a reload may bring
// another digest: it is of the other blob then.
func TestReloadWhileWrongBytesAreGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1<<20)
		x.detail().Digest = sha256Of(other(x.contents["a"], 0))
		x.start()
		held, release := make(chan struct{}), make(chan struct{})
		blob, err := x.store.Create("syncer", cache.Version{Size: 0})
		check(t, err)
		blob.Publish(func(error) { // holds the syncer, and so a Redo
			close(held)
			<-release
		})
		<-held
		check(t, x.readOnce("a", 0, 1<<20))
		synctest.Wait()
		right := x.entries[0]
		right.Details = &listfile.Details{Size: -1, Digest: sha256Of(x.contents["a"])}
		x.Reload([]listfile.Entry{right})
		close(release)
		synctest.Wait()
		check(t, x.readOnce("a", 0, 1<<20))
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
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
