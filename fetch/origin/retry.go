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
		if alike++; e.Error() != last {
			alike, last = 1, e.Error()
		}
		if e.retry.none || try >= c.opts.Tries || e.retry.most > 0 && alike > e.retry.most {
			return e.last()
		}
		d := c.backoff(try)
		if try == 1 && e.retry.brought {
			d = 0 // it goes on as well as before, most likely
		}
		d = max(d, min(e.After, c.opts.MaxWait))
		c.log.Info("request failed; trying again", "what", what.String(), "in", d.Round(time.Millisecond), "err", err)
		if err := restFor(ctx, d, isBusy(e.Status)); err != nil {
			return err
		}
	}
}

// filesWait is how long to wait when there is no descriptor for a connection.
const filesWait = time.Second

// awaitFiles gives back the descriptors that can be spared and waits. What failed is
// no attempt that counts.
func (c *Client) awaitFiles(ctx context.Context, what fmt.Stringer, err error) error {
	c.log.Warn("too many files are open; waiting", "what", what.String(), "err", err)
	c.Close()
	return restFor(ctx, filesWait, false)
}

// restFor is sleep, told to whom WithRest says.
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
