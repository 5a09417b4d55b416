package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// relist returns the list with the query of every URL set.
func (x *fixture) relist(query string) (list []listfile.Entry) {
	for _, e := range x.entries {
		e.URL = x.url + "/" + e.Name + "?" + query
		list = append(list, e)
	}
	return list
}

// expireUnless has the origin refuse whatever does not have the query.
func (x *fixture) expireUnless(query string) *origintest.Fault {
	f := origintest.Status(403).When(func(r *http.Request) bool { return r.URL.RawQuery != query })
	x.Inject(f)
	return f
}

func TestExpiredURLsNeedAReloadThatKeepsEveryBlock(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 4 {
			x.add(fmt.Sprint(i), 8<<20)
		}
		x.add("fresh", 1<<20)
		x.opts.Serve, x.opts.Jobs = true, 2
		x.Inject(origintest.Throttle(1<<20), origintest.CutAfter(512<<10))
		x.start()
		stop := x.background()
		defer stop()
		advance(1500 * time.Millisecond)
		expired := x.expireUnless("again")
		h := x.open("0")
		defer h.Close()
		advance(time.Minute)
		wantHit(t, expired)
		for _, name := range x.names() {
			x.wantState(name, "needs-url", "403")
		}
		totals := x.Totals()
		if totals.FilesNeedURL != 5 || totals.FilesFailed != 5 || totals.PresentBytes == 0 {
			t.Errorf("totals: %+v", totals)
		}
		missing, n := h.fill.blob.Missing(0, 8<<20)
		if n == 0 {
			t.Fatal("nothing is missing")
		}
		if err := x.tryRead(t.Context(), h, missing, 100); origin.KindOf(err) != origin.NeedsURL {
			t.Errorf("a missing block of an expired file: %v", err)
		}
		x.read(h, 0, bs/2) // is there
		before := x.Counts().BodyBytes

		diff := x.Reload(x.relist("again"))
		if len(diff.NewURL) != 5 || len(diff.Added)+len(diff.Removed) != 0 {
			t.Errorf("difference: %+v", diff)
		}
		x.read(h, missing, 100)
		<-x.Done()
		x.materialized(x.names()...)
		x.wantBodyBytes(before, before+totals.TotalBytes+1<<20-totals.PresentBytes+bs)
	})
}

func TestReloadAddsAndRemoves(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"a", "b", "c"} {
			x.add(name, 4<<20)
		}
		x.opts.Serve = true
		x.Inject(origintest.Throttle(1 << 20))
		x.start()
		defer x.background()()
		h := x.open("b")
		defer h.Close()
		x.read(h, 0, bs)
		synctest.Wait()

		x.add("d", 2<<20)
		all := slices.Clone(x.entries)
		x.entries = slices.Delete(slices.Clone(all), 1, 2)
		diff := x.Reload(slices.Clone(x.entries))
		if !slices.Equal(diff.Added, []string{"d"}) || !slices.Equal(diff.Removed, []string{"b"}) || len(diff.NewURL) != 0 {
			t.Errorf("difference: %+v", diff)
		}
		if x.File("b") != nil || x.File("d") == nil || len(x.Files()) != 3 {
			t.Error("the set has not the files of the new list")
		}
		x.read(h, 3<<20, 100) // a removed file goes on for who has it open
		<-x.Done()
		x.materialized("a", "c", "d")
		if got := x.Totals(); got.FilesTotal != 3 || got.FilesComplete != 3 || got.TotalBytes != 10<<20 || got.PresentBytes != 10<<20 {
			t.Errorf("totals: %+v", got)
		}

		before := x.Counts().BodyBytes
		present := h.fill.blob.Present()
		x.entries = all
		if diff := x.Reload(slices.Clone(all)); !slices.Equal(diff.Added, []string{"b"}) {
			t.Errorf("difference: %+v", diff)
		}
		for x.File("b").Status().State != "complete" {
			advance(time.Second)
		}
		x.materialized("b")
		x.wantBodyBytes(before, before+4<<20-present+bs)
	})
}

