package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"dlfs/fetch"
)

// The control socket, DIR/.dlfs/control.sock, speaks HTTP: GET /status, POST
// /stop, which answers with the process to wait for. It is 0600 in a directory that is 0700.
const socketName = "control.sock"

// control serves the control socket of a running process.
type control struct {
	engine    *engine
	server    *http.Server
	stopAsked chan struct{} // closed by POST /stop
	stopOnce  sync.Once
	stopped   chan struct{}
}

// Status is what status --json prints. Keys are stable: new ones may come.
type Status struct {
	PID int `json:"pid"` // of the running process, 0 if none is
	fetch.Totals
	Entries []fetch.EntryStatus `json:"entries"`
}

// serveControl listens, in place of whoever did before the lock was ours.
func serveControl(e *engine) (*control, error) {
	path := filepath.Join(e.store.StatePath(), socketName)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c := &control{engine: e, stopAsked: make(chan struct{}), stopped: make(chan struct{})}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("POST /stop", c.stop)
	c.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { // owned by control; close waits
		defer close(c.stopped)
		c.server.Serve(l) // returns http.ErrServerClosed
	}()
	return c, nil
}

// path is the socket's path for other processes, valid under a mount over DIR.
func (c *control) path() string {
	return fmt.Sprintf("/proc/%d/fd/%s/%s", os.Getpid(), filepath.Base(c.engine.store.StatePath()), socketName)
}

func (c *control) close() {
	c.server.Close() // and with it the listener, which removes the socket
	<-c.stopped
}

func (c *control) status(w http.ResponseWriter, _ *http.Request) {
	s := Status{PID: os.Getpid(), Totals: c.engine.set.Totals(), Entries: []fetch.EntryStatus{}}
	for _, f := range c.engine.set.Files() {
		s.Entries = append(s.Entries, f.Status())
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(s); err != nil {
		c.engine.log.Debug("status not delivered", "err", err)
	}
}

func (c *control) stop(w http.ResponseWriter, _ *http.Request) {
	c.stopOnce.Do(func() { close(c.stopAsked) })
	fmt.Fprint(w, os.Getpid())
}

// errNoProcess says that nothing answers on the control socket.
var errNoProcess = errors.New("no dlfs is running there")

// ask sends a request to the process that has dir open, where dir is its output
// directory or its mountpoint. The error is errNoProcess if there is none. The
// caller closes the response's body.
func ask(ctx context.Context, dir, method, path string) (*http.Response, error) {
	// Through a descriptor, a path too long for a socket address is none.
	state, err := os.Open(filepath.Join(dir, ".dlfs"))
	if err != nil {
		return nil, errors.Join(errNoProcess, err)
	}
	defer state.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", state.Fd(), socketName))
		},
	}}
	req, err := http.NewRequestWithContext(ctx, method, "http://dlfs"+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, errors.Join(errNoProcess, err)
	}
	return resp, nil
}
