package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// fetchFlags shape how files are fetched. mount and fetch share them.
type fetchFlags struct {
	Jobs           int           `short:"j" default:"8" aliases:"transfers" help:"Files fetched at once in the background."`
	Split          int           `short:"s" default:"4" help:"Requests a file, when there are places free."`
	MaxPerHost     int           `short:"x" default:"8" help:"Requests a host for the background; readers and their read-ahead may have as many each."`
	ConnectTimeout time.Duration `default:"20s" aliases:"contimeout" help:"Give up making a connection after this."`
	Timeout        time.Duration `default:"30s" help:"Give up a request of which nothing arrives for this long, and try again."`
	Tries          int           `default:"10" aliases:"retries" help:"Attempts in a row without progress before an entry fails."`
	RetryWait      time.Duration `default:"500ms" help:"Wait after the first failed attempt; doubled for each further one."`
	MinFree        int64         `default:"64" placeholder:"MIB" help:"Stop storing when less than this many MiB are free."`
}

func (f *fetchFlags) validate() error {
	if f.Jobs < 1 || f.Split < 1 || f.MaxPerHost < 1 || f.Tries < 1 || f.MinFree < 1 {
		return &exitError{exitUsage, errors.New("--jobs, --split, --max-per-host, --tries and --min-free must be at least 1")}
	}
	return nil
}

// engine is a list being materialized in a directory: the store, the client and
// the set, opened in this order and closed in the other.
type engine struct {
	store   *cache.Store
	client  *origin.Client
	set     *fetch.Set
	control *control
	log     *slog.Logger
}

// openEngine opens dir for the entries. owner is shown to whoever finds it in
// use.
func openEngine(ctx context.Context, entries []listfile.Entry, dir, owner string, f *fetchFlags, opts fetch.Options) (_ *engine, err error) {
	e := &engine{log: opts.Log}
	e.store, err = cache.Open(dir, cache.Options{Log: opts.Log, Owner: owner, MinFree: f.MinFree << 20})
	if err != nil {
		if errors.Is(err, cache.ErrNoSpace) {
			err = &exitError{exitDiskFull, err}
		}
		return nil, err
	}
	e.client = origin.New(origin.Options{
		Log: opts.Log, Credentials: origin.Credentials{UserAgent: userAgent}, MaxPerHost: 3 * f.MaxPerHost,
		ConnectTimeout: f.ConnectTimeout, Timeout: f.Timeout, Tries: f.Tries, RetryWait: f.RetryWait,
	})
	opts.Jobs, opts.Split, opts.MaxPerHost = f.Jobs, f.Split, f.MaxPerHost
	// Flights end when the set is closed, not when the command is interrupted:
	// that leaves them time to finish the block they are in.
	e.set = fetch.New(context.WithoutCancel(ctx), e.store, e.client, entries, opts)
	if e.control, err = serveControl(e); err != nil {
		return nil, errors.Join(err, e.close())
	}
	return e, nil
}

// close ends flights, makes everything durable and lets the directory go.
func (e *engine) close() error {
	if e.control != nil {
		e.control.close()
	}
	e.set.Close()
	e.client.Close()
	return e.store.Close()
}

// outcome turns how a run ended, and how far it came, into an exit. stopped is
// why it was ended before its time, nil if it was not.
func (e *engine) outcome(runErr, stopped error) error {
	t := e.set.Totals()
	switch {
	case t.FilesComplete == t.FilesTotal:
		return nil
	case errors.Is(runErr, cache.ErrNoSpace):
		return &exitError{exitDiskFull, fmt.Errorf("%w; make room in %s and run the same command again", cache.ErrNoSpace, e.store.Path())}
	case stopped != nil:
		return &exitError{exitInterrupted, fmt.Errorf("%w, %d of %d files complete; run the same command again to go on", stopped, t.FilesComplete, t.FilesTotal)}
	case runErr != nil:
		return runErr
	}
	return &exitError{exitFailed, fmt.Errorf("%d of %d files failed", t.FilesTotal-t.FilesComplete, t.FilesTotal)}
}

// readList reads the list at path, "-" for standard input.
func readList(path string, stdin io.Reader) (*listfile.List, error) {
	name, r := "stdin", stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, &exitError{exitUsage, fmt.Errorf("list: %w", err)}
		}
		defer f.Close()
		name, r = path, f
	}
	list, err := listfile.Parse(r, name, listfile.Options{})
	if err != nil {
		return list, &exitError{exitUsage, err}
	}
	return list, nil
}

// needEntries is what mount and fetch make of a list without any.
func needEntries(list *listfile.List, path string) error {
	if len(list.Entries) == 0 {
		return &exitError{exitUsage, fmt.Errorf("list %s has no entry; write NAME<TAB>URL lines", path)}
	}
	return nil
}

// defaultDir is the directory a list is fetched into: its file name without
// extension, in the working directory.
func defaultDir(list string) (string, error) {
	base := filepath.Base(list)
	dir := strings.TrimSuffix(base, filepath.Ext(base))
	if list == "-" || dir == "" || dir == base {
		return "", &exitError{exitUsage, fmt.Errorf("list %s has no name to derive the directory from; give DIR", list)}
	}
	return dir, nil
}
