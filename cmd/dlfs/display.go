package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"golang.org/x/term"

	"dlfs/fetch"
)

// progressFlags choose how progress is shown.
type progressFlags struct {
	Progress string        `enum:"auto,bar,line,json,none" default:"auto" help:"How to show progress: ${enum}. auto is bar on a terminal, else line."`
	Stats    time.Duration `default:"5s" help:"How often line and json tell it."`
}

// display shows progress and keeps log lines apart from it.
type display struct {
	log   *slog.Logger
	lines *lineHandler // of log
	mode  string
	std   stdio
	file  *logFile // that the log goes to; nil if that is no file of its own
	opts  progressFlags

	bars    atomic.Pointer[mpb.Progress] // of mode bar, else nil
	stop    chan struct{}
	stopped sync.WaitGroup
	once    sync.Once
}

// redraw is how often bars are drawn anew.
const redraw = 150 * time.Millisecond

// newDisplay decides how progress is shown and where the log goes. Progress is a bar on a
// terminal and a line elsewhere; a daemon and the journal get none. Standard error goes through
// an outbox, so that a reader that has stopped does not block the program.
func newDisplay(std stdio, p progressFlags, l logFlags) (*display, error) {
	d := &display{mode: p.Progress, std: std, opts: p, stop: make(chan struct{})}
	// Nobody watches a log while it grows, and lines of progress would fill it.
	if d.mode == "auto" && (l.Quiet || isDaemon() || l.toJournal(std.err)) {
		d.mode = "none"
	}
	if d.mode == "auto" {
		d.mode = "line"
		if f := fileOf(std.err); f != nil && l.LogFormat != "json" && term.IsTerminal(int(f.Fd())) {
			d.mode = "bar"
		}
	}
	// A ticker of no time would panic.
	if d.mode != "" && p.Stats <= 0 {
		return nil, &exitError{exitUsage, fmt.Errorf("--stats must be above 0")}
	}
	form, records := l.form(std.err)
	w := io.Writer(&logWriter{d, std.err})
	if m, ok := std.err.(*messages); ok {
		w = &logWriter{d, m.w}
		if records {
			m.form.Store(&form)
		}
	}
	d.file = std.log
	if l.LogFile != "" && !isDaemon() { // whose standard error it is
		f, err := openLog(l.LogFile, d.notes())
		if err != nil {
			return nil, err
		}
		w, d.file = f, f // for the life of the process
	}
	if l.LogFile != "" || d.mode == "bar" { // else standard error has an outbox
		w = newOutbox(w)
	}
	d.lines = newLineHandler(w, l.level(), form)
	d.log = slog.New(d.lines)
	// Packages that log through package log, such as net/http, come into this log, too.
	adoptStandardLog(d.log)
	return d, nil
}

// logWriter writes lines above the bars while there are bars, and else to w, so that no
// line is drawn over.
type logWriter struct {
	d *display
	w io.Writer
}

// Write writes above the bars while there are some.
func (w *logWriter) Write(p []byte) (int, error) {
	if bars := w.d.bars.Load(); bars != nil {
		if _, err := bars.Write(plain(p)); err == nil {
			return len(p), nil
		}
	}
	return w.w.Write(p)
}

// notes is standard error, above the bars while there are bars. It is safe for
// concurrent use.
func (d *display) notes() io.Writer { return &logWriter{d, d.std.err} }

// show starts to show the progress of set. close ends it.
func (d *display) show(set *fetch.Set) {
	var m meter
	d.showWhat(func() *picture { return &picture{m.frame(set), set.Active(activeShown)} })
}

// showWhat starts to show what look sees, which one goroutine calls. close ends it.
func (d *display) showWhat(look func() *picture) {
	switch d.mode {
	case "bar":
		d.showBars(look)
	case "line":
		d.every(look, func(f frame) { fmt.Fprintln(d.std.err, f.line()) })
	case "json":
		enc := json.NewEncoder(d.std.out)
		d.every(look, func(f frame) { enc.Encode(f.json()) }) // a reader that left is no reason to stop
	}
}

// every starts a goroutine that shows a frame every --stats, if the totals have changed since the
// last one, and a last frame when the display is closed.
func (d *display) every(look func() *picture, show func(frame)) {
	d.stopped.Go(func() { // owned by the display; close waits
		t := time.NewTicker(d.opts.Stats)
		defer t.Stop()
		shown := look().Totals
		for {
			select {
			case <-t.C:
				if f := look(); f.Totals != shown {
					show(f.frame)
					shown = f.Totals
				}
			case <-d.stop:
				show(look().frame)
				return
			}
		}
	})
}

// close ends the display. It may be called more than once.
func (d *display) close() {
	d.once.Do(func() {
		close(d.stop)
		d.stopped.Wait()
	})
}
