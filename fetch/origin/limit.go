package origin

import (
	"context"
	"math"
	"time"

	"golang.org/x/time/rate"

	"dlfs/cache/lockorder"
)

// minRead is the least that is worth a system call.
const minRead = 4 << 10

// Limit bounds the bytes that all who share it receive in a second. It can be
// changed while they wait. The zero value is no limit. It is safe for
// concurrent use.
type Limit struct {
	mu      lockorder.Mutex[lockorder.Leaf]
	bytes   int64         // a second, 0 for no limit; guarded by mu
	limiter *rate.Limiter // nil for no limit; guarded by mu
	changed chan struct{} // closed by the next Set, nil if no caller waits; guarded by mu
}

// Set changes the limit, for those who wait already too. 0 or less is none.
func (l *Limit) Set(bytesPerSecond int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes, l.limiter = max(0, bytesPerSecond), nil
	if l.bytes > 0 {
		// What was not used is lost after a tenth of a second.
		l.limiter = rate.NewLimiter(rate.Limit(l.bytes), int(max(1, l.bytes/10)))
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Get returns the limit in bytes a second, 0 if there is none.
func (l *Limit) Get() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Holds reports whether the limit is what keeps bytes from coming faster: of what it allows,
// hardly any is left unused.
func (l *Limit) Holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limiter != nil && l.limiter.Tokens() < float64(l.limiter.Burst())/2
}

// Most is how many bytes to read at once: what comes in a twentieth of a second,
// so that no read waits long behind other reads, but at least 4 KiB.
func (l *Limit) Most() int {
	if bytes := l.Get(); bytes > 0 {
		return int(max(minRead, bytes/20))
	}
	return math.MaxInt
}

// Wait blocks until n bytes more are within the limit. Those that wait are
// served in turn, a tenth of a second's worth at a time. The error is ctx's
// cause; what was waited for by then is spent.
func (l *Limit) Wait(ctx context.Context, n int) error {
	for n > 0 {
		limiter, changed := l.now()
		if limiter == nil {
			break
		}
		some := min(n, limiter.Burst())
		ok, err := waitTurn(ctx, limiter.ReserveN(time.Now(), some), changed)
		if err != nil {
			return err
		}
		if ok {
			n -= some
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// now returns the limiter, and what is closed when it is no longer the one.
func (l *Limit) now() (*rate.Limiter, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.limiter, l.changed
}

// waitTurn waits for the reservation. It is not ok if the limit has changed.
func waitTurn(ctx context.Context, r *rate.Reservation, changed <-chan struct{}) (ok bool, err error) {
	d := r.Delay()
	if d == 0 {
		return true, nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true, nil
	case <-changed:
		return false, nil // its limiter is gone, and the reservation with it
	case <-ctx.Done():
		r.Cancel()
		return false, context.Cause(ctx)
	}
}
