package hosts

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/cache"
)

// paceRig is a host behind a link, from which eight flights of prefetch take what
// they may.
type paceRig struct {
	host *Host
	link atomic.Int64 // bytes a second that a flight can have
	got  atomic.Int64 // bytes prefetch took
}

const paceLink = 20 << 20 // bytes a second, of all eight flights

func newPaceRig(t *testing.T) *paceRig {
	r := &paceRig{host: New(8).Host("h")}
	r.link.Store(paceLink / 8)
	ctx, cancel := context.WithCancel(t.Context())
	var flights sync.WaitGroup
	for range 8 {
		flights.Go(func() {
			for ctx.Err() == nil {
				turn := r.host.Turn(ctx, 512<<10)
				link := r.link.Load()
				n := min(turn, cache.BlockSize, link/10) // what has arrived, say
				advance(time.Duration(n) * time.Second / time.Duration(link))
				r.host.Took(n, false)
				r.got.Add(n)
			}
		})
	}
	t.Cleanup(func() { cancel(); flights.Wait() })
	return r
}

// wantShare lets d pass, and wants prefetch to have taken a share of what the link
// gave when it was laid.
func (r *paceRig) wantShare(t *testing.T, d time.Duration, least, most float64) {
	t.Helper()
	before := r.got.Load()
	advance(d)
	if share := float64(r.got.Load()-before) / d.Seconds() / paceLink; share < least || share > most {
		t.Errorf("prefetch takes %.3f of what the host sends, want %.3f to %.3f", share, least, most)
	}
}

// read has a reader be about until stop is called: one who takes n bytes every
// tenth of a second.
func (r *paceRig) read(t *testing.T, n int64) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var reader sync.WaitGroup
	if err := r.host.TakeReader(ctx); err != nil {
		t.Fatal(err)
	}
	reader.Go(func() {
		defer r.host.PutReader()
		for ctx.Err() == nil {
			advance(100 * time.Millisecond)
			r.host.Took(n, true)
		}
	})
	return func() { cancel(); reader.Wait() }
}

func TestPrefetchLeavesReadersTheirShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPaceRig(t)
		r.wantShare(t, 5*time.Second, 0.99, 1.01) // nobody reads

		stop := r.read(t, 0) // somebody waits
		r.wantShare(t, 5*time.Second, paceShare-0.02, paceShare+0.02)
		stop()
		advance(readersReturn)
		r.wantShare(t, 5*time.Second, 0.99, 1.01)

		const each = paceLink / 10 / 20 // a twentieth of the link
		stop = r.read(t, each)
		r.wantShare(t, 5*time.Second, paceShare-0.05-0.02, paceShare-0.05+0.02)
		stop()
	})
}

func TestPrefetchIsNotStarved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPaceRig(t)
		advance(2 * time.Second)
		stop := r.read(t, paceLink/10) // all of the link
		defer stop()
		r.wantShare(t, learnAgain/2, 0.03, 0.15)
	})
}

// A link that turns out to give more, or less, is noticed while somebody reads,
// and one that hung for a while is soon what it was.
func TestPaceIsLearntAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPaceRig(t)
		advance(2 * time.Second)
		stop := r.read(t, 0)
		defer stop()
		for _, tt := range []struct {
			times   float64
			lessons time.Duration // it is not taken for less at once
		}{{4, 1}, {1, 6}, {1e-5, 6}, {1, 1}} {
			r.link.Store(int64(tt.times * paceLink / 8))
			advance(tt.lessons * (learnAgain + learnAfter + 2*learnFor))
			r.wantShare(t, learnAgain/2, 0.85*paceShare*tt.times, max(1.15*paceShare*tt.times, 0.001))
		}
	})
}

// One look at a host that is just then slow, or that only readers take from, does
// not slow prefetch down.
func TestPaceIsNotLearntFromLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPaceRig(t)
		advance(2 * time.Second)
		r.link.Store(100)
		advance(700 * time.Millisecond) // a stall
		r.link.Store(paceLink / 8)
		advance(100 * time.Millisecond)
		stop := r.read(t, 0)
		defer stop()
		r.wantShare(t, 5*time.Second, 0.5, 1)
		advance(learnAgain)
		r.wantShare(t, 5*time.Second, paceShare-0.02, 1)
	})
	synctest.Test(t, func(t *testing.T) {
		h := New(8).Host("h")
		for range 100 {
			h.Took(1, false) // with so much time in between
			advance(2 * learnFor)
		}
		for range 100 {
			h.Took(cache.BlockSize, true)
			advance(learnFor / 10)
		}
		if h.pace.rate != 0 {
			t.Errorf("the host is taken to send %.1f bytes a second", h.pace.rate)
		}
	})
}

// What is small enough to be fetched whole is what comes while a request is answered, in
// whole blocks.
func TestSmall(t *testing.T) {
	h := New(8).Host("h")
	for _, tt := range []struct {
		rate float64
		ttfb time.Duration
		want int64
	}{
		{0, 50 * time.Millisecond, leastSmall},
		{1e6, 10 * time.Millisecond, leastSmall},
		{20e6, 31 * time.Millisecond, 620_000 / cache.BlockSize * cache.BlockSize},
		{1e9, time.Second, mostSmall},
	} {
		h.rate, h.ttfb = tt.rate, tt.ttfb
		if got := h.Small(); got != tt.want {
			t.Errorf("%.0f bytes a second, a first byte after %v: %d, want %d", tt.rate, tt.ttfb, got, tt.want)
		}
	}
}

// A request beside readers is short, but not so short that it costs much.
func TestRequestsBesideReaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newPaceRig(t)
		advance(2 * time.Second)
		h := r.host
		want := func(what string, want int64) {
			t.Helper()
			if got := h.Beside(64 << 20); got < want*9/10 || got > want*11/10 {
				t.Errorf("%s: requests of %d bytes, want some %d", what, got, want)
			}
		}
		want("nobody reads", 64<<20)
		stop := r.read(t, 0)
		defer stop()
		want("a link of 20 MB/s", minBurst)
		h.mu.Lock()
		h.ttfb, h.rate = time.Second, 1<<20 // of each flight, which is what limits it
		h.mu.Unlock()
		want("a late origin", paceLink/4)
		h.mu.Lock()
		h.rate = 4 << 20
		h.mu.Unlock()
		want("a late origin that is slow in each flight", 16<<20)
	})
}

// advance moves the fake clock of a bubble on. What is due meanwhile happens.
func advance(d time.Duration) { <-time.After(d) }