func TestReloadTellsWhatTheListSaysOfContents(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for _, name := range []string{"a", "b", "c"} {
			x.add(name, 1<<20)
		}
		x.start()
		check(t, x.Run(t.Context()))
		list := slices.Clone(x.entries)
		list[0].Details = &listfile.Details{Size: 1 << 20}
		list[1].Details = &listfile.Details{Size: -1, Digest: sha256Of(x.contents["b"])}
		diff := x.Reload(list)
		if !slices.Equal(diff.Changed, []string{"a", "b"}) || len(diff.NewURL) != 0 {
			t.Errorf("difference: %+v", diff)
		}
		check(t, x.Run(t.Context()))
		if n := x.File("b").Blob().Note(); !n.Verified {
			t.Error("a digest that is new is not verified")
		}
	})
}

func TestReloadOfTheSameListChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.start()
		check(t, x.Run(t.Context()))
		requests := x.Counts().Requests
		gen := x.File("a").Known().Generation()
		for range 10 {
			diff := x.Reload(slices.Clone(x.entries))
			if len(diff.Added)+len(diff.Removed)+len(diff.NewURL) != 0 {
				t.Fatalf("difference: %+v", diff)
			}
		}
		check(t, x.Run(t.Context()))
		if got := x.Counts().Requests; got != requests || gen != x.File("a").Known().Generation() {
			t.Errorf("%d requests for a complete file", got-requests)
		}
	})
}

func TestReloadsUnderReaders(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		for i := range 8 {
			x.add(fmt.Sprint(i), 2<<20+int64(i))
		}
		x.opts.Serve = true
		x.Inject(origintest.Throttle(1 << 20))
		x.start()
		defer x.background()()
		reloads := make(chan struct{})
		go func() { // awaited below
			defer close(reloads)
			for i := range 50 {
				advance(100 * time.Millisecond)
				list := x.relist(fmt.Sprint(i))
				x.Reload(list[i%3:])
			}
			x.Reload(x.relist("last"))
		}()
		together(t, 8, func(i int) error {
			h, err := x.File(fmt.Sprint(7)).Open(t.Context())
			if err != nil {
				return err
			}
			defer h.Close()
			for off := int64(i) * 1000; off < 2<<20; off += 100_000 {
				if err := x.tryRead(t.Context(), h, off, 5000); err != nil {
					return err
				}
			}
			return nil
		})
		<-reloads
		for x.Totals().FilesComplete < 8 {
			advance(time.Second)
		}
		x.materialized(x.names()...)
	})
}

// A list of the next run is compared with that of the last.
func TestCompareWithTheLastRun(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 1000)
		x.add("b", 1000)
		x.start()
		check(t, x.Run(t.Context()))
		list := x.relist("new")
		list[1] = x.entries[1]
		list = append(list[:2:2], listfile.Entry{Name: "c", URL: x.url + "/c"})
		diff, err := Compare(x.store, list)
		check(t, err)
		if !slices.Equal(diff.Added, []string{"c"}) || len(diff.Removed) != 0 || !slices.Equal(diff.NewURL, []string{"a"}) {
			t.Errorf("difference: %+v", diff)
		}
		diff, err = Compare(x.store, nil)
		check(t, err)
		if !slices.Equal(diff.Removed, []string{"a", "b"}) {
			t.Errorf("difference: %+v", diff)
		}
	})
}

