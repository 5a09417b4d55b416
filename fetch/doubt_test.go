package fetch

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// isDead reports whether a request is for a URL that the tests below call dead.
func isDead(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/dead") }

// addAll adds n files that are called prefix and a number.
func (x *fixture) addAll(prefix string, n int, size int64) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, i))
		x.add(names[i], size)
	}
	return names
}

// A host that takes only so many requests, whatever words it has for one more, loses no file.
func TestHostThatRefusesOneFileMore(t *testing.T) {
	for _, most := range []int{1, 2, 4} {
		for _, status := range []int{400, 403, 404, 410} {
			bubble(t, func(t *testing.T, x *fixture) {
				names := x.addAll("f", 10, 1<<20)
				limit := origintest.LimitOpen(most, status)
				x.Inject(limit, origintest.Throttle(512<<10).Method("GET"))
				x.start()
				check(t, x.Run(t.Context()))
				x.materialized(names...)
				wantHit(t, limit)
				if n := limit.Hits(); n > 40 {
					t.Errorf("%d above %d: %d requests were refused", status, most, n)
				}
			})
		}
	}
}

// The same holds where the host closes the connection of one more without a word. It is known soon
// how many requests the host takes, so that few are closed.
func TestHostThatClosesOneConnectionMore(t *testing.T) {
	for _, most := range []int{1, 2, 4} {
		bubble(t, func(t *testing.T, x *fixture) {
			names := x.addAll("f", 10, 4<<20)
			limit := origintest.CloseOpen(most)
			x.Inject(limit, origintest.Throttle(1<<20).Method("GET"))
			x.start()
			check(t, x.Run(t.Context()))
			x.materialized(names...)
			wantHit(t, limit)
			if n := limit.Hits(); n > 25 {
				t.Errorf("above %d: %d connections were closed", most, n)
			}
		})
	}
}

// The same holds where a redirect leads to such a host.
func TestTargetThatRefusesOneFileMore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		names := x.addAll("f", 8, 1<<20)
		for i, name := range names {
			x.entries[i].URL = strings.Replace(x.url, "//origin", "//list", 1) + "/to/" + name
			x.Inject(origintest.Redirect(302, x.url+"/"+name).On("/to/" + name))
		}
		limit := origintest.LimitOpen(2, 403)
		x.Inject(limit, origintest.Throttle(512<<10).Method("GET"))
		x.start()
		check(t, x.Run(t.Context()))
		x.materialized(names...)
		wantHit(t, limit)
	})
}

// URLs that are no good do not wait for the end of another file of the host, cost few requests,
// and do not have the host be asked for fewer files at once.
func TestDeadURLsBesideALongFileFailSoon(t *testing.T) {
	for _, status := range []int{403, 404} {
		bubble(t, func(t *testing.T, x *fixture) {
			dead := origintest.Status(status).When(isDead)
			x.Inject(dead, origintest.Throttle(64<<10).Method("GET"))
			x.add("long", 64<<20)
			names := x.addAll("dead", 40, 1<<20)
			good := x.addAll("good", 4, 64<<10)
			x.start()
			stop := x.background()
			defer stop()
			advance(10 * time.Second)
			for _, name := range names {
				if s := x.File(name).Status(); s.Error == "" {
					t.Errorf("%s is %s", name, s.State)
				}
			}
			x.materialized(good...)
			x.wantState("long", "fetching", "")
			wantHit(t, dead)
			if n := dead.Hits(); n > 2*len(names)+20 {
				t.Errorf("%d requests were refused", n)
			}
		})
	}
}

// Where a host takes only so many requests and some URLs are no good, each file gets what is its
// own.
func TestDeadURLsAtAHostThatRefusesOneFileMore(t *testing.T) {
	for _, most := range []int{1, 3} {
		bubble(t, func(t *testing.T, x *fixture) {
			dead, limit := origintest.Status(403).When(isDead), origintest.LimitOpen(most, 403)
			x.Inject(limit, dead, origintest.Throttle(1<<20).Method("GET"))
			var good, bad []string
			for i := range 12 {
				bad = append(bad, x.addAll(fmt.Sprintf("dead%d.", i), 1, 1<<20)...)
				good = append(good, x.addAll(fmt.Sprintf("f%d.", i), 1, 1<<20)...)
			}
			x.start()
			check(t, x.Run(t.Context()))
			x.materialized(good...)
			for _, name := range bad {
				x.wantState(name, "needs-url", "403")
			}
			wantHit(t, dead, limit)
		})
	}
}

// A reader is not made to wait for the end of what a host sends meanwhile: neither for the bytes
// of a file that it refused as one too many, nor for the error of a URL that is no good.
func TestReaderAtAHostThatRefusesOneFileMore(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		dead, limit := origintest.Status(403).When(isDead), origintest.LimitOpen(1, 403)
		x.Inject(limit, dead, origintest.Throttle(1<<20).Method("GET"))
		x.add("long", 256<<20)
		x.add("other", 8<<20)
		x.add("dead", 8<<20)
		x.opts.Serve, x.opts.Jobs = true, 1
		x.start()
		defer x.background()()
		advance(10 * time.Second)
		began := time.Now()
		h := x.open("other")
		defer h.Close()
		x.read(h, 4<<20, 100)
		if _, err := x.File("dead").Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("the dead URL answers %v", err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the readers waited %v", took)
		}
		wantHit(t, dead, limit)
	})
}
