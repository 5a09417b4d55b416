package origin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd is a gate, and a host that refuses when more than k requests are open.
type crowd struct {
	gate
	t      *testing.T
	answer time.Duration // from a request to the header of its response
	body   time.Duration // from there to its end

	mu                        sync.Mutex
	k, open, accepted, denied int
	waited                    time.Duration // the longest wait at the gate
}

// work asks again and again until ctx ends.
func (c *crowd) work(ctx context.Context, urgent bool) {
	for ctx.Err() == nil {
		start := time.Now()
		ticket, err := c.enter(ctx, "h", nil, urgent)
		if err != nil {
			break
		}
		c.mu.Lock()
		c.waited = max(c.waited, time.Since(start))
		c.open++
		fits := c.open <= c.k
		if fits {
			c.accepted++
		} else {
			c.denied++
		}
		c.mu.Unlock()
		pass(c.answer/2 + rand.N(c.answer))
		if fits {
			ticket.good()
			pass(c.body/2 + rand.N(c.body))
		} else {
			ticket.busy(0)
		}
		c.mu.Lock()
		c.open--
		c.mu.Unlock()
		ticket.leave()
		if !fits {
			pass(500*time.Millisecond + rand.N(time.Second))
		}
	}
}

// workers lets n work for so long, and returns the counts of that time.
func (c *crowd) workers(n int, d time.Duration) (accepted, denied int) {
	c.mu.Lock()
	c.accepted, c.denied = 0, 0
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(c.t.Context(), d)
	defer cancel()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { c.work(ctx, i%10 == 0) }) // awaited below
	}
	all.Wait()
	return c.accepted, c.denied
}

// wantIdle checks that nothing is left of the requests that were.
func wantIdle(t *testing.T, g *gate) {
	t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	for host, h := range g.hosts {
		if h.open != 0 || h.good != 0 || len(h.urgent)+len(h.patient) != 0 {
			t.Errorf("%s: %d open, %d good, %d wait", host, h.open, h.good, len(h.urgent)+len(h.patient))
		}
	}
}

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

func TestNobodyStarves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &crowd{t: t, k: 1, answer: 50 * time.Millisecond, body: 100 * time.Millisecond}
		c.workers(20, time.Hour) // readers among them, at any time
		if c.waited > time.Minute {
			t.Errorf("one waited for %v", c.waited)
		}
	})
}

// tickets takes n for a host, which must be there for the taking.
func tickets(t *testing.T, g *gate, n int) (out []*ticket) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	for range n {
		ticket, err := g.enter(ctx, "h", nil, false)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ticket)
	}
	return out
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
						ticket.good()
					case i < tt.good+tt.busy:
						ticket.busy(0)
					case i < tt.good+tt.busy+tt.late:
						ticket.good()
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
		first[0].good()
		first[1].busy(0)
		first[1].leave()
		for want := firstQuiet; want < 20*time.Minute; want *= 2 {
			start := time.Now()
			next, err := g.enter(t.Context(), "h", nil, false)
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

func TestRetryAfterHoldsEveryoneAtTheGate(t *testing.T) {
	for asked, want := range map[time.Duration]time.Duration{
		time.Second: time.Second, time.Minute: time.Minute, 5 * time.Hour: maxHostPause,
	} {
		synctest.Test(t, func(t *testing.T) {
			var g gate
			first := tickets(t, &g, 4)
			first[0].busy(asked)
			first[1].busy(asked / 2) // shortens nothing
			start := time.Now()
			for _, ticket := range first {
				ticket.leave()
			}
			for _, urgent := range []bool{true, false} {
				ticket, err := g.enter(t.Context(), "h", nil, urgent)
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got < want || got > want+maxHostJitter {
					t.Errorf("entered after %v, want about %v", got, want)
				}
				ticket.leave()
			}
			if ticket, err := g.enter(t.Context(), "other", nil, false); err != nil {
				t.Error(err)
			} else {
				ticket.leave()
			}
		})
	}
}

func TestReadersGoFirstAtTheGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		held := tickets(t, &g, 2)
		held[1].busy(0) // the bound is 1
		held[1].leave()
		var order []string // guarded by its being one at a time
		var all sync.WaitGroup
		queue := func(name string, urgent bool) {
			all.Go(func() { // awaited below
				ticket, err := g.enter(t.Context(), "h", nil, urgent)
				if err != nil {
					t.Error(err)
					return
				}
				order = append(order, name)
				ticket.leave()
			})
			synctest.Wait()
		}
		for i := range 2 {
			queue(fmt.Sprintf("p%d", i), false)
		}
		if g.crowded("h") {
			t.Error("crowded, and no reader waits")
		}
		for i := range 10 {
			queue(fmt.Sprintf("r%d", i), true)
		}
		if !g.crowded("h") {
			t.Error("not crowded, and readers wait")
		}
		held[0].leave()
		all.Wait()
		want := []string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "p0", "r7", "r8", "r9", "p1"}
		if !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

// Those who leave the queue leave no place taken, at whatever moment it is.
func TestLeavingTheQueueLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		held := tickets(t, &g, 2)
		held[1].busy(0)
		held[1].leave()
		errShut := errors.New("shut down")
		var all sync.WaitGroup
		for i := range 200 {
			all.Go(func() { // awaited below
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(i)*time.Millisecond, errShut)
				defer cancel()
				ticket, err := g.enter(ctx, "h", nil, i%3 == 0)
				if err != nil {
					if !errors.Is(err, errShut) {
						t.Errorf("got %v", err)
					}
					return
				}
				pass(time.Millisecond) // others give up at this very moment
				ticket.leave()
			})
		}
		pass(50 * time.Millisecond)
		held[0].leave()
		all.Wait()
		wantIdle(t, &g)
		tickets(t, &g, 1)[0].leave()
	})
}

// It is the turn of one who gives up at that moment.
func TestPlaceOfOneWhoGivesUpIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g gate
		held := tickets(t, &g, 2)
		held[1].busy(0)
		held[1].leave()
		for range 100 {
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan *ticket, 1)
			go func() { // this round's
				ticket, _ := g.enter(ctx, "h", nil, false)
				result <- ticket
			}()
			synctest.Wait()
			cancel()
			held[0].leave()
			if ticket := <-result; ticket != nil {
				ticket.leave()
			}
			wantIdle(t, &g)
			held = tickets(t, &g, 1)
		}
		held[0].leave()
	})
}
