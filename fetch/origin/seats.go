package origin

import (
	"context"
	"errors"
	"strings"
	"syscall"

	"golang.org/x/sync/semaphore"
)

// seats bounds the requests to all hosts that are open at once, because each takes a
// descriptor. Urgent requests have seats of their own. It is safe for concurrent use.
type seats struct{ urgent, patient *semaphore.Weighted }

// newSeats returns n seats, at least one of each kind.
func newSeats(n int) seats {
	each := int64(max(1, n/2))
	return seats{semaphore.NewWeighted(each), semaphore.NewWeighted(each)}
}

// take waits for a seat. give is to be called once. The error is ctx's cause.
func (s seats) take(ctx context.Context) (give func(), err error) {
	of := s.patient
	if isUrgent(ctx) {
		of = s.urgent
	}
	if of.Acquire(ctx, 1) != nil {
		return nil, context.Cause(ctx)
	}
	return func() { of.Release(1) }, nil
}

// OutOfFiles reports whether err is that this process, or the system, has as many
// files open as it may. It passes when others are closed, and is no fault of an origin.
func OutOfFiles(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// outOfFiles makes the same of an error of a lookup, which keeps the text alone.
func outOfFiles(text string) error {
	if strings.Contains(text, syscall.EMFILE.Error()) {
		return syscall.EMFILE
	}
	return nil
}
