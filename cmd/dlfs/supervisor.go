package main

import (
	"context"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"dlfs/fetch"
)

// supervisor is the service manager that started this process, as systemd does for a
// service of Type=notify. It is told the state in the words of sd_notify(3). The zero
// value is none: what it is told goes nowhere. It is safe for concurrent use.
//
// The connection is kept, and the variables are removed, so that no process that dlfs
// starts speaks in its name.
type supervisor struct {
	conn     net.Conn      // nil if there is none
	watchdog time.Duration // within which it wants a sign of life each; 0 if it wants none
}

// statusEvery is how often the supervisor is told how far a run is.
const statusEvery = 5 * time.Second

// findSupervisor connects to the supervisor that the environment names.
func findSupervisor() supervisor {
	socket, usec, pid := os.Getenv("NOTIFY_SOCKET"), os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if socket == "" || isDaemon() {
		return supervisor{}
	}
	conn, err := net.Dial("unixgram", socket) // a name that begins with @ is abstract, here as there
	if err != nil {
		return supervisor{} // the supervisor has gone, and would not hear later messages either
	}
	// The watchdog ends a process by SIGABRT, after which a Go program exits with code 2, as
	// after a panic. To the supervisor that is a wrong command line, which it does not start
	// again: the process has to die of the signal.
	debug.SetTraceback("crash")
	s := supervisor{conn: conn}
	if n, err := strconv.ParseInt(usec, 10, 64); err == nil && n > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		s.watchdog = time.Duration(n) * time.Microsecond
	}
	return s
}

// tell sends assignments, one a line, such as "READY=1". It does not block for long: the
// kernel queues what the supervisor has not read, and what does not fit is left out.
func (s supervisor) tell(state string) {
	if s.conn == nil {
		return
	}
	s.conn.SetWriteDeadline(time.Now().Add(time.Second)) // a datagram socket has deadlines, so there is no error
	s.conn.Write([]byte(state))                          // a supervisor that is gone needs no word
}

// ready says that the run has begun, and then how far it is and that it lives, as long as
// alive returns nil, until the returned function is called. alive may block until its
// context ends.
func (s supervisor) ready(set *fetch.Set, alive func(context.Context) error) (stop func()) {
	if s.conn == nil {
		return func() {}
	}
	s.tell("READY=1")
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { s.tellStatus(ctx, set) }) // stop waits for both
	if s.watchdog > 0 {
		done.Go(func() { s.feed(ctx, alive) })
	}
	return func() {
		s.tell("STOPPING=1\nSTATUS=stopping")
		cancel()
		done.Wait()
	}
}

// tellStatus tells how far set is, now and whenever that has changed.
func (s supervisor) tellStatus(ctx context.Context, set *fetch.Set) {
	t := time.NewTicker(statusEvery)
	defer t.Stop()
	var m meter
	for told := ""; ; {
		if line := m.frame(set).line(); line != told {
			s.tell("STATUS=" + printable(line))
			told = line
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

// feed tells the watchdog that alive has returned nil, twice in its time. A call that
// does not return is not repeated: it is what the watchdog is for.
func (s supervisor) feed(ctx context.Context, alive func(context.Context) error) {
	answers := make(chan error, 1)
	t := time.NewTicker(max(s.watchdog/2, time.Millisecond))
	defer t.Stop()
	for {
		go func() { answers <- alive(ctx) }() // ends with the answer, or soon after ctx
		select {
		case err := <-answers:
			if err == nil {
				s.tell("WATCHDOG=1")
			}
		case <-ctx.Done():
			return
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}
