package fetch

import (
	"context"

	"dlfs/fetch/hosts"
)

// seat is one reader waiting until a flight has passed want.
type seat struct {
	flight *flight
	want   int64
	ready  chan struct{} // closed when passed, or when the flight ended
	err    error         // why it ended; written before ready is closed
}

// seats are the readers who wait for one flight. The value is guarded by file.mu.
type seats map[*seat]struct{}

// take has a reader wait for fl until it has passed want. A reader's own flight has told
// the host already that a reader waits; another flight tells it here, so that prefetch
// gives way also before the first byte comes. Its request becomes urgent.
func (ss seats) take(fl *flight, want int64) *seat {
	s := &seat{flight: fl, want: want, ready: make(chan struct{})}
	ss[s] = struct{}{}
	if fl.class != hosts.Demand {
		fl.mirror.host.ReaderWaits()
		fl.urgent.Store(true)
	}
	return s
}

// leave takes off a reader that waits no longer. It reports false if that was done before.
func (ss seats) leave(s *seat) bool {
	if _, taken := ss[s]; !taken {
		return false
	}
	delete(ss, s)
	if s.flight.class != hosts.Demand {
		s.flight.mirror.host.ReaderGone()
		s.flight.urgent.Store(len(ss) > 0)
	}
	return true
}

// wake ends the wait of a reader. The reader looks again at what is present, or gets err
// if err is not nil.
func (ss seats) wake(s *seat, err error) {
	ss.leave(s)
	s.err = err
	close(s.ready)
}

// wait waits for every seat in turn, for ctx, or for the error of the seat whose turn it
// is.
func wait(ctx context.Context, seats []*seat) error {
	for _, s := range seats {
		select {
		case <-s.ready:
			if s.err != nil {
				return s.err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
