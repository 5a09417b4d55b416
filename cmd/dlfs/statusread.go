package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// needState returns an error if dir holds no state of dlfs, nil if it does. The directory of a
// mount whose process has died cannot be looked into, nor can one of another user, and each has
// an error of its own.
func needState(dir string) error {
	_, err := os.Stat(filepath.Join(dir, ".dlfs"))
	if errors.Is(err, syscall.ENOTCONN) {
		return diedError(dir)
	}
	if errors.Is(err, syscall.EACCES) {
		return fmt.Errorf("%s may not be looked into by this user; ask as the user of its dlfs, or as root", dir)
	}
	if err != nil {
		return fmt.Errorf("%s holds no state of dlfs; give the directory of a mount or fetch", dir)
	}
	return nil
}

// diedError says that dir is a mount whose process has died.
func diedError(dir string) error {
	return fmt.Errorf("the dlfs that served %s has died; mount the list again, or run \"dlfs umount %s\"", dir, dir)
}

// noListError says that the state in dir knows no file: no run has begun there, or the state is
// lost.
func noListError(dir string) error {
	return fmt.Errorf("%s has no list yet; \"dlfs mount\" or \"dlfs fetch\" gives it one", dir)
}

// readStatus reads the state of a directory that no process has, for statusOf: it calls head
// with the status without entries, and then each with the entries that are wanted. Nothing is
// fetched and nothing is written. The state on disk tells which blocks are there; why a file
// failed is what the last run has left in the store. If the state is elsewhere, what the shards
// say of themselves is summed up.
func readStatus(ctx context.Context, dir string, want selection, log *slog.Logger, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	if err := needState(dir); err != nil {
		return err
	}
	if isElsewhere(dir) {
		return readShards(dir, log, head)
	}
	// The state is read from a copy, so a process that starts meanwhile is not disturbed.
	store, err := cache.OpenReadOnly(dir, cache.Options{Log: log})
	if err != nil {
		return err
	}
	run, err := recallLastRun(store)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	set, err := offlineSet(ctx, store, listFlags{})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	reasons := run.reasons()
	s := &Status{Waiting: []origin.Pause{}, LastRun: run}
	var failed fetch.Totals // counts what the reasons of the last run say; the files do not know
	for _, f := range set.Files() {
		if e := f.Status(); e.State != stateComplete { // has it loaded, so that it counts
			countFailure(&failed, reasons[e.Name].State)
		}
	}
	// The totals count what is on disk. Only the last run knows which of the rest have failed.
	s.Totals = set.Totals()
	s.FilesFailed, s.FilesNeedURL, s.FilesMismatch = failed.FilesFailed, failed.FilesNeedURL, failed.FilesMismatch
	if run != nil {
		run.Failures = nil // the failures are among the entries
	}
	// The set knows no failures of earlier runs, so the states that are wanted are selected below.
	all := want
	all.states = nil
	err = eachStatus(s, set, all, head, func(e fetch.EntryStatus) error {
		if why, failed := reasons[e.Name]; failed && e.State != stateComplete {
			e.State, e.Error = why.State, why.Error
		}
		if !want.matches(e) {
			return nil
		}
		return each(e)
	})
	set.Close()
	return errors.Join(err, store.Close())
}

// countFailure adds a file in that state to the figures of failures; a file in any other state
// than those of a failure is not counted.
func countFailure(t *fetch.Totals, state string) {
	switch state {
	case stateNeedsURL:
		t.FilesNeedURL++
	case stateMismatch:
		t.FilesMismatch++
	case stateFailed:
	default:
		return
	}
	t.FilesFailed++
}

// offlineSet returns the files of the list that a store was last used with, with the digests of
// --checksums. Their URLs are secrets that the store does not keep, so that nothing of these
// files can be fetched. The caller closes the set before the store.
func offlineSet(ctx context.Context, store *cache.Store, flags listFlags) (*fetch.Set, error) {
	list, err := store.List()
	if err != nil {
		return nil, err
	}
	entries := make([]listfile.Entry, len(list))
	for i, l := range list {
		entries[i].Name = l.Name
	}
	if err := flags.addChecksums(&listfile.List{Entries: entries}); err != nil {
		return nil, err
	}
	return fetch.New(ctx, store, origin.New(origin.Options{}), entries, fetch.Options{}), nil
}
