package fetch

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"dlfs/fetch/origintest"
)

// OnSettled is called when the list is loaded, and in a mount once more when every size has been
// asked for, and not before.
func TestSettledAfterLoadingAndAfterProbing(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		var calls atomic.Int32
		x.opts.Serve, x.opts.Prefetch = true, PrefetchNone
		x.opts.OnSettled = func() { calls.Add(1) }
		x.addAll("f", 30, 5*bs)
		late := origintest.FirstByteAfter(time.Second)
		x.Inject(late)
		x.start()
		defer x.background()()
		synctest.Wait()
		if n := calls.Load(); n != 1 {
			t.Errorf("%d calls after the list was loaded", n)
		}
		time.Sleep(time.Minute) // of the bubble
		if n := calls.Load(); n != 2 {
			t.Errorf("%d calls after the sizes were asked for", n)
		}
		wantHit(t, late)
	})
}
