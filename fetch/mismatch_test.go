package fetch

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"dlfs/cache"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// Bytes whose digest the list gives otherwise are kept until others come. If these cannot
// be had and the list was wrong, the bytes are used.
func TestRefutedBytesAreKeptUntilOthersCome(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		const size = 1 << 20
		x.add("a", size)
		x.sum("a", []byte("a typo in the list"))
		expired := origintest.Status(403).On("/a").After(1)
		x.Inject(expired)
		for range 2 {
			x.start()
			check(t, x.Run(t.Context()))
			x.wantState("a", "needs-url", "the bytes with the wrong digest are kept")
			x.stop()
		}
		wantHit(t, expired)
		x.wantBodyBytes(size, size+1000)
		x.sum("a", x.firstBytes("a", size))
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "complete", "")
		x.materialized("a")
		x.wantBodyBytes(size, size+1000)
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
		x.detail().Pieces = piecesOf(c)
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
