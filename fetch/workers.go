package fetch

import (
	"context"
	"sync"
	"sync/atomic"
)

// idleWorkers is how many goroutines wait for more work at most: as many as prefetch uses
// with the default Options.Jobs, twice.
const idleWorkers = 16

// workers are the goroutines that flights and first contacts run on. A goroutine that is
// through with one takes the next, so that its stack, which grows while a request is made,
// grows once and not for each of many small files.
type workers struct {
	next    chan func() // unbuffered
	idle    atomic.Int32
	running sync.WaitGroup
}

// do has f called by a goroutine that is idle, else by a new one. It does not block.
// Idle goroutines end with ctx, which is the same for each call.
func (w *workers) do(ctx context.Context, f func()) {
	select {
	case w.next <- f:
	default:
		w.running.Go(func() { w.run(ctx, f) })
	}
}

// run calls f, and then what else there is to do until enough other goroutines are idle.
func (w *workers) run(ctx context.Context, f func()) {
	for {
		f()
		if w.idle.Add(1) > idleWorkers {
			w.idle.Add(-1)
			return
		}
		select {
		case f = <-w.next:
			w.idle.Add(-1)
		case <-ctx.Done():
			return
		}
	}
}

// wait blocks until every goroutine has ended. ctx of do has ended, and do is not called
// any more.
func (w *workers) wait() { w.running.Wait() }
