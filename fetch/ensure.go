package fetch

import (
	"context"
	"errors"
	"slices"
	"time"

	"dlfs/cache"
)

// ensure makes [off +n) of blob present, or says why not. It blocks until then,
// or until ctx ends. Blocks in flight are joined; for missing ones a flight is
// launched over each run of them, all at once.
func (f *File) ensure(ctx context.Context, blob *cache.Blob, off, n int64) error {
	for {
		seats, err := f.sit(blob, off, n)
		if len(seats) == 0 {
			return err
		}
		err = f.wait(ctx, seats)
		f.stand(seats, errors.Is(err, context.Canceled))
		if err != nil {
			return err
		}
	}
}

// sit takes a seat for every missing run of [off +n). None means that all is
// present, or an error.
func (f *File) sit(blob *cache.Blob, off, n int64) (seats []*seat, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	end := min(off+n, blob.Version().Size)
	for off < end {
		mo, mn := f.lackingLocked(blob, off, end)
		if mn == 0 {
			return seats, nil
		}
		if f.mu.blob != blob {
			return seats, ErrStale
		}
		fl := f.coveringLocked(mo)
		if fl != nil && !f.mu.single && !fl.soonLocked(mo) {
			fl.cutLocked(mo)
			fl = nil
		}
		if fl == nil {
			if err := f.recentLocked(); err != nil {
				return seats, err
			}
			if !f.set.begin() {
				return seats, errClosing
			}
			f.mu.demanded = time.Now()
			fl = f.launchLocked(blob, f.hopefulLocked(), demand, mo, f.freeUntilLocked(mo, mo+mn))
		}
		s := &seat{flight: fl, want: min(mo+mn, fl.end), ready: make(chan struct{})}
		fl.seatLocked(s)
		seats = append(seats, s)
		off = s.want
	}
	return seats, nil
}

// wait waits for every seat, or for ctx, or for the first error.
func (f *File) wait(ctx context.Context, seats []*seat) error {
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

// stand gives up the seats that are still taken. A reader that was interrupted
// may be back at once; one that waited in vain had better find a fresh flight.
func (f *File) stand(seats []*seat, interrupted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range seats {
		if _, taken := s.flight.seats[s]; taken {
			s.flight.unseatLocked(s)
			if interrupted {
				s.flight.lingerLocked()
			} else {
				s.flight.leaveLocked()
			}
		}
	}
}

// coveringLocked returns the flight that will bring the block at off, if any.
func (f *File) coveringLocked(off int64) *flight {
	for _, fl := range f.mu.flights {
		if fl.pos <= off && off < fl.end {
			return fl
		}
	}
	return nil
}

// freeUntilLocked shortens [off, end) to where the next flight begins.
func (f *File) freeUntilLocked(off, end int64) int64 {
	for _, fl := range f.mu.flights {
		if fl.pos >= off && fl.pos < end && fl.pos < fl.end {
			end = fl.pos
		}
	}
	return end
}

// unassignedLocked returns the first run of [off, end) that is neither present
// nor in flight; n is 0 if there is none.
func (f *File) unassignedLocked(off, end int64) (int64, int64) {
	for off < end {
		mo, mn := f.mu.blob.Missing(off, end-off)
		if mn == 0 {
			return 0, 0
		}
		mo, mn = max(mo, off), min(mo+mn, end)-max(mo, off)
		fl := f.coveringLocked(mo)
		if fl == nil {
			return mo, f.freeUntilLocked(mo, mo+mn) - mo
		}
		off = fl.end
	}
	return 0, 0
}

func (f *File) removeLocked(fl *flight) {
	if i := slices.Index(f.mu.flights, fl); i >= 0 {
		f.mu.flights = slices.Delete(f.mu.flights, i, i+1)
	}
}
