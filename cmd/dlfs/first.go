package main

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"sync"

	"golang.org/x/sync/errgroup"

	"dlfs/fetch"
	"dlfs/listfile"
)

// firstCmd has a running dlfs fetch some files first. The help of each field is what a user
// reads.
type firstCmd struct {
	Dir      string   `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	Patterns []string `arg:"" name:"pattern" help:"Which files, as --include names them: a name, *.tar, sub/**."`
	Range    part     `placeholder:"FROM-TO" help:"Fetch this part of each file, and at once: 0-1M is its first MiB, --range=-1M its last."`
	stateFlag
}

// Run has the running process fetch files before all others.
func (c *firstCmd) Run(ctx context.Context, std stdio) error {
	q := url.Values{"match": c.Patterns}
	if c.Range.set {
		q.Set("range", c.Range.String())
	}
	return orderFiles(ctx, std, c.or(c.Dir), "/first?"+q.Encode(), "is fetched first", "are fetched first")
}

// retryCmd has a running dlfs try failed files again. The help of each field is what a user
// reads.
type retryCmd struct {
	Dir      string   `arg:"" help:"Output directory or mountpoint of a running dlfs."`
	Patterns []string `arg:"" optional:"" name:"pattern" help:"Which files, as --include names them; all that failed if not given."`
	stateFlag
}

// Run has the running process try files again that failed.
func (c *retryCmd) Run(ctx context.Context, std stdio) error {
	q := url.Values{"match": c.Patterns}
	return orderFiles(ctx, std, c.or(c.Dir), "/retry?"+q.Encode(), "is tried again", "are tried again")
}

// orderFiles sends a request whose answer is a number of files, and prints that number: with one
// after it if it is 1, else with many.
func orderFiles(ctx context.Context, std stdio, dir, path, one, many string) error {
	n, err := orderNumber(ctx, dir, "POST", path)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, count(int(n), "file "+one, "files "+many))
	return err
}

// first answers POST /first: the file that name names, or those that the patterns match, are
// fetched before all others. A range of them is fetched as a reader fetches it: at once, beside
// the prefetch, and also with --prefetch=none.
func (c *control) first(w http.ResponseWriter, r *http.Request) {
	form := r.URL.Query()
	var p part
	if form.Has("range") {
		if err := p.UnmarshalText([]byte(form.Get("range"))); err != nil {
			refuse(w, usageError("%w", err))
			return
		}
	}
	files, err := c.asked(r)
	switch {
	case err != nil:
		refuse(w, err)
		return
	// A part is fetched by reads of its own, since prefetch knows whole files alone.
	case p.set:
		for _, f := range files {
			c.engine.set.Retry(f) // a failure of a moment ago would be the answer
		}
		c.engine.errands.fetch(files, p)
	case c.engine.prefetch == fetch.PrefetchNone:
		refuse(w, usageError("this dlfs fetches nothing by itself (--prefetch=none); give --range, such as 0-1M or 0-"))
		return
	default:
		for _, f := range files {
			c.engine.set.First(f)
		}
	}
	// The command sends patterns and prints the number; the page sends a name and needs no answer.
	if form.Has("match") {
		fmt.Fprint(w, len(files))
	}
}

// asked returns the files that a request names: those that one of its patterns matches,
// or the one of its name. The error says that a pattern is wrong or that no file
// matches.
func (c *control) asked(r *http.Request) ([]*fetch.File, error) {
	form := r.URL.Query()
	if !form.Has("match") {
		f, err := c.named(r)
		return []*fetch.File{f}, err
	}
	patterns, err := listfile.NewPatterns(form["match"])
	if err != nil {
		return nil, usageError("%w", err)
	}
	var files []*fetch.File
	for _, f := range c.engine.set.Files() {
		if patterns.Match(f.Name()) {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return nil, usageError("no file of the list matches; \"dlfs status --files\" shows the names")
	}
	return files, nil
}

// retry answers POST /retry: the failed files of these names, or all of them, are tried again
// at once.
func (c *control) retry(w http.ResponseWriter, r *http.Request) {
	files, err := c.failed(r)
	if err != nil {
		refuse(w, err)
		return
	}
	n := 0
	for _, f := range files {
		if c.engine.set.Retry(f) {
			n++
		}
	}
	fmt.Fprint(w, n)
}

// failed returns the files that a request names or matches, or else those that failed.
func (c *control) failed(r *http.Request) ([]*fetch.File, error) {
	if form := r.URL.Query(); !form.Has("name") && !form.Has("match") {
		return c.engine.set.Select(fetch.Query{State: fetch.Trouble})
	}
	return c.asked(r)
}

// errands are the parts of files that a process fetches because a request on the socket
// asked for them.
type errands struct {
	engine *engine
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
}

// errandsAtOnce is how many files one request has fetched at once.
const errandsAtOnce = 8

// newErrands returns the errands of a process. They end with close.
func newErrands(e *engine) *errands {
	a := &errands{engine: e}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// fetch fetches a part of each file. It does not block.
func (a *errands) fetch(files []*fetch.File, p part) {
	a.work.Go(func() { // close waits
		var g errgroup.Group // joined below
		g.SetLimit(errandsAtOnce)
		for _, f := range files {
			g.Go(func() error {
				if err := a.fetchOne(f, p); err != nil && a.ctx.Err() == nil {
					a.engine.log.Warn("range that was asked for is not fetched", "name", f.Name(), "range", p, "err", err)
				}
				return nil
			})
		}
		g.Wait() // nothing fails as a whole
	})
}

// fetchOne has a part of a file be present. It blocks for the network.
func (a *errands) fetchOne(f *fetch.File, p part) error {
	h, err := f.Open(a.ctx)
	if err != nil {
		return err
	}
	defer h.Close()
	// Open has made contact, so the size is known unless the file grows.
	off, n := p.of(h.Copy().Version().Size)
	return h.Ensure(a.ctx, off, n)
}

// close ends the fetches under way and waits for them.
func (a *errands) close() {
	a.cancel()
	a.work.Wait()
}
