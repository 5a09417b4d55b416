package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

var (
	// errNoProcess says that nothing answers on the control socket.
	errNoProcess = errors.New("no dlfs is running there")

	// errNoAnswer says that a process is there, and stands still.
	errNoAnswer = fmt.Errorf("the dlfs there has not answered within %v; it may be stopped, or its disk stuck", answerTimeout)
)

// answerTimeout is how long a process may take to say that it is there.
const answerTimeout = 5 * time.Second

// ask sends a request to the process that has dir open, where dir is its output
// directory or its mountpoint. The error is errNoProcess if there is none. The
// caller closes the response's body.
func ask(ctx context.Context, dir, method, path string, body io.Reader) (*http.Response, error) {
	soon, cancel := context.WithTimeoutCause(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	state, err := openState(soon, dir)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", state.Fd(), socketName))
		},
	}}
	alive, err := send(soon, client, "GET", "/alive", nil)
	if err != nil {
		return nil, err
	}
	alive.Body.Close()
	return send(ctx, client, method, path, body)
}

// openState opens a state directory. One of a mount whose process stands still
// does not open, for which nobody waits longer than ctx.
func openState(ctx context.Context, dir string) (*os.File, error) {
	type result struct {
		state *os.File
		err   error
	}
	opened := make(chan result, 1)
	go func() { // ends when the mount does, or this process
		// Through a descriptor, a path too long for a socket address is none.
		state, err := os.Open(filepath.Join(dir, ".dlfs"))
		opened <- result{state, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil {
			return nil, errors.Join(errNoProcess, r.err)
		}
		return r.state, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func send(ctx context.Context, client *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://dlfs"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	switch {
	case err == nil:
		return resp, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	default:
		return nil, errors.Join(errNoProcess, err)
	}
}

// order is ask for commands that need a running process. It returns what that
// answers; an answer that it did not do it is an error, with the exit code that
// belongs to it.
func order(ctx context.Context, dir, method, path string, body io.Reader) ([]byte, error) {
	resp, err := ask(ctx, dir, method, path, body)
	switch {
	case ctx.Err() != nil:
		return nil, &exitError{exitInterrupted, context.Cause(ctx)}
	case errors.Is(err, errNoProcess):
		return nil, fmt.Errorf("no dlfs is running on %s; \"dlfs mount\" or \"dlfs fetch\" starts one", dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("answer of the process on %s: %w", dir, err)
	}
	switch text := strings.TrimSpace(string(answer)); resp.StatusCode {
	case http.StatusOK:
		return answer, nil
	case http.StatusUnprocessableEntity:
		return nil, &exitError{exitUsage, errors.New(text)}
	default:
		return nil, errors.New(text)
	}
}

// askStatus asks the running process how far it is.
func askStatus(ctx context.Context, dir string) (*Status, error) {
	resp, err := ask(ctx, dir, "GET", "/status", nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var s Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("status of %s: %w", dir, err)
	}
	return &s, nil
}
