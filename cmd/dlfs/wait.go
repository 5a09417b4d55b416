package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"dlfs/fetch"
)

// waitCmd waits for a directory or a mount. The help of each field is what a user reads.
type waitCmd struct {
	Dir   string   `arg:"" help:"Output directory or mountpoint."`
	Names []string `arg:"" optional:"" name:"name" help:"Wait until these files are complete, named as in the list."`

	Complete bool          `xor:"what" help:"Wait until every file is complete. This is what is waited for if nothing else is said."`
	Usable   bool          `xor:"what" help:"Wait until a mount is there to be read from, or every file is complete. The mount may have yet to be begun."`
	Timeout  time.Duration `placeholder:"TIME" help:"Wait no longer than this; for ever if not given."`
	stateFlag
}

// Run waits for what the flags say, and ends with the exit code that a fetch would have: 0 if it
// has come, 7 if --timeout was over first, and the code of the failures if files have failed.
func (c *waitCmd) Run(ctx context.Context, std stdio) error {
	if len(c.Names) > 0 && (c.Usable || c.Complete) {
		return usageError("names, --complete and --usable exclude one another; give one of them")
	}
	if c.Timeout < 0 {
		return usageError("--timeout must be above 0")
	}
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, c.Timeout, fmt.Errorf("not within %v", c.Timeout))
		defer cancel()
	}
	// From here on, Dir is where the state and the socket are.
	c.Dir = c.or(c.Dir)
	w := &waiting{waitCmd: c, log: newLogger(std.err, slog.LevelWarn)}
	switch {
	case c.Usable:
		return w.usable(ctx)
	case len(c.Names) > 0:
		return w.names(ctx)
	}
	return w.complete(ctx)
}

// waiting is a wait under way. While a process has the directory, that process is asked again and
// again (follow); when it has ended, the state that it left decides.
type waiting struct {
	*waitCmd
	log  *slog.Logger
	last *Status // what was seen last; nil if nothing was
}

// complete waits until every file is complete or has failed. When the process ends
// before that, the state that it left decides: the error is then that of files which
// are not complete.
func (w *waiting) complete(ctx context.Context) error {
	err := follow(ctx, w.Dir, selection{none: true}, func(s *Status) (bool, error) {
		w.last = s
		return s.FilesComplete+s.FilesFailed == s.FilesTotal, nil
	})
	if err != nil {
		return w.late(err)
	}
	if w.last == nil || w.last.FilesComplete < w.last.FilesTotal {
		if w.last, err = briefStatus(ctx, w.Dir, w.log); err != nil {
			return w.late(err)
		}
	}
	return w.last.outcome(w.Dir)
}

// late adds to the error of a wait that was interrupted, or whose --timeout is over, how far the
// files are. Other errors stay as they are.
func (w *waiting) late(err error) error {
	e := new(exitError)
	if !errors.As(err, &e) || e.code != exitInterrupted {
		return err
	}
	far := ""
	if w.last != nil {
		far = "; " + totalsText(w.last.Totals)
	}
	return &exitError{e.code, fmt.Errorf("%s is not complete: %w%s", w.Dir, e.err, far)}
}

// usable waits until a mount is live, or every file is complete. It may be called before the
// mount is begun: a directory without a process is looked at again after askEvery.
func (w *waiting) usable(ctx context.Context) error {
	// A directory that is complete needs no mount: its files can be read as they are.
	if needState(w.Dir) == nil {
		s, err := briefStatus(ctx, w.Dir, w.log)
		if err == nil && s.PID == 0 && s.FilesTotal > 0 && s.FilesComplete == s.FilesTotal {
			return nil
		}
	}
	t := time.NewTicker(askEvery)
	defer t.Stop()
	for {
		live := false
		err := follow(ctx, w.Dir, selection{none: true}, func(s *Status) (bool, error) {
			// An answer without a version has no mountpoint either: it comes from a dlfs of
			// before both keys, and the wait would never end.
			if s.Version == "" {
				return false, errors.New("the dlfs there is of an older version, which does not tell whether its mount is live; end it and start it again")
			}
			w.last = s
			live = s.Mountpoint != "" || s.FilesComplete == s.FilesTotal
			return live, nil
		})
		if live || err != nil {
			return w.late(err)
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return &exitError{exitInterrupted, fmt.Errorf("no dlfs has mounted at %s: %w", w.Dir, context.Cause(ctx))}
		}
	}
}

// names waits until the files of the command line are complete or have failed. A name that is
// not in the list is an error at once.
func (w *waiting) names(ctx context.Context) error {
	want := selection{names: w.Names}
	err := follow(ctx, w.Dir, want, func(s *Status) (bool, error) {
		w.last = s
		if err := w.known(); err != nil {
			return false, err
		}
		return !slices.ContainsFunc(s.Entries, func(e fetch.EntryStatus) bool { return !over(e) }), nil
	})
	if err != nil {
		return w.late(err)
	}
	if w.last == nil || slices.ContainsFunc(w.last.Entries, func(e fetch.EntryStatus) bool { return !over(e) }) {
		if err := w.read(ctx, want); err != nil {
			return err
		}
	}
	return outcomeOf(w.last, w.Dir)
}

// read reads the state that a process has left, with the entries of the names that are
// waited for.
func (w *waiting) read(ctx context.Context, want selection) error {
	err := statusOf(ctx, w.Dir, want, w.log, func(s *Status) error {
		w.last = s
		return nil
	}, func(e fetch.EntryStatus) error {
		w.last.Entries = append(w.last.Entries, e)
		return nil
	})
	if err != nil {
		return err
	}
	return w.known()
}

// known returns an error of usage if the list does not have one of the names: such a
// file would be waited for without end.
func (w *waiting) known() error {
	for _, name := range w.Names {
		if !slices.ContainsFunc(w.last.Entries, func(e fetch.EntryStatus) bool { return e.Name == name }) {
			return usageError("the list of %s has no file %s; \"dlfs status --files %s\" shows its names", w.Dir, name, w.Dir)
		}
	}
	return nil
}

// over reports whether nothing more is being done for a file: it is complete, or has an
// error that is final.
func over(e fetch.EntryStatus) bool { return e.State == stateComplete || e.Error != "" }

// outcomeOf returns the exit for the entries of a status, as if they were the whole
// list, with a line for each file that has failed.
func outcomeOf(s *Status, dir string) error {
	// A copy, since the totals of s stay those of the whole list.
	of := *s
	of.Totals = fetch.Totals{FilesTotal: len(s.Entries)}
	for _, e := range s.Entries {
		if e.State == stateComplete {
			of.FilesComplete++
		}
		countFailure(&of.Totals, e.State)
	}
	err := of.outcome(dir)
	for _, e := range s.Entries {
		if e.Error != "" {
			err = alsoTell(err, fmt.Errorf("%s: %s", e.Name, e.Error))
		}
	}
	return err
}
