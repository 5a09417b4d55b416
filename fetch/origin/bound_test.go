package origin

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestBoundFindsWhatAHostTakes(t *testing.T) {
	for _, k := range []int{1, 2, 7, 20} {
		for _, body := range []time.Duration{200 * time.Millisecond, time.Second, 10 * time.Second} {
			t.Run(fmt.Sprintf("%d/%v", k, body), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := &crowd{t: t, k: k, answer: 50 * time.Millisecond, body: body}
					c.workers(60, 3*time.Minute)
					// What it takes, or one that is being tried.
					if b := c.bound("h"); b < k || b > k+1 {
						t.Errorf("bound %d after minutes, for a host that takes %d", b, k)
					}
					accepted, denied := c.workers(60, 40*time.Minute)
					if denied*20 > accepted+denied {
						t.Errorf("%d of %d refused", denied, accepted+denied)
					}
					each := c.answer + body
					if most := int(40 * time.Minute / each * time.Duration(k)); accepted < most*8/10 {
						t.Errorf("%d accepted where %d could be", accepted, most)
					}
					wantIdle(t, &c.gate)
				})
			})
		}
	}
}

func TestBoundFollowsWhatAHostTakes(t *testing.T) {
	for _, tt := range []struct {
		name         string
		answer, body time.Duration
		each         time.Duration // to find what it takes
	}{
		// That many bodies at once are proof, so there is but the quiet to wait for.
		{"long bodies", 50 * time.Millisecond, time.Second, 7 * time.Minute},
		{"short bodies", 200 * time.Millisecond, 10 * time.Millisecond, 15 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &crowd{t: t, answer: tt.answer, body: tt.body, k: 3}
				c.workers(40, 16*time.Minute)
				for _, k := range []int{12, 2, 20} {
					c.k = k
					c.workers(40, tt.each)
					if b := c.bound("h"); b < k || b > k+1 {
						t.Errorf("bound %d, for a host that takes %d now", b, k)
					}
				}
				c.k = 1000
				c.workers(40, 30*time.Minute)
				if b := c.bound("h"); b != 0 {
					t.Errorf("bound %d long after the last refusal", b)
				}
				wantIdle(t, &c.gate)
			})
		})
	}
}

func TestBoundIsWhatIsOpenAndGood(t *testing.T) {
	tests := []struct {
		name             string
		open, good, busy int
		late             int // of the open, accepted after that
		want             int
	}{
		{"all refused", 8, 0, 8, 0, 4},
		{"the only one refused", 1, 0, 1, 0, 1},
		{"some accepted", 8, 3, 5, 0, 3},
		{"one refused", 8, 3, 1, 0, 3},
		{"accepted late", 8, 3, 1, 3, 6},
		{"late, but fewer than assumed", 8, 0, 1, 2, 4},
		{"none refused", 8, 8, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var g gate
				all := tickets(t, &g, tt.open)
				for i, ticket := range all {
					switch {
					case i < tt.good:
						ticket.good(true)
					case i < tt.good+tt.busy:
						ticket.busy(0)
					case i < tt.good+tt.busy+tt.late:
						ticket.good(true)
					}
				}
				if got := g.bound("h"); got != tt.want {
					t.Errorf("bound %d, want %d", got, tt.want)
				}
				for _, ticket := range all {
					ticket.leave()
					ticket.leave() // does nothing
				}
				wantIdle(t, &g)
			})
		})
	}
}

func TestBoundIsRaisedLaterEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		first := tickets(t, &g, 2)
		first[0].good(true)
		first[1].busy(0)
		first[1].leave()
		for want := firstQuiet; want < 20*time.Minute; want *= 2 {
			start := time.Now()
			next, err := g.enter(t.Context(), "h", nil)
			if err != nil {
				t.Fatal(err)
			}
			wantPassed(t, start, min(want, lastQuiet))
			next.busy(0)
			next.leave()
		}
		first[0].leave()
	})
}

func TestBoundIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		for _, ticket := range tickets(t, &g, 8) {
			ticket.busy(time.Minute)
			ticket.leave()
		}
		pass(boundForgotten + time.Minute - time.Second)
		if g.bound("h") != 4 {
			t.Error("forgotten early")
		}
		pass(time.Second + maxHostJitter)
		for _, ticket := range tickets(t, &g, 100) {
			ticket.leave()
		}
		if len(g.hosts) != 0 {
			t.Error("the host is kept although nothing is known of it")
		}
	})
}
