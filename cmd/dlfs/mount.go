package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"dlfs/fetch"
	"dlfs/fs"
	"dlfs/listfile"
)

type mountCmd struct {
	List          string        `arg:"" help:"List of names and URLs; - for standard input."`
	Mountpoint    string        `arg:"" help:"Where to mount. Without --dir it is the output directory, too."`
	Dir           string        `short:"d" placeholder:"DIR" help:"Keep the files in DIR; the mountpoint is then only a view."`
	Prefetch      string        `enum:"all,opened,none" default:"all" help:"What to fetch that nobody reads: ${enum}."`
	UntilComplete bool          `help:"Unmount and exit when everything is materialized."`
	ReadTimeout   time.Duration `default:"60s" help:"A read that waits longer for the network fails."`
	AllowOther    bool          `help:"Let other users in."`
	NoPassthrough bool          `help:"Serve every read through this process, even where the kernel could read by itself."`
	Daemon        bool          `help:"Return once the mount is live, and go on in the background."`
	fetchFlags
	progressFlags
	logFlags
}

// Run mounts the list and serves it until it is stopped.
func (c *mountCmd) Run(ctx context.Context, std stdio) error {
	if err := c.validate(); err != nil {
		return err
	}
	if c.Daemon && !isDaemon() {
		return c.daemonize(std)
	}
	list, err := readList(c.List, std.in)
	if err == nil {
		err = needEntries(list, c.List)
	}
	if err == nil {
		err = c.prepare()
	}
	if err != nil {
		return tellParent(err)
	}
	d, err := newDisplay(std, c.progressFlags, c.logFlags)
	if err != nil {
		return tellParent(err)
	}
	defer d.close()
	return c.serve(ctx, list, d, std, func() { tellParent(nil) })
}

// prepare makes way for the mount and decides where the files are kept.
func (c *mountCmd) prepare() (err error) {
	if c.Mountpoint, err = filepath.Abs(c.Mountpoint); err != nil {
		return err
	}
	if _, err := fs.ClearDead(c.Mountpoint); err != nil {
		return err
	}
	if err := os.Mkdir(c.Mountpoint, 0o755); err != nil && !os.IsExist(err) {
		return fmt.Errorf("mountpoint %s cannot be made: %w", c.Mountpoint, errors.Unwrap(err))
	}
	if c.Mountpoint, err = filepath.EvalSymlinks(c.Mountpoint); err != nil {
		return err
	}
	if info, err := os.Stat(c.Mountpoint); err == nil && !info.IsDir() {
		return fmt.Errorf("mountpoint %s is not a directory", c.Mountpoint)
	}
	if c.Dir == "" {
		c.Dir = c.Mountpoint
		return nil
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
		return &exitError{exitUsage, fmt.Errorf("--dir %s and the mountpoint %s must not lie inside one another", c.Dir, c.Mountpoint)}
	}
	return nil
}

func within(path, dir string) bool { return strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/") }

// serve mounts, calls live, and returns when the mount has ended, whoever ended
// it: a signal, "dlfs umount", umount(8), or completeness.
func (c *mountCmd) serve(ctx context.Context, list *listfile.List, d *display, std stdio, live func()) error {
	e, err := openEngine(ctx, list.Entries, c.Dir, fmt.Sprintf("dlfs mount %s on %s", c.List, c.Mountpoint), &c.fetchFlags,
		fetch.Options{Log: d.log, Prefetch: fetch.Mode(c.Prefetch), Keep: true})
	if err != nil {
		return tellParent(err)
	}
	m, err := fs.New(e.set, c.Mountpoint, fs.Options{
		Log: d.log, ReadTimeout: c.ReadTimeout, AllowOther: c.AllowOther,
		NoPassthrough: c.NoPassthrough, ControlSocket: e.control.path(),
	})
	if err != nil {
		return tellParent(errors.Join(err, e.close()))
	}
	fmt.Fprintf(std.err, "dlfs: %d files at %s; stop with Ctrl-C or \"dlfs umount %s\"\n", len(list.Entries), m.Point(), m.Point())
	live()
	d.show(e.set)

	runCtx, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- e.set.Run(runCtx) }() // waited for below
	unmounted := make(chan struct{})
	go func() { // ends with the mount, which is ended below
		m.Wait()
		close(unmounted)
	}()
	stopped, runErr := c.untilEnd(ctx, e, ran, unmounted)
	stop()
	if stopped != nil {
		runErr = nil
		<-ran // its error is that it was stopped
	}
	d.close()
	e.set.Close()
	if err := c.unmount(m, unmounted, d); err != nil {
		return errors.Join(err, e.close())
	}
	if err := e.close(); err != nil {
		return err
	}
	return e.outcome(runErr, stopped)
}

// untilEnd waits for a reason to end: stopped says which. If Run ended first,
// stopped is nil, and the other error Run's.
func (c *mountCmd) untilEnd(ctx context.Context, e *engine, ran <-chan error, unmounted <-chan struct{}) (stopped, runErr error) {
	var complete <-chan struct{}
	if c.UntilComplete {
		complete = e.set.Done()
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx), nil
	case <-unmounted:
		return errors.New("unmounted"), nil
	case <-e.control.stopAsked:
		return errors.New("stopped by \"dlfs umount\""), nil
	case <-complete:
		return errors.New("complete"), nil
	case err := <-ran:
		return nil, err
	}
}

// unmount ends the mount, and says who held it if somebody did.
func (c *mountCmd) unmount(m *fs.Mount, unmounted <-chan struct{}, d *display) error {
	select {
	case <-unmounted:
		return nil
	default:
	}
	busy, err := m.Close()
	if len(busy) > 0 {
		d.log.Warn("mount was busy and has been detached", "mountpoint", m.Point(), "held_by", strings.Join(busy, ", "))
	}
	return err
}
