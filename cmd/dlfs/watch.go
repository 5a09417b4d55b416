package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"dlfs/fetch"
)

// askEvery is how often a process is asked for its status while a command waits for it or shows
// its progress.
const askEvery = 250 * time.Millisecond

// watch shows the progress of the process that has the directory until that process ends, and
// then the status that it left. If no process has it, only the status is shown.
func (c *statusCmd) watch(ctx context.Context, std stdio) error {
	// The first status tells a wrong directory before a display is opened.
	log := newLogger(std.err, slog.LevelWarn)
	last, err := briefStatus(ctx, c.Dir, log)
	if err != nil {
		return err
	}
	if last.PID != 0 {
		if err := c.show(ctx, std, last); err != nil {
			return err
		}
		// The process has ended, and its last answer is older than the state that it left on disk.
		if last, err = briefStatus(ctx, c.Dir, log); err != nil {
			return err
		}
	}
	if c.JSON {
		p := &jsonStatus{w: std.out}
		err = errors.Join(p.head(last), p.end())
	} else {
		p := &textStatus{w: std.out, all: true}
		err = errors.Join(p.head(last), p.end())
	}
	if err != nil || !c.ExitCode {
		return err
	}
	return quietly(last.outcome(c.Dir))
}

// show shows the progress of the running process until it ends, on the display that the process
// itself would use. now is its status at the beginning.
func (c *statusCmd) show(ctx context.Context, std stdio, now *Status) error {
	mode := "auto"
	if c.JSON {
		mode = "json"
	}
	d, err := newDisplay(std, progressFlags{Progress: mode, Stats: 5 * time.Second}, logFlags{})
	if err != nil {
		return err
	}
	var last atomic.Pointer[Status]
	last.Store(now)
	// The display draws at its own pace, from another goroutine: what it draws is the last answer.
	d.showWhat(func() *picture {
		s := last.Load()
		return &picture{s.frame(), s.Active}
	})
	err = follow(ctx, c.Dir, selection{none: true}, func(s *Status) (bool, error) {
		last.Store(s)
		return false, nil
	})
	d.close()
	d.lines.close()
	return err
}

// briefStatus returns the status of dir without entries, from the running process or
// from the state on disk.
func briefStatus(ctx context.Context, dir string, log *slog.Logger) (whole *Status, err error) {
	err = statusOf(ctx, dir, selection{none: true}, log, func(s *Status) error {
		whole = s
		return nil
	}, func(fetch.EntryStatus) error { return nil })
	return whole, err
}

// follow asks the process that has dir every askEvery for its status, with the entries that are
// wanted, and calls look with it until look has seen enough. It returns nil if no process has
// dir, or when the process has ended: also the one that no longer answers, but still writes its
// state, is waited for. If ctx ends first, the error is an exit with exitInterrupted. An error of
// look is returned as it is.
func follow(ctx context.Context, dir string, want selection, look func(*Status) (enough bool, err error)) error {
	t := time.NewTicker(askEvery)
	defer t.Stop()
	// pid is the process that was asked last; 0 until one has answered.
	pid := 0
	for {
		var s *Status
		err := visitStatus(ctx, dir, want, func(head *Status) error {
			s = head
			return nil
		}, func(e fetch.EntryStatus) error {
			s.Entries = append(s.Entries, e)
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return &exitError{exitInterrupted, context.Cause(ctx)}
		case errors.Is(err, errNoProcess):
			if pid == 0 {
				pid = ending(ctx, dir, "lock")
			}
			// No process has the directory, and none is about to take it or to let it go.
			if pid == 0 {
				return nil
			}
			// The process does not answer yet, or has something to write before it ends.
			soon, cancel := context.WithTimeout(ctx, askEvery)
			err := waitEnd(soon, pid)
			asksAgain := soon.Err() != nil && ctx.Err() == nil
			cancel()
			switch {
			case asksAgain:
				continue
			case ctx.Err() != nil:
				return &exitError{exitInterrupted, context.Cause(ctx)}
			}
			return err
		case err != nil:
			return fmt.Errorf("%s: %w", dir, err)
		}
		pid = s.PID
		if enough, err := look(s); enough || err != nil {
			return err
		}
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
}
