package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
)

// other is another version of c, of the same size unless grown.
func other(c origintest.Content, grown int64) origintest.Content {
	return origintest.Content{Seed: c.Seed + 1000, Size: c.Size + grown}
}

func TestChangedFileIsNeverMixed(t *testing.T) {
	for _, grown := range []int64{0, 12345, -12345} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 4<<20)
			x.start()
			h := x.open("a")
			defer h.Close()
			x.read(h, 0, bs)
			x.read(h, 2<<20, 100)
			was := x.contents["a"]
			x.show("a", other(was, grown))

			p := make([]byte, 100)
			for range 3 {
				_, err := h.ReadAt(t.Context(), p, 1<<20)
				wantError(t, err, ErrStale)
			}
			n, err := h.ReadAt(t.Context(), p, 2<<20) // present: goes on
			check(t, err)
			check(t, was.Check(p[:n], 2<<20))

			fresh := x.open("a")
			defer fresh.Close()
			if fresh.Copy().Generation() == h.Copy().Generation() || x.File("a").Known().Generation() != fresh.Copy().Generation() {
				t.Error("the new version has the old one's generation")
			}
			x.read(fresh, 0, bs)
			check(t, x.Run(t.Context()))
			x.materialized("a")
			if n := x.File("a").Status().Changes; n != 1 {
				t.Errorf("found changed %d times", n)
			}
			_, err = h.ReadAt(t.Context(), p, 3<<20)
			wantError(t, err, ErrStale)
		})
	}
}

func TestChangeWhilePrefetching(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 24<<20)
		x.start()
		swap := origintest.Swap(origintest.File{Content: other(x.contents["a"], 7)}).After(3).Method("GET")
		x.Inject(origintest.Throttle(2<<20), swap)
		x.contents["a"] = other(x.contents["a"], 7)
		check(t, x.Run(t.Context()))
		wantHit(t, swap)
		x.materialized("a")
		x.wantDone(true)
	})
}

func TestChangeBetweenLives(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.start()
		check(t, x.readOnce("a", 1<<20, 1<<20))
		x.stop()
		x.show("a", other(x.contents["a"], 0))
		x.start()
		if x.File("a").Status().Present == 0 {
			t.Error("what was fetched is lost")
		}
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

func TestWaitingReadersLearnOfTheChange(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 16<<20)
		x.start()
		h := x.open("a")
		defer h.Close()
		x.read(h, 0, 1)
		release := make(chan struct{})
		hold := origintest.HoldAfter(0, release).Method("GET")
		x.Inject(hold)
		var readers []<-chan error
		for i := range int64(4) {
			readers = append(readers, x.reader(t.Context(), h, (3*i+3)<<20, 2*bs))
			synctest.Wait()
		}
		x.show("a", other(x.contents["a"], 1))
		x.Clear()
		x.Inject(origintest.ResetAfter(0).Times(1)) // has one of them ask again
		readers = append(readers, x.reader(t.Context(), h, 2<<20, 100))
		advance(time.Minute) // for the retry
		close(release)
		for _, r := range readers {
			wantError(t, <-r, ErrStale)
		}
		wantHit(t, hold)
		check(t, x.Run(t.Context()))
		x.materialized("a")
	})
}

// withoutDate leaves the entity tag alone to tell a version by.
func (x *fixture) withoutDate(name string) {
	x.Put("/"+name, origintest.File{Content: x.contents[name], ModTime: time.Unix(0, 0)})
}

func TestOriginThatAlternatesForEver(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.withoutDate("a")
		rotate := origintest.RotateETag()
		x.Inject(rotate, origintest.CutAfter(bs).Method("GET"))
		x.start()
		check(t, x.Run(t.Context()))
		wantHit(t, rotate)
		x.wantState("a", "failed", "changed on the origin")
		if n := x.Counts().Requests; n > 30 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestReaderOfAnOriginThatAlternates(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.withoutDate("a")
		rotate := origintest.RotateETag()
		x.Inject(rotate)
		x.start()
		for range 20 {
			h := x.open("a")
			if _, err := h.ReadAt(t.Context(), make([]byte, 100), 1<<20); err == nil {
				t.Error("a version that is no more was read")
			}
			h.Close()
		}
		wantHit(t, rotate)
		if n := x.Counts().Requests; n > 30 {
			t.Errorf("%d requests", n)
		}
	})
}

// A date that is that of the answer, in whatever time zone, or that of a replica,
// is no validator while the content is the same.
func TestUnstableLastModified(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2025, 1, n, 0, 0, 0, 0, time.UTC) }
	for name, noise := range map[string]func() *origintest.Fault{
		"now":           func() *origintest.Fault { return origintest.LastModifiedNow(0) },
		"in local time": func() *origintest.Fault { return origintest.LastModifiedNow(2 * time.Hour) },
		"two replicas":  func() *origintest.Fault { return origintest.RotateLastModified(day(1), day(2)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, x *fixture) {
				x.add("a", 32<<20)
				x.Put("/a", origintest.File{Content: x.contents["a"], ETag: "-"})
				fault := noise()
				x.Inject(fault, origintest.Throttle(2<<20).Method("GET"))
				x.start()
				check(t, x.Run(t.Context()))
				x.wantState("a", "complete", "")
				x.publishedIsOneOf("a", x.contents["a"])
				x.wantBodyBytes(32<<20, 40<<20)
				wantHit(t, fault)
			})
		})
	}
}

// A file that was edited has another date, once, and most of its content.
func TestEditedFileIsAnotherVersion(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		c := x.contents["a"]
		old := origintest.File{Content: c, ETag: "-", ModTime: time.Unix(1e9, 0)}
		x.Put("/a", old)
		stall := origintest.StallAfter(4 << 20).Method("GET")
		x.Inject(stall)
		x.start()
		stop := x.background()
		advance(5 * time.Second)
		stop()
		x.stop()
		x.Clear()
		edited := old // the same bytes as far as anybody can compare them
		edited.ModTime = time.Unix(2e9, 0).Add(-time.Hour)
		x.Put("/a", edited)
		x.opts.OnChange = OnChangeFail
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "failed", "changed on the origin: last modified")
		wantHit(t, stall)
	})
}

func TestOnChangePolicies(t *testing.T) {
	for _, policy := range []Change{OnChangeRestart, OnChangeFail, OnChangeKeep} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 4<<20)
			x.opts.OnChange = policy
			x.start()
			h := x.open("a")
			defer h.Close()
			x.read(h, 0, bs)
			was := x.contents["a"]
			x.show("a", other(was, 0))
			check(t, x.Run(t.Context()))
			switch policy {
			case OnChangeRestart:
				x.materialized("a")
				return
			case OnChangeFail:
				if _, err := x.File("a").Open(t.Context()); origin.KindOf(err) != origin.Changed {
					t.Errorf("a new open gets %v", err)
				}
			case OnChangeKeep:
				again := x.open("a")
				x.read(again, 0, bs)
				again.Close()
			}
			x.wantState("a", "failed", "changed")
			if x.File("a").Blob().Present() == 0 {
				t.Errorf("%s dropped what was there", policy)
			}
			p := make([]byte, 100)
			n, err := h.ReadAt(t.Context(), p, 100)
			check(t, err)
			check(t, was.Check(p[:n], 100))
			if err := x.tryRead(t.Context(), h, 2<<20, 10); origin.KindOf(err) != origin.Changed {
				t.Errorf("a missing block gives %v", err)
			}
		})
	}
}
