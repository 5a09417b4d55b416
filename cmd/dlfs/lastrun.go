package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
)

// lastRun is how the process ended that had a directory last. The store keeps it for
// status and wait, until the next process ends.
type lastRun struct {
	Ended time.Time `json:"ended"`
	Code  int       `json:"exit_code"`
	Why   string    `json:"why"` // "" if every file was complete

	Failures []fetch.EntryStatus `json:"failures,omitempty"` // the first of them; a status has them as entries
}

// lastRunKey is the key under which a store remembers the last run.
const lastRunKey = "last run"

// How much of the failures of a run is kept.
const (
	failuresKept = 1000
	reasonKept   = 300       // bytes of each reason
	lastRunMost  = 256 << 10 // bytes of all
)

// remember has the store keep how the run ends, with err, and the first failures, for
// commands that ask when the process has ended. A failure to write that is a warning,
// since the run itself has ended well or badly without it.
func (e *engine) remember(err error, failures []fetch.EntryStatus) {
	if e.store.IsRemoved() {
		return
	}
	run := lastRun{Ended: time.Now().UTC().Truncate(time.Second), Code: codeOf(err)}
	if err != nil {
		run.Why = err.Error()
	}
	run.keep(failures)
	text, err := json.Marshal(run)
	if err == nil {
		err = e.store.Remember(lastRunKey, string(text))
	}
	if err != nil {
		e.log.Warn("how this run ended is not kept, and status will not tell it", "err", err)
	}
}

// keep takes as many failures as the bounds allow, each with the first reasonKept bytes of its
// reason.
func (r *lastRun) keep(failures []fetch.EntryStatus) {
	size := 0
	for _, f := range failures[:min(failuresKept, len(failures))] {
		f.Error = cut(f.Error, reasonKept)
		if size += len(f.Name) + len(f.Error); size > lastRunMost {
			return
		}
		r.Failures = append(r.Failures, f)
	}
}

// recallLastRun returns how the last run ended, nil if that is not known.
func recallLastRun(store *cache.Store) (*lastRun, error) {
	text, err := store.Recall(lastRunKey)
	if err != nil || text == "" {
		return nil, err
	}
	r := new(lastRun)
	if err := json.Unmarshal([]byte(text), r); err != nil {
		return nil, fmt.Errorf("what is kept of the last run: %w", err)
	}
	return r, nil
}

// reasons returns the failures by name; nil for a nil run.
func (r *lastRun) reasons() map[string]fetch.EntryStatus {
	if r == nil {
		return nil
	}
	byName := make(map[string]fetch.EntryStatus, len(r.Failures))
	for _, f := range r.Failures {
		byName[f.Name] = f
	}
	return byName
}

// codeOf returns the exit code of a command that ends with err, as run does.
func codeOf(err error) int {
	var e *exitError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &e):
		return e.code
	case isDiskFull(err):
		return exitDiskFull
	}
	return exitFailed
}
