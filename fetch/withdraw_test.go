package fetch

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/listfile"
)

// withFinished has files of 4 MiB be published, and then the store have a bound in which four or
// five of them have room.
func (x *fixture) withFinished(names ...string) {
	x.t.Helper()
	for _, name := range names {
		x.add(name, finishedSize)
	}
	x.start()
	check(x.t, x.Run(x.t.Context()))
	x.materialized(names...)
	x.stop()
	x.bounded()
	x.opts.Prefetch, x.opts.EvictComplete = PrefetchNone, true
}

const finishedSize = 4 << 20

// finished reports whether a file of that name is in the output directory.
func (x *fixture) finished(name string) bool {
	_, err := os.Lstat(filepath.Join(x.dir, name))
	return err == nil
}

// settled waits until no more is on disk than may be.
func (x *fixture) settled() {
	for b := x.Bound(); b.Used > b.Max; b = x.Bound() {
		advance(time.Second)
	}
}

// TestFinishedFilesGo: finished files that are more than the bound go, the mount has them as
// before, and what is pinned, open, or could not be fetched again stays.
func TestFinishedFilesGo(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		names := []string{"a", "b", "c", "d", "e", "f", "g", "pinned", "open", "expired"}
		x.withFinished(names...)
		advance(2 * time.Hour) // time begins where the first URL can expire
		x.entries[len(names)-1].URL += fmt.Sprint("?Expires=", time.Now().Add(-time.Hour).Unix())
		x.start()
		x.File("pinned").SetPinned(true)
		h := x.open("open")
		defer h.Close()
		defer x.background()()
		x.settled()
		for _, name := range names {
			here, complete := x.finished(name), x.File(name).Status().State == "complete"
			if here != complete {
				t.Errorf("%s: in the output directory: %v, complete: %v", name, here, complete)
			}
			if stays := name == "pinned" || name == "open" || name == "expired"; stays && !here {
				t.Errorf("%s has gone", name)
			}
		}
		if use := x.diskUse(); use > x.cacheOpts.MaxSize {
			t.Errorf("%d bytes are on disk", use)
		}
		check(t, x.readAll(t.Context(), h, 1<<20))
		for _, name := range names[:7] {
			check(t, x.readOnce(name, 0, finishedSize))
		}
		if b := x.Bound(); b.Evicted < 4*finishedSize || b.Refetched < 2*finishedSize {
			t.Errorf("%+v", *b)
		}
		if use := x.diskUse(); use > x.cacheOpts.MaxSize {
			t.Errorf("%d bytes are on disk", use)
		}
	})
}

// TestFinishedFilesStay: without the option no finished file goes.
func TestFinishedFilesStay(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		names := []string{"a", "b", "c", "d", "e"}
		x.withFinished(names...)
		x.opts.EvictComplete = false
		x.add("other", finishedSize)
		x.start()
		defer x.background()()
		check(t, x.readOnce("other", 0, finishedSize))
		if n, err := x.File("a").Evict(); n != 0 || err != nil {
			t.Errorf("%d bytes of a finished file were evicted, %v", n, err)
		}
		x.materialized(names...)
	})
}

// TestFinishedFileGoesOnDemand: Evict takes a finished file away; one that was published in this
// run as well; and one that is not in the list stays until it is again.
func TestFinishedFileGoesOnDemand(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.withFinished("a", "b")
		x.start()
		defer x.background()()
		evict := func(name string, want int64) {
			t.Helper()
			if n, err := x.File(name).Evict(); n != want || err != nil || want > 0 && x.finished(name) {
				t.Errorf("%s: %d bytes were evicted, %v", name, n, err)
			}
		}
		evict("a", finishedSize)
		evict("a", 0)
		x.File("a").SetPinned(true)
		check(t, x.readOnce("a", 0, finishedSize))
		for !x.finished("a") {
			advance(time.Second)
		}
		synctest.Wait() // it is recorded
		evict("a", 0)
		x.File("a").SetPinned(false)
		evict("a", finishedSize)

		b, all := x.File("b"), x.entries
		x.Reload([]listfile.Entry{all[0]})
		if n, err := b.Evict(); n != 0 || err != nil || !x.finished("b") {
			t.Errorf("%d bytes of a file were evicted that the list does not have, %v", n, err)
		}
		x.Reload(all)
		evict("b", finishedSize)
		synctest.Wait()
		x.wantState("b", "waiting", "")
	})
}
