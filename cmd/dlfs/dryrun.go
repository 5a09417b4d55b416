package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// estimate is what a dry run tells, and what --require-space compares with the disk.
type estimate struct {
	files     int
	bytes     int64               // sum of the sizes that are known
	unknown   int                 // files whose size is not known
	present   int64               // bytes that are there already
	failures  []fetch.EntryStatus // files whose origin did not answer with a size
	first     time.Time           // when the first URL expires
	expiring  int                 // entries whose URLs all expire at a known time
	dir       string              // where the files would go
	free      int64               // bytes free in dir
	freeKnown bool                // the filesystem has told free
}

// dryRun tells how much fetching the entries into dir would be. Nothing is
// fetched and nothing is written. Sizes come from the list and from the state on
// disk; only for the others are origins asked, Jobs at a time.
func (w *work) dryRun(ctx context.Context, out io.Writer, entries []listfile.Entry, dir string) error {
	t, err := w.estimate(ctx, entries, dir)
	if err != nil {
		return err
	}
	t.print(out)
	if ctx.Err() != nil {
		return &exitError{exitInterrupted, fmt.Errorf("%w, before every size was known", context.Cause(ctx))}
	}
	if n := w.bad.Count(); n > 0 {
		return errLeftOut(n)
	}
	return nil
}

// estimate finds out how much fetching the entries into dir would be. It blocks for the
// network until ctx ends; then some sizes are unknown.
func (w *work) estimate(ctx context.Context, entries []listfile.Entry, dir string) (*estimate, error) {
	t := &estimate{files: len(entries), dir: dir}
	t.first, t.expiring = expiry(entries)
	known, err := knownFiles(ctx, entries, cmp.Or(w.flags.State, dir), w.display.log)
	if err != nil {
		return nil, err
	}
	var ask []*listfile.Entry
	for i := range entries {
		e := &entries[i]
		s, there := known[e.Name]
		switch {
		case there && s.Size >= 0:
			t.bytes = addBytes(t.bytes, s.Size)
			t.present = addBytes(t.present, s.Present)
		case e.Said().Size >= 0:
			t.bytes = addBytes(t.bytes, e.Said().Size)
		default:
			ask = append(ask, e)
		}
	}
	w.askSizes(ctx, ask, t)
	t.free, t.freeKnown = freeIn(dir)
	return t, nil
}

// missing returns how many bytes are to be fetched, 0 if more are present than the list
// says.
func (t *estimate) missing() int64 { return max(0, t.bytes-t.present) }

// knownFiles returns what the state in dir tells of the files of entries, by name. The
// map is empty if dir has no state, or has it elsewhere. It opens the state for reading
// only, also beside a running process.
func knownFiles(ctx context.Context, entries []listfile.Entry, dir string, log *slog.Logger) (map[string]fetch.EntryStatus, error) {
	if needState(dir) != nil || isElsewhere(dir) {
		return nil, nil
	}
	known := make(map[string]fetch.EntryStatus, len(entries))
	for i := range entries {
		known[entries[i].Name] = fetch.EntryStatus{Size: -1}
	}
	err := visitStatus(ctx, dir, selection{}, func(*Status) error { return nil }, func(e fetch.EntryStatus) error {
		if _, listed := known[e.Name]; listed {
			known[e.Name] = e
		}
		return nil
	})
	if !errors.Is(err, errNoProcess) {
		return known, err
	}
	// The list that the state was last used with may be another one.
	store, err := cache.OpenReadOnly(dir, cache.Options{Log: log})
	if err != nil {
		return nil, err
	}
	set := fetch.New(ctx, store, origin.New(origin.Options{}), slices.Clone(entries), fetch.Options{})
	for _, f := range set.Files() {
		known[f.Name()] = f.Status()
	}
	set.Close()
	return known, store.Close()
}

// askSizes asks the origins of entries how long the files are, --jobs at a time, and adds the sizes
// to t. An origin that fails is noted in t.failures. If ctx ends, the rest counts as unknown.
func (w *work) askSizes(ctx context.Context, entries []*listfile.Entry, t *estimate) {
	var mu sync.Mutex // guards t
	var g errgroup.Group
	g.SetLimit(w.flags.Jobs)
	for _, e := range entries {
		g.Go(func() error {
			size, err := w.askSize(ctx, e)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case ctx.Err() != nil:
				t.unknown++
			case err != nil:
				t.unknown++
				t.failures = append(t.failures, fetch.EntryStatus{Name: e.Name, Error: err.Error()})
			case size < 0:
				t.unknown++
			default:
				t.bytes = addBytes(t.bytes, size)
			}
			return nil
		})
	}
	g.Wait() // nothing above is an error
}

// askSize asks the origin of an entry how long it is, in bytes; -1 if the origin does
// not say. It blocks for a request until ctx ends.
func (w *work) askSize(ctx context.Context, e *listfile.Entry) (int64, error) {
	said := e.Said()
	opts := origin.ResourceOptions{Name: e.Name, Header: said.Header, Refused: said.Refused}
	v, _, err := w.client.Resource(e.URL, opts).Probe(ctx, true)
	return v.Size, err
}

// freeIn returns the bytes that are free where dir is, or will be once it is made;
// false if the filesystem does not tell.
func freeIn(dir string) (int64, bool) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return 0, false
	}
	for {
		var st unix.Statfs_t
		err := unix.Statfs(abs, &st)
		if err == nil {
			return timesBytes(uint64(st.Bavail), int64(st.Bsize)), st.Blocks > 0 // some FUSE report nothing
		}
		if !errors.Is(err, os.ErrNotExist) || abs == "/" {
			return 0, false
		}
		abs = filepath.Dir(abs)
	}
}

// addBytes returns a + b, where a negative b, an unknown size, counts as 0. The sum is
// at most 2^63 - 1: lists may name any sizes.
func addBytes(a, b int64) int64 { return a + min(max(b, 0), math.MaxInt64-a) }

// timesBytes is n times size; at most 2^63 - 1.
func timesBytes(n uint64, size int64) int64 {
	if hi, lo := bits.Mul64(n, uint64(size)); hi == 0 && lo <= math.MaxInt64 {
		return int64(lo)
	}
	return math.MaxInt64
}

// print prints how much the files have, how much of that is to be fetched, whether the disk has
// room for it, and when the first URL expires.
func (t *estimate) print(w io.Writer) {
	printFailures(w, "no size", t.failures, func(fetch.EntryStatus) bool { return true })
	fmt.Fprintf(w, "%s, %s", count(t.files, "file", "files"), bytesText(t.bytes))
	if t.unknown > 0 {
		fmt.Fprintf(w, " and %d of unknown size", t.unknown)
	}
	missing := t.missing()
	fmt.Fprintf(w, "\n%s to fetch", bytesText(missing))
	if t.freeKnown {
		fmt.Fprintf(w, ", %s free in %s", bytesText(t.free), printable(t.dir))
		if t.free < missing {
			fmt.Fprint(w, ", which is too little")
		}
	}
	fmt.Fprintln(w)
	if t.expiring > 0 {
		fmt.Fprintln(w, expiryText(t.first, t.expiring))
	}
}
