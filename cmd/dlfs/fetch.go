package main

import (
	"cmp"
	"context"
	"errors"
	"io"
	"path/filepath"
	"time"

	"dlfs/fetch"
	"dlfs/fs"
)

// fetchCmd materializes a list without a mount. The help of each field is what a user reads.
type fetchCmd struct {
	List string `arg:"" help:"List of names and URLs: a file, a URL, or - for standard input."`
	Dir  string `arg:"" optional:"" help:"Output directory; the list's name without extension if not given."`

	Output       string `name:"dir" short:"d" aliases:"output-dir,directory-prefix" placeholder:"DIR" help:"The same."`
	AdoptPartial bool   `negatable:"" default:"true" help:"Go on with files that another program, such as wget or curl, has left unfinished in DIR, where pieces of them are the origin's. On by default."`

	Check  bool `name:"check-integrity" short:"V" help:"Verify first what is there, as \"dlfs verify\" does, and fetch again what is wrong."`
	Daemon bool `help:"Return once the directory is open, and go on in the background; \"dlfs wait\" waits for it, \"dlfs stop\" ends it."`
	// A flag of mount that users try here, too; Run says why fetch does not have it.
	MaxSize *diskSize `hidden:""`
	shardFlag
	runFlags
	peerFlags `group:"Other machines"`
	workFlags
}

// Run materializes the list and says how it went. With --daemon and in the parent, it returns
// when the child has opened the directory or has failed.
func (c *fetchCmd) Run(ctx context.Context, std stdio) error {
	if c.MaxSize != nil {
		return usageError("fetch has no --max-size, since it puts every file in place; \"dlfs mount --max-size\" shows more than the disk holds")
	}
	if err := errors.Join(c.place(), c.hookFlags.validate()); err != nil {
		return err
	}
	b := background{c.List, c.daemonLog, func() string { return "fetching into " + c.Dir }, c.fetch}
	return b.run(ctx, std, c.Daemon && !c.DryRun)
}

// place decides what the output directory is, and sets c.Dir: the argument, or --dir, or a
// directory named after the list.
func (c *fetchCmd) place() (err error) {
	switch {
	case c.Dir != "" && c.Output != "":
		return usageError("the output directory is given twice, as %s and as --dir %s; leave one out", c.Dir, c.Output)
	case c.Dir == "":
		c.Dir = c.Output
	}
	if c.Dir == "" {
		c.Dir, err = defaultDir(c.List)
	}
	return err
}

// daemonLog opens the file that takes the daemon's output: --log-file, or the one in
// the state directory. It runs in the parent, before the daemon is started, so that an
// error of the log or of the directory reaches the terminal. notes gets remarks about
// the file and the flags.
func (c *fetchCmd) daemonLog(notes io.Writer) (*logFile, error) {
	c.warn(notes)
	// A log elsewhere needs no directory, so the child makes the directory.
	if c.LogFile != "" {
		if err := c.checkLog(c.List, c.Dir); err != nil {
			return nil, err
		}
		return openLog(c.LogFile, notes)
	}
	if err := checkPlaces(c.Dir, c.State); err != nil {
		return nil, err
	}
	if _, err := fs.ClearDead(c.Dir); err != nil {
		return nil, err
	}
	return stateLog(cmp.Or(c.State, c.Dir))
}

// fetch materializes the list in this process, in the steps that the package document lists.
// With --check-integrity everything that is there is verified before anything is fetched.
func (c *fetchCmd) fetch(ctx context.Context, std stdio) error {
	w, err := c.begin(ctx, std, c.List, c.Dir)
	if err != nil {
		return err
	}
	defer w.end()
	// A shard is a list by itself from here on: sizes, room and outcome are those of its entries.
	w.hooks, w.saveFailed = c.hookFlags, c.SaveFailed
	w.lister = w.lister.of(c.Shard)
	list, err := w.readList(ctx)
	if err != nil {
		return err
	}
	if c.DryRun {
		return w.dryRun(ctx, std.out, list.Entries, c.Dir)
	}
	if c.RequireSpace {
		if err := w.needRoom(ctx, list.Entries, c.Dir); err != nil {
			return err
		}
	}
	// Abs fails only where the current directory was removed; checkPlaces has the words for it.
	if _, err := filepath.Abs(c.Dir); err != nil {
		return checkPlaces(c.Dir, c.State)
	}
	// A mount whose process has died covers the directory and answers nothing.
	if _, err := fs.ClearDead(c.Dir); err != nil {
		return err
	}
	if w.group, err = c.join(ctx, w); err != nil {
		return err
	}
	e, err := w.open(ctx, list.Entries, c.Dir, "dlfs fetch "+w.lister.name, fetch.Options{AdoptPartial: c.AdoptPartial})
	if err != nil {
		return err
	}
	// The directory is open: a parent of --daemon returns now, and errors go to the log from here.
	tellLive("")
	// "dlfs stop" ends the command like a signal does.
	ctx, release := e.stoppable(ctx)
	defer release()
	if c.Check {
		if err := e.set.Verify(ctx, fetch.VerifyOptions{Repair: true, Deep: true}, func(*fetch.File, fetch.Verdict) {}); err != nil {
			return errors.Join(err, e.close())
		}
	}
	return e.fetch(ctx, std, c.SaveFailed)
}

// fetch materializes what is missing until ctx ends, says how it went, and closes the engine.
// The file saveFailed, if it is not "", gets the entries that are not complete. The error has the
// exit code of the outcome; an error of saving is added to it. Verify with --repair uses it, too.
func (e *engine) fetch(ctx context.Context, std stdio, saveFailed string) error {
	start := time.Now()
	quiet := e.listen(ctx)
	e.tellOthers()
	e.display.show(e.set)
	ended := std.supervisor.ready(e.set, func(context.Context) error {
		e.set.Totals() // Totals takes the lock that every flight needs
		return nil
	})
	runErr := e.run(ctx)
	ended()
	e.display.close()
	quiet()
	// Two things come before the set is closed, since they ask it: the file of --save-failed and the
	// hooks. The outcome is kept while the store is open. The summary is printed last, when
	// everything is durable.
	failures := e.set.Failures()
	var saveErr error
	if saveFailed != "" {
		saveErr = e.unfinished().save(saveFailed, std.err)
	}
	e.endHooks(context.Cause(ctx) != nil)
	e.set.Close()
	e.remember(e.outcome(runErr, context.Cause(ctx)), failures)
	if err := e.close(); err != nil {
		return errors.Join(saveErr, err)
	}
	summarize(std.out, e.set.Totals(), failures, time.Since(start), e.store.Path())
	return alsoTell(e.outcome(runErr, context.Cause(ctx)), saveErr)
}

// alsoTell adds the line of a second error to the first one and keeps the exit code of the
// first. Either may be nil.
func alsoTell(err, more error) error {
	var e *exitError
	if more == nil || !errors.As(err, &e) {
		return errors.Join(err, more)
	}
	return &exitError{e.code, errors.Join(e.err, more)}
}
