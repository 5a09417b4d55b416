package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"dlfs/cache/lockorder"
	"dlfs/fetch"
)

// hookFlags are commands that are run when something has happened.
type hookFlags struct {
	OnFile      string        `placeholder:"COMMAND" help:"Run COMMAND in a shell for each file that becomes complete; \"dlfs help running\" tells what it is told."`
	OnComplete  string        `placeholder:"COMMAND" help:"Run COMMAND when every file is complete."`
	OnNeedsURL  string        `name:"on-needs-url" placeholder:"COMMAND" help:"Run COMMAND when files need a URL. What it prints, if anything, is taken as a fresh list."`
	HookTimeout time.Duration `default:"5m" help:"End such a command when it has run for this long."`
}

// validate refuses a time in which no hook could run.
func (f *hookFlags) validate() error {
	if f.HookTimeout <= 0 {
		return usageError("--hook-timeout must be above 0")
	}
	return nil
}

const (
	hooksAtOnce    = 4                // of --on-file
	hookOutput     = 4 << 10          // bytes that are logged of what a command prints
	renewEvery     = 30 * time.Second // files that need a URL are told of no oftener, unless others do
	renewalsSlower = 6                // how often that time doubles while lists bring no file
	hookGrace      = 5 * time.Second  // for commands that run when the run is stopped
	renewalsVain   = 3                // lists in a row that brought no file; then a batch job ends
)

// hooks runs the commands of hookFlags for an engine.
type hooks struct {
	flags  hookFlags
	engine *engine
	ctx    context.Context // of every command
	cancel context.CancelFunc
	wake   chan struct{} // a file has become complete
	last   chan struct{} // closed when no further file will
	work   sync.WaitGroup
	halted atomic.Bool // no command is begun any more

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		files []string // complete and not told of yet
	}

	renewing lockorder.Mutex[lockorder.Renewal] // held over a renewal
	vain     int                                // renewals in a row that brought no file; guarded by renewing
	complete int                                // files at the last renewal; guarded by renewing
	needy    int                                // files that needed a URL then; guarded by renewing
	renewed  time.Time                          // the last renewal; guarded by renewing
}

// newHooks returns the hooks of a run. start starts them, and close waits for them.
func newHooks(e *engine, flags hookFlags) *hooks {
	h := &hooks{flags: flags, engine: e, wake: make(chan struct{}, 1), last: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

// published takes note of a file that has become complete. It does not block.
func (h *hooks) published(f *fetch.File) {
	h.mu.Lock()
	h.mu.files = append(h.mu.files, f.Name())
	h.mu.Unlock()
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// start runs commands as things happen, until close. Each flag has a goroutine: one for
// --on-file, which runs up to hooksAtOnce commands, one that waits for completeness, and one that
// looks for files without a good URL. close waits for all of them.
func (h *hooks) start() {
	if h.flags.OnFile != "" {
		h.work.Go(h.tellFiles)
	}
	if h.flags.OnComplete != "" {
		h.work.Go(func() {
			select {
			case <-h.engine.set.Done():
			case <-h.last:
				select {
				case <-h.engine.set.Done():
				default:
					return
				}
			}
			h.run("complete", h.flags.OnComplete, "")
		})
	}
	if h.flags.OnNeedsURL != "" {
		h.work.Go(h.watchURLs)
	}
}

// close waits for the commands that run or are yet to run, each for no longer than
// --hook-timeout. If the run was stopped, none is begun any more, and those that run are
// ended after hookGrace.
func (h *hooks) close(stopped bool) {
	if stopped {
		h.halted.Store(true)
		grace := time.AfterFunc(hookGrace, h.cancel)
		defer grace.Stop()
	}
	close(h.last)
	h.work.Wait()
	h.cancel()
}

// tellFiles runs --on-file for each file, and begins the commands in the order in which the files
// became complete, hooksAtOnce at a time. After the last file it runs the rest and returns.
func (h *hooks) tellFiles() {
	var g errgroup.Group // joined below
	g.SetLimit(hooksAtOnce)
	defer g.Wait() // nothing fails as a whole
	for over := false; ; {
		h.mu.Lock()
		files := h.mu.files
		h.mu.files = nil
		h.mu.Unlock()
		for _, name := range files {
			g.Go(func() error {
				h.run("file", h.flags.OnFile, name)
				return nil
			})
		}
		if over && len(files) == 0 {
			return
		}
		select {
		case <-h.wake:
		case <-h.last:
			over = true
		}
	}
}

// watchURLs runs --on-needs-url while the run goes on.
func (h *hooks) watchURLs() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if h.engine.set.States()[stateNeedsURL] > 0 {
				h.renew(h.ctx, false)
			}
		case <-h.last:
			return
		}
	}
}

