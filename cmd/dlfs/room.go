package main

import (
	"context"
	"fmt"
	"time"

	"dlfs/listfile"
)

// needRoom returns the error of --require-space if the disk has too little room for
// what the entries lack in dir. Origins are asked for sizes that neither the list nor
// the state knows, so it blocks for a request for each, until ctx ends. Files whose
// size stays unknown are left out, with a remark.
func (w *work) needRoom(ctx context.Context, entries []listfile.Entry, dir string) error {
	t, err := w.estimate(ctx, entries, dir)
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, fmt.Errorf("%w, before every size was known", context.Cause(ctx))}
	case !t.freeKnown:
		return fmt.Errorf("--require-space: the disk of %s does not tell how much is free; leave the flag out", dir)
	case t.missing() > t.free-int64(w.flags.MinFree):
		return &exitError{exitDiskFull, fmt.Errorf("--require-space: %s; make room, or give another directory", lacks(dir, t.missing(), t.free, w.flags.MinFree))}
	}
	if t.unknown > 0 {
		fmt.Fprintf(w.display.notes(), "dlfs: --require-space leaves out %s of unknown size\n", count(t.unknown, "file", "files"))
	}
	return nil
}

// lacks says in words how many bytes are to come, and for how many of the free ones
// there is room.
func lacks(dir string, missing, free int64, minFree mebibytes) string {
	return fmt.Sprintf("%s are to come, and %s has room for %s, since %s of it are to stay free (--min-free)",
		bytesText(missing), dir, bytesText(free-int64(minFree)), bytesText(int64(minFree)))
}

// roomLook is how often the room on the disk is compared with what is to come, whose sizes
// become known one by one.
const roomLook = 10 * time.Second

// warnOfRoom logs once that the disk will be full before everything is there. It looks
// again every roomLook, until it has warned, the set is done, or ctx ends. The caller
// runs it in a goroutine and waits for it.
func (e *engine) warnOfRoom(ctx context.Context, minFree mebibytes) {
	t := time.NewTimer(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		case <-e.set.Done():
			return
		}
		totals := e.set.Totals()
		free, err := e.store.Free()
		if missing := totals.TotalBytes - totals.PresentBytes; err == nil && missing > free-int64(minFree) {
			e.log.Warn("the disk will be full before every file is there", "why", lacks(e.store.Path(), missing, free, minFree))
			return
		}
		t.Reset(roomLook)
	}
}
