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

// needState says that dir is no directory of dlfs, if so.
func needState(dir string) error {
	_, err := os.Stat(filepath.Join(dir, ".dlfs"))
	if errors.Is(err, syscall.ENOTCONN) {
		return fmt.Errorf("the dlfs that served %s has died; mount the list again, or run \"dlfs umount %s\"", dir, dir)
	}
	if err != nil {
		return fmt.Errorf("%s holds no state of dlfs; give the directory of a mount or fetch", dir)
	}
	return nil
}

// readStatus reads the state while no process has it. Nothing is fetched.
func readStatus(ctx context.Context, dir string, want selection, log *slog.Logger, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	if err := needState(dir); err != nil {
		return err
	}
	if isElsewhere(dir) {
		return readShards(dir, log, head)
	}
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
	s.Totals = set.Totals()
	s.FilesFailed, s.FilesNeedURL, s.FilesMismatch = failed.FilesFailed, failed.FilesNeedURL, failed.FilesMismatch
	if run != nil {
		run.Failures = nil // the failures are among the entries
	}
	all := want
	all.states = nil // the reasons are yet to come
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

// countFailure counts a file that was left in a state.
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

// offlineSet is the files of the list a store was last used with, without
// their URLs, which are not stored: nothing of them can be fetched.
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
