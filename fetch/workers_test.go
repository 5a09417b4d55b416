package fetch

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// TestWorkersStay has more work at once than goroutines stay for: the rest of them end, and
// those that stay take what comes later, until the context ends.
func TestWorkersStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		w := workers{next: make(chan func())}
		release := make(chan struct{})
		var called atomic.Int32
		for range 3 * idleWorkers {
			w.do(ctx, func() { called.Add(1); <-release })
		}
		synctest.Wait()
		if n := called.Load(); n != 3*idleWorkers {
			t.Fatalf("%d of %d were called at once", n, 3*idleWorkers)
		}
		close(release)
		synctest.Wait()
		if n := w.idle.Load(); n != idleWorkers {
			t.Fatalf("%d goroutines wait for work, want %d", n, idleWorkers)
		}
		again := make(chan struct{})
		w.do(ctx, func() { <-again })
		synctest.Wait()
		if n := w.idle.Load(); n != idleWorkers-1 {
			t.Errorf("%d goroutines wait for work while one has some, want %d", n, idleWorkers-1)
		}
		cancel()
		close(again)
		w.wait()
	})
}