// After a restart with new URLs the blocks are kept if the version agrees, and
// fetched again if it does not.
func TestNewURLsAfterARestart(t *testing.T) {
	for _, tt := range []struct {
		name     string
		etag     string // of the new URL's answers
		modified string
		trust    bool
		want     error
		keeps    bool
	}{
		{name: "same validators", etag: `"one"`, modified: "Mon, 02 Jan 2006 15:04:05 GMT", keeps: true},
		{name: "same time, another tag", etag: `"two"`, modified: "Mon, 02 Jan 2006 15:04:05 GMT", keeps: true},
		{name: "other validators", etag: `"two"`, modified: "Tue, 03 Jan 2006 15:04:05 GMT"},
		{name: "none", want: errUnproven},
		{name: "none, trusted", trust: true, keeps: true},
	} {
		bubble(t, func(t *testing.T, x *fixture) {
			c := origintest.Content{Seed: 7, Size: 8 << 20}
			x.contents["a"] = c
			x.Put("/a", origintest.File{Content: c})
			x.enter("a")
			old := []*origintest.Fault{
				origintest.Header("ETag", `"one"`).When(func(r *http.Request) bool { return r.URL.RawQuery == "" }),
				origintest.Header("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT").When(func(r *http.Request) bool { return r.URL.RawQuery == "" }),
				origintest.Header("ETag", tt.etag).When(func(r *http.Request) bool { return r.URL.RawQuery == "new" }),
				origintest.Header("Last-Modified", tt.modified).When(func(r *http.Request) bool { return r.URL.RawQuery == "new" }),
			}
			x.Inject(old...)
			x.Inject(origintest.Throttle(1 << 20))
			x.start()
			stop := x.background()
			advance(1500 * time.Millisecond)
			stop()
			x.stop()
			before := x.Counts().BodyBytes
			x.entries = x.relist("new")
			x.opts.TrustSize = tt.trust
			x.start()
			check(t, x.Run(t.Context()))
			if tt.want != nil {
				if got := x.Failures(); len(got) != 1 || x.File("a").Blob().Present() == 0 {
					t.Errorf("%s: %+v", tt.name, got)
				}
				return
			}
			x.materialized("a")
			fetched := x.Counts().BodyBytes - before
			if kept := fetched <= c.Size-1<<20; kept != tt.keeps {
				t.Errorf("%s: fetched %d of %d bytes again", tt.name, fetched, c.Size)
			}
		})
	}
}

var errUnproven = errors.New("unproven")

// A file whose state could not be read while the list was loaded is not taken for
// one of which nothing is known.
func TestLoadThatFailsForAFile(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 4<<20)
		x.opts.Prefetch = PrefetchNone
		x.start()
		check(t, x.readOnce("a", 0, 100))
		x.restart()
		f := x.File("a")
		f.load(func() (*cache.Blob, error) { return nil, errors.New("too many open files") })
		if f.Known() != nil {
			t.Error("something is known")
		}
		check(t, x.load(t.Context(), x.list.Load()))
		if f.Known() == nil || f.Known().Present() != bs {
			t.Errorf("%+v", f.Status())
		}
		x.wantGets("a", 1)
	})
}

func TestWhatExpiresFirstIsFetchedFirst(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		now := time.Now().Unix()
		for i, life := range []int64{0, 3 * 3600, 7200, 10 * 3600} {
			x.add(fmt.Sprint(i), 1<<20)
			if life > 0 {
				x.entries[i].URL += fmt.Sprintf("?oe=%X", now+life)
			}
		}
		x.opts.Order, x.opts.Jobs, x.opts.Split, x.opts.Prefetch = ExpiryOrder, 1, 1, PrefetchAll
		x.start()
		first, n := x.Expiry()
		if n != 3 || first.Unix() != now+7200 {
			t.Errorf("first of %d expires %v", n, first)
		}
		check(t, x.Run(t.Context()))
		var order string
		for _, r := range x.Log() {
			if r.Method == "GET" {
				order += r.Path
			}
		}
		if order != "/2/1/3/0" {
			t.Errorf("fetched in the order %s", order)
		}
		if _, n := x.Expiry(); n != 0 {
			t.Errorf("%d complete files expire", n)
		}
	})
}
