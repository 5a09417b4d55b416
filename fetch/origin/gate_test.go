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
		ticket, err := c.enter(urgently(ctx, urgent), "h", nil)
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
			ticket.good(true)
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
		if h.open != 0 || h.good != 0 || len(h.waiting) != 0 {
			t.Errorf("%s: %d open, %d good, %d wait", host, h.open, h.good, len(h.waiting))
		}
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
		ticket, err := g.enter(ctx, "h", nil)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ticket)
	}
	return out
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
				ticket, err := g.enter(urgently(t.Context(), urgent), "h", nil)
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
				ticket, err := g.enter(urgently(ctx, i%3 == 0), "h", nil)
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
				ticket, _ := g.enter(ctx, "h", nil)
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
