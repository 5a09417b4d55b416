package origin

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// retry runs f until it succeeds, fails for good, fails as often as it may, or
// ctx ends; then the error is ctx's cause. f's errors are described.
func (c *Client) retry(ctx context.Context, what fmt.Stringer, f func() error) error {
	alike, last := 0, ""
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := f()
		var e *Error
		// An error after the end of ctx is a consequence of that, whatever it says.
		if ctx.Err() != nil || !errors.As(err, &e) || e.Kind != Transient {
			return err
		}
		if OutOfFiles(err) {
			try--
			if err := c.awaitFiles(ctx, what, err); err != nil {
				return err
			}
			continue
		}
		// Errors that differ are worth more attempts than one that comes again and again.
		if alike++; e.Error() != last {
			alike, last = 1, e.Error()
		}
		if e.retry.none || try >= c.opts.Tries || e.retry.most > 0 && alike > e.retry.most {
			return e.last()
		}
		d := c.backoff(try)
		if try == 1 && e.retry.brought {
			d = 0 // bytes came before the error, so the next request most likely brings more
		}
		// The host's own Retry-After counts where it is longer, up to --max-wait.
		d = max(d, min(e.After, c.opts.MaxWait))
		c.log.Info("request failed; trying again", "what", what.String(), "in", d.Round(time.Millisecond), "err", err)
		if err := restFor(ctx, d, isBusy(e.Status)); err != nil {
			return err
		}
	}
}

// filesWait is how long to wait when there is no descriptor for a connection.
const filesWait = time.Second

// awaitFiles closes idle connections, whose descriptors can be spared, and waits filesWait. The
// caller does not count the attempt that failed for want of a descriptor.
func (c *Client) awaitFiles(ctx context.Context, what fmt.Stringer, err error) error {
	c.log.Warn("too many files are open; waiting", "what", what.String(), "err", err)
	c.Close()
	return restFor(ctx, filesWait, false)
}

// restFor is sleep, and calls the function of WithRest, if ctx has one, at the beginning and at
// the end of the wait. refused says that the host answered 429 or 503.
func restFor(ctx context.Context, d time.Duration, refused bool) error {
	if begin, ok := ctx.Value(restKey{}).(func(bool) func()); ok {
		defer begin(refused)()
	}
	return sleep(ctx, d)
}

// backoff is how long to wait after so many failures in a row: twice as long
// after each, and jittered by a quarter.
func (c *Client) backoff(failures int) time.Duration {
	d := c.opts.RetryWait
	for range failures - 1 {
		d = min(2*d, max(maxRetryWait, c.opts.RetryWait))
	}
	return d - d/4 + rand.N(d/2+1)
}

// sleep waits for d. The error is ctx's cause, if that ended before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