// renew runs --on-needs-url and takes what it prints as a fresh list. It reports whether a list
// was taken. While no list helps, that is, no file becomes complete, the command is run more and
// more seldom: after renewEvery, twice that, and so on. New files without a good URL and the end
// of a run (atEnd) have it run at once. A run that ends by itself gives up after renewalsVain
// lists in a row that brought no file.
func (h *hooks) renew(ctx context.Context, atEnd bool) bool {
	h.renewing.Lock()
	defer h.renewing.Unlock()
	states := h.engine.set.States()
	needy, complete := states[stateNeedsURL], states[stateComplete]
	if complete > h.complete {
		h.vain = 0
	}
	switch {
	case needy == 0 || h.halted.Load():
		return false
	case h.vain >= renewalsVain && h.engine.ends:
		return false
	case !atEnd && needy <= h.needy && time.Since(h.renewed) < renewEvery<<min(h.vain, renewalsSlower):
		return false
	}
	h.needy, h.complete, h.vain = needy, complete, h.vain+1
	list := h.run("needs-url", h.flags.OnNeedsURL, "")
	h.renewed = time.Now()
	if len(bytes.TrimSpace(list)) == 0 || h.halted.Load() {
		return false
	}
	if err := h.engine.renew(ctx, bytes.NewReader(list)); err != nil {
		h.engine.log.Warn("list that the command printed is not taken", "hook", "needs-url", "err", err)
		return false
	}
	return true
}

// run runs the command of an event in a shell and returns what it printed on standard output,
// nil if it failed. name is the file that the event is about, "" if it is about none. The command
// has a process group of its own, so that what it has started ends with it. Failures and
// --hook-timeout are warnings in the log, with the end of standard error; the run goes on.
func (h *hooks) run(event, command, name string) []byte {
	if h.halted.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeoutCause(h.ctx, h.flags.HookTimeout, fmt.Errorf("it has not ended within %v", h.flags.HookTimeout))
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &bounded{w: &out, most: maxList}, &bounded{w: &errs, most: hookOutput, cut: true}
	cmd.Env = h.environment(event, name)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // what it has started, too
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	said := strings.TrimSpace(errs.String())
	switch {
	case h.ctx.Err() != nil:
	case err != nil:
		h.engine.log.Warn("command of a hook failed", "hook", event, "name", name, "err", err, "said", said)
		return nil
	default:
		h.engine.log.Info("command of a hook has ended", "hook", event, "name", name, "said", said)
	}
	return out.Bytes()
}

// environment is what a command is told. The variables are not called as those of flags
// are, since the command may run dlfs.
func (h *hooks) environment(event, name string) []string {
	e := h.engine
	t := e.set.Totals()
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "DLFS_ON_") || strings.HasPrefix(v, daemonEnv+"=")
	})
	for key, value := range map[string]string{
		"EVENT": event, "DIR": e.store.Path(), "MOUNTPOINT": e.mountpoint(), "LIST": e.listName(), "PID": strconv.Itoa(os.Getpid()),
		"FILES_TOTAL": strconv.Itoa(t.FilesTotal), "FILES_COMPLETE": strconv.Itoa(t.FilesComplete),
		"FILES_FAILED": strconv.Itoa(t.FilesFailed), "FILES_NEED_URL": strconv.Itoa(t.FilesNeedURL),
	} {
		env = append(env, "DLFS_HOOK_"+key+"="+value)
	}
	if name != "" {
		env = append(env, "DLFS_HOOK_NAME="+name, "DLFS_HOOK_PATH="+filepath.Join(e.store.Path(), name))
	}
	return env
}

// bounded takes what is written up to a length. What is longer is cut, or else ends the
// command that writes.
type bounded struct {
	w    *bytes.Buffer
	most int
	cut  bool
}

var errTooMuch = errors.New("it prints too much")

// Write takes p, as far as there is room.
func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.w.Len()
	switch {
	case len(p) <= room:
		return b.w.Write(p)
	case b.cut:
		b.w.Write(p[:room])
		return len(p), nil
	}
	return 0, errTooMuch
}
