package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dlfs/fetch"
	"dlfs/fs"
	"dlfs/listfile"
)

// mountCmd mounts a list. The help of each field is what a user reads.
type mountCmd struct {
	List          string        `arg:"" help:"List of names and URLs: a file, a URL, or - for standard input."`
	Mountpoint    string        `arg:"" help:"Where to mount. Without --dir it is the output directory, too."`
	Dir           string        `short:"d" placeholder:"DIR" help:"Keep the files in DIR; the mountpoint is then only a view."`
	Prefetch      string        `enum:"all,opened,none" default:"all" help:"What to fetch before a program reads it: ${enum}."`
	AdoptPartial  bool          `help:"Go on with files that another program, such as wget or curl, has left unfinished in DIR, where pieces of them are the origin's."`
	UntilComplete bool          `help:"Unmount and exit when everything is materialized."`
	ReadTimeout   time.Duration `default:"60s" help:"A read that waits longer for the network fails."`
	AllowOther    bool          `help:"Let other users in."`
	Source        string        `default:"dlfs" help:"What findmnt and /proc/mounts show as the source of the mount."`
	NoPassthrough bool          `help:"Serve every read through this process, even where the kernel could read by itself."`
	Daemon        bool          `help:"Return once the mount is live, and go on in the background."`
	ownerFlags
	boundFlags `group:"Smaller disks"`
	runFlags
	peerFlags `group:"Other machines"`
	workFlags
}

// Run mounts the list and serves it until it is stopped. What the command line alone shows to
// be wrong is refused before a daemon is started, so that the terminal gets the error. With
// --daemon and in the parent, Run returns when the child is live or has failed.
func (c *mountCmd) Run(ctx context.Context, std stdio) error {
	if err := errors.Join(c.validate(), c.hookFlags.validate()); err != nil {
		return err
	}
	if err := c.check(c.UntilComplete, c.State); err != nil {
		return err
	}
	if c.RequireSpace && c.MaxSize != nil {
		return usageError("--require-space and --max-size exclude one another: a bounded directory is never to hold everything")
	}
	b := background{c.List, c.daemonLog, func() string { return "mounted at " + c.Mountpoint }, c.mount}
	return b.run(ctx, std, c.Daemon && !c.DryRun)
}

// mount mounts the list in this process and serves it until it is stopped.
func (c *mountCmd) mount(ctx context.Context, std stdio) error {
	w, err := c.begin(ctx, std, c.List, cmp.Or(c.Dir, c.Mountpoint))
	if err != nil {
		return err
	}
	defer w.end()
	w.hooks = c.hookFlags
	list, err := w.readList(ctx)
	if err != nil {
		return err
	}
	if c.DryRun {
		return w.dryRun(ctx, std.out, list.Entries, cmp.Or(c.Dir, c.Mountpoint))
	}
	if c.RequireSpace {
		if err := w.needRoom(ctx, list.Entries, cmp.Or(c.Dir, c.Mountpoint)); err != nil {
			return err
		}
	}
	// A directory on a network filesystem whose server is gone may block for ever.
	if _, err := abandonable(ctx, func() (any, error) { return nil, c.prepare() }); err != nil {
		return err
	}
	if w.group, err = c.join(ctx, w); err != nil {
		return err
	}
	return c.serve(ctx, w, list.Entries, std, tellLive)
}

// daemonLog opens the file that takes the daemon's output: --log-file, or the one in the state
// directory, for which the mountpoint and DIR are made ready first. notes gets remarks about the
// file and the flags.
func (c *mountCmd) daemonLog(notes io.Writer) (*logFile, error) {
	c.warn(notes)
	if c.LogFile != "" {
		if err := c.checkLog(c.List, cmp.Or(c.Dir, c.Mountpoint)); err != nil {
			return nil, err
		}
		return openLog(c.LogFile, notes)
	}
	if err := c.prepare(); err != nil {
		return nil, err
	}
	return stateLog(cmp.Or(c.State, c.Dir))
}

