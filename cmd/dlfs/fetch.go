package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"dlfs/fetch"
	"dlfs/fs"
)

type fetchCmd struct {
	List string `arg:"" help:"List of names and URLs; - for standard input."`
	Dir  string `arg:"" optional:"" help:"Output directory; the list's name without extension if not given."`
	fetchFlags
	progressFlags
	logFlags
}

// Run materializes the list and says how it went.
func (c *fetchCmd) Run(ctx context.Context, std stdio) error {
	if err := c.validate(); err != nil {
		return err
	}
	list, err := readList(c.List, std.in)
	if err == nil {
		err = needEntries(list, c.List)
	}
	if err == nil && c.Dir == "" {
		c.Dir, err = defaultDir(c.List)
	}
	if err != nil {
		return err
	}
	if _, err := fs.ClearDead(c.Dir); err != nil {
		return err
	}
	d, err := newDisplay(std, c.progressFlags, c.logFlags)
	if err != nil {
		return err
	}
	defer d.close()
	e, err := openEngine(ctx, list.Entries, c.Dir, "dlfs fetch "+c.List, &c.fetchFlags, fetch.Options{Log: d.log})
	if err != nil {
		return err
	}
	start := time.Now()
	d.show(e.set)
	runErr := e.set.Run(ctx)
	d.close()
	failures := e.set.Failures()
	if err := e.close(); err != nil {
		return err
	}
	summarize(std.out, e.set.Totals(), failures, time.Since(start), e.store.Path())
	return e.outcome(runErr, context.Cause(ctx))
}

// summarize prints what was reached, and each failure with its reason.
func summarize(w io.Writer, t fetch.Totals, failures []fetch.EntryStatus, took time.Duration, dir string) {
	for _, f := range failures {
		fmt.Fprintf(w, "failed: %s: %s\n", printable(f.Name), printable(f.Error))
	}
	fmt.Fprintf(w, "%d of %d files complete in %s: %s, %s of it received in %s%s\n",
		t.FilesComplete, t.FilesTotal, dir, bytesText(t.PresentBytes), bytesText(t.OriginBytes),
		took.Round(100*time.Millisecond), rateText(t.OriginBytes, took))
}
