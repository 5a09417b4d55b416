package fetch

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// once is a fault that answers all GETs but the first n with a status.
func once(status, n int) *origintest.Fault {
	return origintest.Status(status).Method("GET").After(n)
}

// A URL that is good for one request gives the whole file: what is refused to a
// second request is brought by the first.
func TestOneTimeLink(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 410, 429, 500, 503} {
		bubble(t, func(t *testing.T, x *fixture) {
			x.add("a", 32<<20)
			used := once(status, 1)
			x.Inject(used, origintest.Throttle(2<<20).Method("GET"))
			x.start()
			check(t, x.Run(t.Context()))
			x.wantState("a", "complete", "")
			x.materialized("a")
			wantHit(t, used)
		})
	}
}

// With one stream a file, nothing else is asked, however long it is.
func TestOneTimeLinkOfALongFile(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 200<<20)
		x.Inject(once(403, 1))
		x.opts.Split = 1
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		if gets := x.gets("a"); len(gets) != 1 {
			t.Errorf("asked for %v", gets)
		}
	})
	bubble(t, func(t *testing.T, x *fixture) { // else it is said that this would help
		x.add("a", 200<<20)
		x.Inject(once(403, 1), origintest.Throttle(32<<20).Method("GET"))
		x.start()
		check(t, x.Run(t.Context()))
		x.wantState("a", "needs-url", "--split=1")
	})
}

// An origin that gives one stream of a file at a time gives all of it, and so do
// readers get theirs.
func TestOneStreamAtATime(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 200<<20)
		var open atomic.Int32
		more := origintest.Status(403).Method("GET").When(func(r *http.Request) bool {
			if open.Load() > 0 {
				return true
			}
			open.Add(1)
			go func() { // ends with the request
				<-r.Context().Done()
				open.Add(-1)
			}()
			return false
		})
		x.Inject(more, origintest.Throttle(16<<20).Method("GET"))
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		wantHit(t, more)
	})
}

// A host that refuses one connection more than it takes, with 403, is from then on asked
// for what it takes: refusals are few, and no file fails for one.
func TestHostThatRefusesOneMoreWith403(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 256<<20)
		limit := origintest.LimitOpen(2, 403)
		x.Inject(limit, origintest.Throttle(4<<20).Method("GET"))
		x.opts.Split = 6
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized("a")
		wantHit(t, limit)
		if n := limit.Hits(); n > 12 {
			t.Errorf("%d requests were refused", n)
		}
	})
}

// A whole answer is not asked for twice while it runs.
func TestWholeAnswerIsAskedForOnce(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		x.add("a", 32<<20)
		x.Inject(origintest.NoRanges(), origintest.Throttle(2<<20).Method("GET"))
		x.opts.Serve = true
		x.opts.Split = 1 // more may be asked for before the first answer tells that it is the whole
		x.start()
		stop := x.background()
		defer stop()
		advance(time.Second)
		h := x.open("a")
		defer h.Close()
		x.read(h, 20<<20, 1<<20)
		<-x.Done()
		// If a probe has told the size before, the first GET is for an extent, and its answer
		// is given up when it turns out to be the whole file.
		taken, most := 0, 1
		for _, r := range x.Log() {
			switch {
			case r.Method == "HEAD":
				most = 2
			case r.BodyBytes >= 1<<20:
				taken++
			}
		}
		if gets := x.gets("a"); taken != 1 || len(gets) > most {
			t.Errorf("asked for %v, and took %d answers", gets, taken)
		}
	})
}

// A host that refuses ranges, in whatever words, is asked for whole files from
// then on.
func TestHostThatRefusesRanges(t *testing.T) {
	for _, status := range []int{400, 403, 404, 405, 406, 416, 500, 501} {
		bubble(t, func(t *testing.T, x *fixture) {
			names := []string{"a", "b", "c", "d"}
			for _, name := range names {
				x.add(name, 3<<20)
			}
			refused := origintest.Status(status).When(func(r *http.Request) bool { return r.Header.Get("Range") != "" })
			x.Inject(refused)
			x.opts.Jobs = 1
			x.start()
			check(t, x.Run(t.Context()))
			x.materialized(names...)
			// While a file waits after a 500, the next one is begun.
			if gets := strings.Join(x.gets("d"), " "); gets != "" && status != 500 {
				t.Errorf("%d: asked for %q of the last file", status, gets)
			}
			wantHit(t, refused)
		})
	}
}
