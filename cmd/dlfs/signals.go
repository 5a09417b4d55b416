package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errInterrupted = errors.New("interrupted")

// signals are those that the process gets, from its start to its end. Each is
// caught all the time, so none can end the process halfway:
//
//   - the first SIGINT or SIGTERM ends the context of the command; the next one, half
//     a second later or more, ends the process at once: what was fetched and synced is safe;
//   - SIGHUP ends the context, too, if it comes because the terminal is gone, except under
//     nohup(1). Otherwise it asks for the log file to be opened anew, and for the list to
//     be read again;
//   - SIGUSR1 asks for the status;
//   - SIGPIPE is an error of the write that caused it (EPIPE), and nothing else.
type signals struct {
	caught   chan os.Signal
	asked    chan os.Signal // SIGHUP and SIGUSR1, for engine.listen
	terminal atomic.Bool    // there was a controlling terminal at the start, and its end counts
	cancel   context.CancelCauseFunc
	done     chan struct{}
	ended    sync.WaitGroup
}

// catchSignals returns a context that ends as signals says, and the signals. The
// caller calls stop when the process is about to end.
func catchSignals(ctx context.Context) (context.Context, *signals) {
	ctx, cancel := context.WithCancelCause(ctx)
	s := &signals{caught: make(chan os.Signal, 8), asked: make(chan os.Signal, 4),
		cancel: cancel, done: make(chan struct{})}
	s.terminal.Store(hasTerminal() && !signal.Ignored(syscall.SIGHUP)) // nohup has it ignored
	signal.Notify(s.caught, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGPIPE)
	s.ended.Go(s.run) // owned by run, which ends it with stop
	return ctx, s
}

// sameSignal is how long after the first SIGINT or SIGTERM others belong to it. timeout(1)
// sends its signal to the process and then to the group of the process, and a program that
// gets Ctrl-C with all of its group may pass it on.
const sameSignal = 500 * time.Millisecond

// run handles signals until stop. The first SIGINT or SIGTERM ends the program's context, a
// later one the process. SIGPIPE is ignored. SIGHUP of a terminal that has gone counts as an
// interrupt. Other signals are handed to the command; one that finds the queue full is dropped,
// since as many of its kind wait there.
func (s *signals) run() {
	for first := (time.Time{}); ; {
		select {
		case <-s.done:
			return
		case got := <-s.caught:
			switch got {
			case syscall.SIGINT, syscall.SIGTERM:
				switch {
				case first.IsZero():
					first = time.Now()
					s.interrupt(got)
				case time.Since(first) > sameSignal:
					os.Exit(exitInterrupted)
				}
			case syscall.SIGPIPE:
			default:
				if got == syscall.SIGHUP && s.terminal.Load() && !hasTerminal() {
					s.interrupt(got)
					continue
				}
				select {
				case s.asked <- got:
				default: // enough of its kind are waiting already
				}
			}
		}
	}
}

// interrupt ends the context of the command. Its cause names the signal.
func (s *signals) interrupt(by os.Signal) {
	s.cancel(fmt.Errorf("%w by %s", errInterrupted, unix.SignalName(by.(syscall.Signal))))
}

// leaveTerminal has the process leave the session that it was started in, and with it
// the terminal, unless it has already.
func (s *signals) leaveTerminal() {
	if _, err := unix.Setsid(); err == nil { // fails for who leads a session
		s.terminal.Store(false)
	}
}

// stop gives the signals back to their defaults and waits for the goroutine that took them.
func (s *signals) stop() {
	signal.Stop(s.caught)
	close(s.done)
	s.ended.Wait()
	s.cancel(nil)
}

// hasTerminal reports whether the process has a controlling terminal. One that was
// closed is none any more.
func hasTerminal() bool {
	fd, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// listen has SIGHUP open the log file anew and reload the list, and SIGUSR1 tell the status on
// standard error, until the returned function is called.
func (e *engine) listen(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	done.Go(func() { // owned by the engine's command; stop waits
		for {
			select {
			case s := <-e.display.std.signals.asked:
				e.heed(ctx, s)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() {
		cancel()
		done.Wait()
	}
}

// heed does what a signal asks.
func (e *engine) heed(ctx context.Context, s os.Signal) {
	if s == syscall.SIGUSR1 {
		fmt.Fprintf(e.display.notes(), "dlfs: %s\n", e.brief().line())
		return
	}
	if e.display.file != nil {
		if err := e.display.file.reopen(); err != nil {
			report(e.display.notes(), err)
		}
	}
	if _, err := e.reload(ctx, "", nil); err != nil && ctx.Err() == nil {
		report(e.display.notes(), err)
	}
}

// abandonable runs f, and returns what f returns, or why ctx has ended. Then f goes
// on by itself, at the latest until the process ends: the system has no way to end
// an open or a read that waits for another program or for a disk.
func abandonable[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	ended := make(chan result, 1)
	go func() { // not waited for if ctx ends first
		value, err := f()
		ended <- result{value, err}
	}()
	select {
	case r := <-ended:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, &exitError{exitInterrupted, context.Cause(ctx)}
	}
}