// prepare makes way for the mount and decides where the files are kept: it takes away the mount
// of a dlfs that has died, makes the mountpoint and DIR, and sets c.Mountpoint and c.Dir to
// absolute paths without symbolic links. The two may be one directory, which the mount then
// covers, but neither may lie inside the other.
func (c *mountCmd) prepare() (err error) {
	if c.Mountpoint, err = filepath.Abs(c.Mountpoint); err != nil {
		return checkPlaces(c.Mountpoint, c.State)
	}
	if _, err := fs.ClearDead(c.Mountpoint); err != nil {
		return err
	}
	if err := os.Mkdir(c.Mountpoint, 0o755); err != nil && !os.IsExist(err) {
		return fmt.Errorf("mountpoint %s cannot be made: %w; give a directory that is there, or one that can be made", c.Mountpoint, errors.Unwrap(err))
	}
	if c.Mountpoint, err = filepath.EvalSymlinks(c.Mountpoint); err != nil {
		return err
	}
	if info, err := os.Stat(c.Mountpoint); err == nil && !info.IsDir() {
		return fmt.Errorf("mountpoint %s is not a directory; give another one", c.Mountpoint)
	}
	if c.Dir == "" {
		c.Dir = c.Mountpoint
		return checkPlaces(c.Dir, c.State)
	}
	if err := checkPlaces(c.Dir, c.State); err != nil {
		return err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return err
	}
	if c.Dir, err = filepath.EvalSymlinks(c.Dir); err != nil {
		return err
	}
	if c.Dir != c.Mountpoint && (within(c.Dir, c.Mountpoint) || within(c.Mountpoint, c.Dir)) {
		return &exitError{exitUsage, fmt.Errorf("--dir %s and the mountpoint %s must not lie inside one another; give another directory", c.Dir, c.Mountpoint)}
	}
	return nil
}

// within reports whether a path lies below dir, and is not dir itself. Both are
// absolute and clean.
func within(path, dir string) bool { return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") }

// serve opens the directory, mounts, calls live once the mount can be read, and returns when the
// mount has ended: by a signal, "dlfs umount", umount(8), or completeness. Remarks for the user go
// to standard error and, for the parent of a daemon, to live.
//
// Two goroutines run beside it: the run of the engine, which has ended when serve returns, and
// the wait for the end of the mount, which ends with the mount.
func (c *mountCmd) serve(ctx context.Context, w *work, entries []listfile.Entry, std stdio, live func(notes string)) error {
	w.maxSize, w.pins, w.saveFailed = c.MaxSize, c.Pin, c.SaveFailed
	e, err := w.open(ctx, entries, c.Dir, fmt.Sprintf("dlfs mount %s on %s", w.lister.name, c.Mountpoint),
		fetch.Options{Prefetch: fetch.Mode(c.Prefetch), Serve: true, AdoptPartial: c.AdoptPartial, EvictComplete: c.EvictComplete})
	if err != nil {
		return err
	}
	var notes strings.Builder
	if c.Dir == c.Mountpoint {
		if err := tellHidden(&notes, c.Dir, e.set); err != nil {
			e.log.Warn("directory cannot be looked through for files that the mount hides", "dir", c.Dir, "err", err)
		}
	}
	// The store is open before the mount covers the directory; afterwards its path leads into the
	// mount. What the mount will hide is looked for before, too.
	m, err := fs.New(e.set, c.Mountpoint, fs.Options{
		Log: e.log, ReadTimeout: c.ReadTimeout, AllowOther: c.AllowOther,
		NoPassthrough: c.NoPassthrough, MaxRead: e.memory.buffer(1 << 20), ControlSocket: e.control.path(), LogFile: logPath(c.LogFile),
		Source: c.Source, Owner: c.owner(), Umask: (*uint32)(c.Umask),
	})
	if err != nil {
		return errors.Join(err, e.close())
	}
	// From here on a list below the mountpoint is read from the directory that the mount covers,
	// and after a reload the mount shows the new list.
	e.ends = c.UntilComplete
	e.cover(m.Point())
	e.onReload(m.Refresh)
	quiet := e.listen(ctx)
	io.WriteString(std.err, notes.String()) // every line to a user goes there
	fmt.Fprintf(std.err, "dlfs: %s at %s; stop with Ctrl-C or \"dlfs umount %s\"\n", count(len(e.set.Files()), "file", "files"), m.Point(), m.Point())
	if isDaemon() {
		std.signals.leaveTerminal()
	}
	live(notes.String())
	e.display.show(e.set)
	ended := std.supervisor.ready(e.set, func(ctx context.Context) error { return e.answers(ctx, m.Point()) })

	runCtx, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- e.run(runCtx) }() // waited for below
	unmounted := make(chan struct{})
	go func() { // ends with the mount, which is ended below
		m.Wait()
		close(unmounted)
	}()
	stopped, runErr := c.untilEnd(ctx, e, m, ran, unmounted)
	stop()
	ended()
	if stopped != nil {
		runErr = nil
		<-ran // its error is that it was stopped
	}
	quiet()
	e.display.close()
	return c.end(e, m, runErr, stopped)
}

