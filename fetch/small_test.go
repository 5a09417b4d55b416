package fetch

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// The first read of a small file brings all of it; of a long one its block alone.
func TestSmallFileIsFetchedWhole(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("small", 3*bs+5)
		x.add("long", 64*bs)
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.start()
		for name, want := range map[string]int64{"small": 3*bs + 5, "long": bs} {
			check(t, x.readOnce(name, 0, 1))
			synctest.Wait()
			x.wantGets(name, 1)
			if got := x.File(name).Blob().Present(); got != want {
				t.Errorf("%s: %d bytes are there, want %d", name, got, want)
			}
		}
	})
}

// A file that is foreseen is fetched with one request if it is small, and the reader who
// comes to it asks for nothing.
func TestForesee(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("known", 2*bs)
		x.add("listed", 2*bs)
		x.add("unknown", 2*bs)
		x.add("long", 64*bs)
		x.entries[1].Details = &listfile.Details{Size: 2 * bs}
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.start()
		for _, name := range []string{"known", "long"} {
			_, err := x.File(name).Probe(t.Context())
			check(t, err)
		}
		x.ResetCounts()
		for _, f := range x.Files() {
			f.Foresee()
			f.Foresee() // which is under way, or has been done
		}
		synctest.Wait()
		for _, name := range []string{"known", "listed", "unknown"} {
			check(t, x.readOnce(name, 0, 2*bs))
			if n := x.Counts().Paths["/"+name].Requests; n != 1 {
				t.Errorf("%s was asked for %d times", name, n)
			}
		}
		x.wantGets("long", 0)
	})
}

// Of a long file whose length nobody has told, the beginning is fetched.
func TestForeseeLongFileOfUnknownSize(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("long", 64<<20)
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.start()
		x.File("long").Foresee()
		synctest.Wait()
		x.wantGets("long", 1)
		if got := x.File("long").Blob().Present(); got != 4*bs {
			t.Errorf("%d bytes are there, want %d", got, 4*bs)
		}
	})
}

// What is foreseen takes no more places than read-ahead has, and gives them back, also
// when it fails.
func TestForeseeGivesPlacesBack(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"a", "b", "c", "d", "e", "f"} {
			x.add(name, bs)
		}
		gone := origintest.Status(404).On("b")
		x.Inject(gone)
		x.opts.Serve, x.opts.Prefetch, x.opts.MaxPerHost = true, PrefetchNone, 2
		x.start()
		for range 3 {
			for _, f := range x.Files() {
				f.Foresee()
			}
			advance(time.Second) // a refusal beside another answer is doubted
			synctest.Wait()
			if taken := x.hosts.Taken(); len(taken) > 0 {
				t.Fatalf("places of %v are not given back", taken)
			}
		}
		wantHit(t, gone)
		for _, name := range []string{"a", "c", "d", "e", "f"} {
			if !x.File(name).Blob().Complete() {
				t.Errorf("%s is not complete", name)
			}
		}
		if most := x.Counts().MaxOpen; most > 2 {
			t.Errorf("%d requests at once", most)
		}
	})
}

func TestForeseeStat(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 64<<20)
		x.add("b", bs)
		x.entries[0].Details = &listfile.Details{Size: 64 << 20}
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.start()
		for _, f := range x.Files() {
			f.ForeseeStat()
		}
		synctest.Wait()
		if c := x.Counts(); c.Heads != 2 || c.Gets != 0 {
			t.Errorf("%d HEAD and %d GET requests", c.Heads, c.Gets)
		}
		if slices.ContainsFunc(x.Files(), func(f *File) bool { return f.Known() == nil }) {
			t.Error("a size is not known")
		}
		if taken := x.hosts.Taken(); len(taken) > 0 {
			t.Errorf("places of %v are not given back", taken)
		}
	})
}
