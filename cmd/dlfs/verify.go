package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fs"
)

// verifyCmd compares what is on disk with its digests. The help of each field is what a user
// reads.
type verifyCmd struct {
	Dir  string `arg:"" help:"Output directory of a mount or fetch."`
	List string `arg:"" optional:"" help:"List of names and URLs; the one DIR was last used with if not given."`

	Repair bool `help:"Fetch what is wrong or missing. A wrong file stays in place until the right bytes are complete."`
	DryRun bool `short:"n" hidden:"" help:"Only tell what is wrong, also with --repair."`
	Deep   bool `help:"Read every byte, also of files that were verified before and have the same size and time since."`
	JSON   bool `help:"Print JSON."`
	shardFlag
	workFlags
}

// verdicts is what verify found, as --json prints it. Its keys are stable: new ones may
// come, and none goes or changes its meaning.
type verdicts struct {
	Right      int       `json:"right"`
	Wrong      int       `json:"wrong"`
	NoDigest   int       `json:"no_digest"`
	Incomplete int       `json:"incomplete"`
	Files      []verdict `json:"files"` // those that are not right
}

// verdict is what was found of one file.
type verdict struct {
	Name    string        `json:"name"`
	Verdict fetch.Verdict `json:"verdict"`
}

// Run compares every file with its digest, and tells what is wrong or missing. With --repair,
// the missing and the wrong blocks are then fetched, as by fetch. Without a list, the one that the
// directory was last used with is taken; if it is gone, too, files are compared with the digests
// in the state, and cannot be repaired.
func (c *verifyCmd) Run(ctx context.Context, std stdio) error {
	if _, err := fs.ClearDead(c.Dir); err != nil {
		return err
	}
	if err := needState(cmp.Or(c.State, c.Dir)); err != nil {
		return err
	}
	// What lies in DIR then has no versions and no digests, and nothing could be compared.
	if c.State == "" && isElsewhere(c.Dir) {
		return errElsewhere(c.Dir)
	}
	if c.List == "" {
		var err error
		if c.List, err = lastList(cmp.Or(c.State, c.Dir), newLogger(std.err, c.level())); err != nil {
			return err
		}
	}
	// From here on there are three cases: no list, so the digests are those in the state; a list and
	// no repair, for which the state is opened for reading; and a repair, which opens it for writing.
	repair := c.Repair && !c.DryRun
	if c.List == "" && repair {
		return usageError("the list that %s was last used with is not known or not there any more; give one: \"dlfs verify --repair %s LIST\"", c.Dir, c.Dir)
	}
	if c.List == "" {
		return c.report(ctx, std, func(store *cache.Store) (*fetch.Set, error) { return offlineSet(ctx, store, c.listFlags) })
	}
	w, err := c.begin(ctx, std, c.List, c.Dir)
	if err != nil {
		return err
	}
	defer w.end()
	w.lister = w.lister.of(c.Shard)
	list, err := w.readList(ctx)
	if err != nil {
		return err
	}
	if !repair {
		return c.report(ctx, std, func(store *cache.Store) (*fetch.Set, error) {
			return fetch.New(ctx, store, w.client, list.Entries, fetch.Options{}), nil
		})
	}
	e, err := w.open(ctx, list.Entries, c.Dir, "dlfs verify "+w.lister.name, fetch.Options{})
	if err != nil {
		return err
	}
	// What follows reads every file, which may take hours, so "dlfs stop" must end it.
	ctx, release := e.stoppable(ctx)
	defer release()
	v, err := c.verify(ctx, e.set, true, std.out)
	if err != nil {
		return errors.Join(err, e.close())
	}
	if c.JSON {
		std.out = std.err // the summary of the fetch is not what JSON was asked for
	} else if v.Wrong > 0 {
		fmt.Fprintln(std.out, "each wrong file stays in place until the right bytes are complete")
	}
	return e.fetch(ctx, std, "")
}

// lastList returns the path of the list that dir was last used with. It is "" if the
// path is not known or leads nowhere any more; a URL is such a path.
func lastList(dir string, log *slog.Logger) (string, error) {
	store, err := cache.OpenReadOnly(dir, cache.Options{Log: log})
	if err != nil {
		return "", err
	}
	path, err := store.Recall(listKey)
	if err := errors.Join(err, store.Close()); err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", nil
	}
	return path, nil
}

// report verifies the files of the set that newSet makes over the state on disk, opened for
// reading, and fetches nothing. The error has the exit code: exitMismatch if files are wrong,
// exitFailed if files are incomplete.
func (c *verifyCmd) report(ctx context.Context, std stdio, newSet func(*cache.Store) (*fetch.Set, error)) error {
	store, err := cache.OpenReadOnly(c.Dir, cache.Options{State: c.State, Log: newLogger(std.err, c.level())})
	if err != nil {
		return err
	}
	set, err := newSet(store)
	if err != nil {
		return errors.Join(err, store.Close())
	}
	if len(set.Files()) == 0 {
		set.Close()
		return errors.Join(noListError(c.Dir), store.Close())
	}
	v, err := c.verify(ctx, set, false, std.out)
	set.Close()
	if err := errors.Join(err, store.Close()); err != nil {
		return err
	}
	switch {
	case v.Wrong > 0:
		return &exitError{exitMismatch, fmt.Errorf("%s; \"dlfs verify --repair %s LIST\" repairs that", count(v.Wrong, "file is wrong", "files are wrong"), c.Dir)}
	case v.Incomplete > 0:
		return fmt.Errorf("%s; \"dlfs fetch LIST %s\" goes on", count(v.Incomplete, "file is incomplete", "files are incomplete"), c.Dir)
	}
	return nil
}

// verify verifies the files of set and prints what it finds: a line for each file that is wrong
// or incomplete and a summary, or with --json one object. With repair, blocks that are wrong are
// taken as missing, for the caller to fetch. If ctx ends, the verdicts so far are returned with
// an exit of its cause.
func (c *verifyCmd) verify(ctx context.Context, set *fetch.Set, repair bool, w io.Writer) (*verdicts, error) {
	v := &verdicts{Files: []verdict{}}
	err := set.Verify(ctx, fetch.VerifyOptions{Repair: repair, Deep: c.Deep}, func(f *fetch.File, found fetch.Verdict) {
		v.add(f.Name(), found)
		if !c.JSON && (found == fetch.Wrong || found == fetch.Incomplete) {
			fmt.Fprintf(w, "%s: %s\n", found, printable(f.Name()))
		}
	})
	if err == nil && c.JSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return v, enc.Encode(v)
	}
	if !c.JSON {
		fmt.Fprintln(w, v)
	}
	if ctx.Err() != nil {
		return v, &exitError{exitInterrupted, fmt.Errorf("%w; not every file was looked at", context.Cause(ctx))}
	}
	return v, err
}

// add counts a verdict. Files that are right are counted alone; others are kept by name.
func (v *verdicts) add(name string, found fetch.Verdict) {
	switch found {
	case fetch.Right:
		v.Right++
		return
	case fetch.Wrong:
		v.Wrong++
	case fetch.NoDigest:
		v.NoDigest++
	case fetch.Incomplete:
		v.Incomplete++
	}
	v.Files = append(v.Files, verdict{name, found})
}

// String returns the summary in one line.
func (v *verdicts) String() string {
	return fmt.Sprintf("%d right, %d wrong, %d without a digest, %d incomplete", v.Right, v.Wrong, v.NoDigest, v.Incomplete)
}