// end takes the mount away, saves what it was asked to, and closes the engine, in this order:
// hooks that run are waited for; the set ends its requests, so that no reader holds the mount up;
// the outcome is kept in the store; the mount goes; the file of --save-failed is written, which may lie where the mount
// was; the engine is closed, and the summary is printed last. stopped and runErr are those of
// untilEnd.
func (c *mountCmd) end(e *engine, m *fs.Mount, runErr, stopped error) error {
	var left unfinished
	if c.SaveFailed != "" {
		left = e.unfinished()
	}
	e.endHooks(!c.UntilComplete || e.set.Totals().FilesComplete < len(e.set.Files()))
	e.set.Close()
	failures := e.set.Failures()
	e.remember(e.outcome(runErr, stopped), failures)
	if err := c.unmount(m, e); err != nil {
		return errors.Join(err, e.close())
	}
	var saveErr error
	if c.SaveFailed != "" { // after the mount: it may be where the file is to be
		saveErr = left.save(c.SaveFailed, e.display.std.err)
	}
	if err := e.close(); err != nil {
		return errors.Join(saveErr, err)
	}
	summarize(e.display.std.err, e.set.Totals(), failures, time.Since(e.began), e.store.Path())
	return alsoTell(e.outcome(runErr, stopped), saveErr)
}

// untilEnd waits until the mount is to end. stopped says why, as a signal or "dlfs umount"; it is
// nil if the run of the engine, on channel ran, has ended first, and runErr is the run's error
// then. That every file is complete is told once, and ends a mount of --until-complete only.
func (c *mountCmd) untilEnd(ctx context.Context, e *engine, m *fs.Mount, ran <-chan error, unmounted <-chan struct{}) (stopped, runErr error) {
	complete := e.set.Done()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx), nil
		case <-unmounted:
			return errors.New(m.WhyGone()), nil
		case <-e.control.stopAsked:
			return errStopped, nil
		case <-complete:
			if c.UntilComplete {
				return errors.New("complete"), nil
			}
			complete = nil // completion is told once
			fmt.Fprintf(e.display.notes(), "dlfs: every file is complete in %s; \"dlfs umount %s\" leaves them there\n", printable(c.Dir), printable(m.Point()))
		case err := <-ran:
			return nil, err
		}
	}
}

// unmount ends the mount (fs.Mount.Close). Programs that still use the mount are named
// in the log, and to the "dlfs umount" that waits for the end.
func (c *mountCmd) unmount(m *fs.Mount, e *engine) error {
	busy, err := m.Close()
	if len(busy) > 0 {
		e.log.Warn("mount was busy and has been taken away", "mountpoint", m.Point(), "held_by", strings.Join(busy, ", "))
	}
	e.control.end(busy)
	return err
}
