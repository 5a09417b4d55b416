package origin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// take has n goroutines read as much as the limit lets them, for so long. It
// returns the bytes a second.
func take(t *testing.T, l *Limit, n int, d time.Duration) float64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var mu sync.Mutex
	total := 0
	var all sync.WaitGroup
	for range n {
		all.Go(func() { // awaited below
			for p := min(l.Most(), 1<<20); l.Wait(ctx, p) == nil; {
				mu.Lock()
				total += p
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return float64(total) / d.Seconds()
}

func wantRate(t *testing.T, got float64, want int64) {
	t.Helper()
	if math.Abs(got/float64(want)-1) > .03 {
		t.Errorf("%.0f bytes a second, want %d", got, want)
	}
}

func TestLimitIsKept(t *testing.T) {
	for _, want := range []int64{5_000, 100_000, 10 << 20, 1 << 30} {
		for _, n := range []int{1, 16} {
			t.Run(fmt.Sprintf("%d/%d", want, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var l Limit
					l.Set(want)
					wantRate(t, take(t, &l, n, max(time.Minute, time.Duration(n*50*minRead/int(want))*time.Second)), want)
				})
			})
		}
	}
}

func TestNoLimitNeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		start := time.Now()
		for _, set := range []int64{0, -5} {
			if err := l.Wait(t.Context(), 1<<40); err != nil {
				t.Error(err)
			}
			l.Set(set)
			if l.Get() != 0 || l.Most() != math.MaxInt {
				t.Errorf("after Set(%d): %d, %d", set, l.Get(), l.Most())
			}
		}
		wantPassed(t, start, 0)
	})
}

func TestUnusedRateIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		l.Set(1_000_000)
		pass(time.Hour)
		start := time.Now()
		if err := l.Wait(t.Context(), 1_000_000); err != nil {
			t.Fatal(err)
		}
		wantPassed(t, start, 900*time.Millisecond)
	})
}

func TestMostIsAShortWait(t *testing.T) {
	for set, want := range map[int64]int{1: minRead, 1000: minRead, 1 << 20: 1 << 20 / 20, 1 << 30: 1 << 30 / 20} {
		var l Limit
		l.Set(set)
		if got := l.Most(); got != want || l.Get() != set {
			t.Errorf("limit %d: most %d, want %d", l.Get(), got, want)
		}
	}
}

func TestLimitChangesForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		l.Set(10)
		for _, next := range []int64{1000, 0} {
			start := time.Now()
			timer := time.AfterFunc(time.Second, func() { l.Set(next) })
			if err := l.Wait(t.Context(), 10_000); err != nil {
				t.Error(err)
			}
			timer.Stop()
			want := time.Second
			if next > 0 {
				want += 10 * time.Second
			}
			if got := time.Since(start); got < want-200*time.Millisecond || got > want {
				t.Errorf("took %v, want about %v", got, want)
			}
			l.Set(10)
		}
		l.Set(1 << 20)
		wantRate(t, take(t, &l, 4, time.Minute), 1<<20)
		l.Set(1 << 16)
		wantRate(t, take(t, &l, 4, time.Minute), 1<<16)
	})
}

func TestLimitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		l.Set(1)
		start := time.Now()
		if err := l.Wait(afterASecond(t), 1000); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		wantPassed(t, start, time.Second)
		l.Set(0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := l.Wait(ctx, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l Limit
		want := func(when string, want bool) {
			t.Helper()
			if got := l.Holds(); got != want {
				t.Errorf("%s: the limit holds: %v, want %v", when, got, want)
			}
		}
		want("without a limit", false)
		l.Set(1000)
		want("before a byte", false)
		if err := l.Wait(t.Context(), 500); err != nil {
			t.Fatal(err)
		}
		want("when all it allows has come", true)
		<-time.After(time.Second)
		want("after a second of nothing", false)
	})
}
