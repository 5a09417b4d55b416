package origin

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"dlfs/fetch/origintest"
)

// TestRequestsAreCounted: by host and status, each attempt, with 0 where no answer came.
func TestRequestsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		want := x.pin()
		x.Inject(origintest.Status(503).Times(2).Method("GET"))
		if _, _, err := x.get(want, 0, 100); err != nil {
			t.Fatal(err)
		}
		x.Inject(origintest.Status(404))
		if _, _, err := x.c.Resource("http://elsewhere:81/b", ResourceOptions{}).Probe(t.Context(), true); err == nil {
			t.Fatal("no error")
		}
		x.Down()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := x.c.Resource("http://down/b", ResourceOptions{}).Probe(ctx, true); err == nil {
			t.Fatal("no error")
		}
		got := map[string]int64{}
		for _, r := range x.c.Requests() {
			got[fmt.Sprint(r.Host, " ", r.Code)] = r.N
		}
		for key, n := range map[string]int64{"origin 200": 1, "origin 503": 2, "origin 206": 1} {
			if got[key] != n {
				t.Errorf("%s: %d, want %d", key, got[key], n)
			}
		}
		if got["elsewhere:81 404"] == 0 || got["down 0"] == 0 {
			t.Errorf("no requests to the other hosts: %v", got)
		}
	})
}

// TestHostsOfRequestsAreBounded: a list of a million hosts has a hundred names in metrics.
func TestHostsOfRequestsAreBounded(t *testing.T) {
	var c Client
	for i := range 1000 {
		c.answered.add(fmt.Sprintf("host%03d", i), 200)
	}
	c.answered.add("host000", 503)
	all := c.Requests()
	if len(all) != mostHosts+2 {
		t.Errorf("%d counts", len(all))
	}
	for _, want := range []Requests{{"host000", 200, 1}, {"host000", 503, 1}, {OtherHosts, 200, 1000 - mostHosts}} {
		if !slices.Contains(all, want) {
			t.Errorf("no %v", want)
		}
	}
}
