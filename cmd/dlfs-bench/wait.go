package main

import (
	"context"
	"fmt"
	"time"
)

// wait waits for d, or until ctx ends, whose error it then returns.
func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// poll calls done every so often, the first time at once, until it reports true or
// fails, for at most limit. The error after that has the text otherwise.
func poll(ctx context.Context, every, limit time.Duration, otherwise string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", otherwise, ctx.Err())
		}
	}
}
