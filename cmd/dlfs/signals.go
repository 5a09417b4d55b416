package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// listen has SIGHUP reload the list, and SIGUSR1 tell the status on standard
// error, until the returned function is called.
func (e *engine) listen(ctx context.Context) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGUSR1)
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		signal.Notify(signals, syscall.SIGHUP)
	}
	tty := e.display.onTerminal()
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { // owned by the engine's command; stop waits
		for {
			select {
			case s := <-signals:
				e.heed(ctx, s, tty)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		cancel()
		done.Wait()
	}
}

// heed does what a signal asks. tty says that there was a terminal: a SIGHUP
// that comes because it is gone is the end.
func (e *engine) heed(ctx context.Context, s os.Signal, tty bool) {
	switch {
	case s == syscall.SIGUSR1:
		fmt.Fprintf(e.display.notes(), "dlfs: %s\n", e.brief().line())
	case tty && !e.display.onTerminal():
		unix.Kill(unix.Getpid(), unix.SIGTERM) // to this process, which cannot fail
	default:
		if _, err := e.reload(ctx, "", nil); err != nil {
			report(e.display.notes(), err)
		}
	}
}

// onTerminal reports whether standard error is a terminal that is still there.
func (d *display) onTerminal() bool {
	f := fileOf(d.std.err)
	return f != nil && term.IsTerminal(int(f.Fd()))
}
