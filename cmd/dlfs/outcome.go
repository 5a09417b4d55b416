package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
)

// outcome returns the exit of a run that ended with runErr, or was stopped for that reason. Lines
// that were left out of the list make it a failure.
func (e *engine) outcome(runErr, stopped error) error {
	e.reloading.Lock()
	bad := e.bad.Count()
	e.reloading.Unlock()
	return withBad(outcome(e.set.Totals(), e.store.Path(), runErr, stopped), bad)
}

// withBad is the exit of a run that ended with err, after n lines of the list were
// left out: the run has failed at least.
func withBad(err error, n int) error {
	if n == 0 {
		return err
	}
	more := errLeftOut(n)
	var e *exitError
	// A fresh list mends missing URLs, but nothing mends the lines that were left out, so the
	// exit code is the one of a failure.
	if err == nil || errors.As(err, &e) && e.code == exitNeedsURL {
		return &exitError{exitFailed, errors.Join(err, more)}
	}
	return alsoTell(err, more)
}

// errLeftOut returns the error of n lines that were left out of a list.
func errLeftOut(n int) error {
	return fmt.Errorf("%s left out of the list; mend the list and run the same command again", lines(n))
}

// outcome turns how a run ended, and how far it came, into an exit. stopped is
// why it was ended before its time, nil if it was not. Of several reasons the
// one counts that is worst to overlook: a full disk, a wrong digest, a failure,
// a URL that is missing.
func outcome(t fetch.Totals, dir string, runErr, stopped error) error {
	left := t.FilesTotal - t.FilesComplete
	exit := func(code int, format string, args ...any) error {
		return &exitError{code, fmt.Errorf(format, args...)}
	}
	// The order of the cases is the order in which the reasons count.
	switch {
	case left == 0:
		return nil
	case errors.Is(runErr, cache.ErrNoInodes):
		return exit(exitDiskFull, "no inodes left on the disk of %s, which can have no more files; remove some, and run the same command again", dir)
	case errors.Is(runErr, cache.ErrStateFull):
		return exit(exitDiskFull, "%w; make room where --state says and run the same command again", cache.ErrStateFull)
	case errors.Is(runErr, cache.ErrNoSpace):
		return exit(exitDiskFull, "%w%s; make room in %s and run the same command again", cache.ErrNoSpace, freeText(dir), dir)
	case stopped != nil:
		return exit(exitInterrupted, "%w, %d of %d files complete; run the same command again to go on", stopped, t.FilesComplete, t.FilesTotal)
	case runErr != nil:
		return runErr
	case t.FilesMismatch > 0:
		return exit(exitMismatch, "%d of %d files failed, %d of them with another digest than they must have; ask the publisher which is right, the list or the file", left, t.FilesTotal, t.FilesMismatch)
	case left > t.FilesNeedURL:
		return exit(exitFailed, "%d of %d files failed; run the same command again to try them again", left, t.FilesTotal)
	}
	return exit(exitNeedsURL, "%d of %d files need a URL; run the same command with a fresh list, and what is there is kept", left, t.FilesTotal)
}

// freeText returns in words what is free on a disk that is taken for full, "" if that
// is not known. Without it, a user who sees free space in df(1) does not understand the
// error.
func freeText(dir string) string {
	if free, known := freeIn(dir); known {
		return fmt.Sprintf(" (%s are free, and --min-free says how much stays free)", bytesText(free))
	}
	return ""
}

// failuresShown is how many failures of each kind a summary tells.
const failuresShown = 20

// summarize prints what was reached, and before it the failures with their reasons:
// first those that another try may cure, then those that need a fresh list.
func summarize(w io.Writer, t fetch.Totals, failures []fetch.EntryStatus, took time.Duration, dir string) {
	needURL := func(f fetch.EntryStatus) bool { return f.State == stateNeedsURL }
	printFailures(w, "failed", failures, func(f fetch.EntryStatus) bool { return !needURL(f) })
	printFailures(w, "needs a URL", failures, needURL)
	fmt.Fprintf(w, "%d of %d files complete in %s: %s, %s of it received in %s%s\n",
		t.FilesComplete, t.FilesTotal, dir, bytesText(t.PresentBytes), bytesText(t.OriginBytes+t.PeerBytes),
		took.Round(100*time.Millisecond), rateText(t.OriginBytes+t.PeerBytes, took))
	if t.PeerBytes > 0 {
		fmt.Fprintf(w, "%s came from other machines\n", bytesText(t.PeerBytes))
	}
}

// printFailures prints a line for each failure for which is holds, failuresShown at most, and
// then how many more there are.
func printFailures(w io.Writer, what string, failures []fetch.EntryStatus, is func(fetch.EntryStatus) bool) {
	n := 0
	for _, f := range failures {
		if !is(f) {
			continue
		}
		if n++; n <= failuresShown {
			fmt.Fprintf(w, "%s: %s: %s\n", what, printable(f.Name), printable(f.Error))
		}
	}
	if n > failuresShown {
		fmt.Fprintf(w, "%s: %d more\n", what, n-failuresShown)
	}
}
