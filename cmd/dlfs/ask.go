package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch"
)

var (
	// errNoProcess says that nothing answers on the control socket.
	errNoProcess = errors.New("no dlfs is running there")

	// errNoDlfs says that what answers on the control socket is another program.
	errNoDlfs = errors.New("what the process there answers is no answer of dlfs; end that process, and start dlfs again")

	// errNoAnswer says that a process is there, and stands still.
	errNoAnswer = fmt.Errorf("the dlfs there has not answered within %v; it may be stopped, or its disk stuck", answerTimeout)
)

// answerTimeout is how long a process may take to say that it is there.
const answerTimeout = 5 * time.Second

// ask sends a request to the process that has dir open, where dir is its output
// directory or its mountpoint. The error is errNoProcess if there is none. The
// caller closes the answer.
func ask(ctx context.Context, dir, method, path string, body io.Reader) (*answer, error) {
	soon, cancel := context.WithTimeoutCause(ctx, answerTimeout, errNoAnswer)
	defer cancel()
	first, second, err := dialTwice(soon, dir)
	if err != nil {
		return nil, asNoProcess(soon, err)
	}
	alive, err := send(soon, clientOver(first), "GET", "/alive", nil)
	if err != nil {
		return nil, errors.Join(err, second.Close())
	}
	alive.Body.Close()
	a := newAnswer(ctx)
	// A process that works on it says so each second, with a response of 102.
	traced := httptrace.WithClientTrace(a.ctx, &httptrace.ClientTrace{Got1xxResponse: func(int, textproto.MIMEHeader) error {
		a.alive()
		return nil
	}})
	resp, err := send(traced, clientOver(second), method, path, body)
	if err != nil {
		a.close()
		second.Close() // its error says no more
		return nil, err
	}
	a.begun(resp)
	return a, nil
}

// dialTwice connects to the control socket of dir for two requests. Nothing of dir is
// open any more when it returns: a process that is asked to unmount would find its mount
// in use.
func dialTwice(ctx context.Context, dir string) (first, second net.Conn, err error) {
	state, err := openState(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	defer state.Close()
	if first, err = dialControl(ctx, state); err != nil {
		return nil, nil, err
	}
	if second, err = dialControl(ctx, state); err != nil {
		return nil, nil, errors.Join(err, first.Close())
	}
	return first, second, nil
}

// clientOver makes one request over a connection, which it then closes.
func clientOver(c net.Conn) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: textMost,
		DialContext:            func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}}
}

// dialControl connects to the control socket in a state directory.
func dialControl(ctx context.Context, state *os.File) (net.Conn, error) {
	info, err := state.Stat()
	if err != nil {
		return nil, err
	}
	owner, _ := info.Sys().(*syscall.Stat_t) // on Linux it is a Stat_t
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", fmt.Sprintf("/proc/self/fd/%d/%s", state.Fd(), socketName))
	if errors.Is(err, fs.ErrNotExist) {
		c, err = dialElsewhere(ctx, state, int(owner.Uid))
	}
	if err != nil {
		return nil, err
	}
	if err := checkPeer(c, int(owner.Uid)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// openState opens a state directory. Opening that of a mount whose process is stopped
// blocks; openState returns when ctx ends.
func openState(ctx context.Context, dir string) (*os.File, error) {
	type result struct {
		state *os.File
		err   error
	}
	opened := make(chan result, 1)
	go func() { // ends when the mount does, or this process
		// Through a descriptor, a path too long for a socket address is none.
		state, err := os.OpenFile(filepath.Join(dir, ".dlfs"), os.O_RDONLY|unix.O_DIRECTORY, 0)
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

// send makes one request to the control socket. Its error says so where no process answers
// there.
func send(ctx context.Context, client *http.Client, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://dlfs"+path, body)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, asNoProcess(ctx, err)
	}
	return resp, nil
}

// asNoProcess says why a process was not asked: errNoProcess, unless ctx has ended or
// another user is there.
func asNoProcess(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, errForeign):
		return errForeign
	}
	return errors.Join(errNoProcess, err)
}

// order is ask for commands that need a running process. An answer that it did
// not do it is an error, with the exit code that belongs to it. The caller closes
// the answer.
func order(ctx context.Context, dir, method, path string, body io.Reader) (*answer, error) {
	a, err := ask(ctx, dir, method, path, body)
	switch {
	case ctx.Err() != nil:
		return nil, &exitError{exitInterrupted, context.Cause(ctx)}
	case errors.Is(err, syscall.ENOTCONN): // what the kernel says of a mount without a process
		return nil, diedError(dir)
	case errors.Is(err, errNoProcess):
		return nil, fmt.Errorf("no dlfs is running on %s; \"dlfs mount\" or \"dlfs fetch\" starts one", dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	if err := a.refusal("on " + dir); err != nil {
		a.close()
		return nil, err
	}
	return a, nil
}

// refusal is why the process did not do what it was asked for, with the exit code that belongs to
// it; nil if it did. where is the process for the user, as "on DIR".
func (a *answer) refusal(where string) error {
	if a.resp.StatusCode == http.StatusOK {
		return nil
	}
	text, err := a.text()
	if err != nil {
		return fmt.Errorf("answer of the process %s: %w", where, err)
	}
	switch a.resp.StatusCode {
	case http.StatusNotFound, http.StatusMethodNotAllowed: // the socket has no such thing
		return fmt.Errorf("the dlfs %s is of an older version, which cannot do this; stop it and start it again", where)
	case http.StatusUnprocessableEntity:
		return &exitError{exitUsage, errors.New(text)}
	}
	return errors.New(text)
}

// orderText is order for an answer that is a short text.
func orderText(ctx context.Context, dir, method, path string) (string, error) {
	a, err := order(ctx, dir, method, path, nil)
	if err != nil {
		return "", err
	}
	defer a.close()
	text, err := a.text()
	if err != nil {
		return "", fmt.Errorf("answer of the process on %s: %w", dir, err)
	}
	return text, nil
}

// orderDone is orderText for a request that is answered with nothing once it is done.
func orderDone(ctx context.Context, dir, path string) error {
	text, err := orderText(ctx, dir, "POST", path)
	if err == nil && text != "" {
		err = fmt.Errorf("%s: %w", dir, errNoDlfs)
	}
	return err
}

// orderNumber is orderText for a request that is answered with a number.
func orderNumber(ctx context.Context, dir, method, path string) (int64, error) {
	text, err := orderText(ctx, dir, method, path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s: %w", dir, errNoDlfs)
	}
	return n, nil
}

// visitStatus asks the running process how far it is. It calls head with that,
// less the entries, and then each with each of those that are wanted. Its errors do not name dir.
func visitStatus(ctx context.Context, dir string, want selection, head func(*Status) error, each func(fetch.EntryStatus) error) error {
	a, err := ask(ctx, dir, "GET", "/status"+want.query(), nil)
	if err != nil {
		return err
	}
	defer a.close()
	if err := a.refusal("there"); err != nil {
		return err
	}
	err = a.status(func(s *Status) error {
		if err := head(s); err != nil || !want.none {
			return err
		}
		return errEnough
	}, func(e fetch.EntryStatus) error {
		if !want.matches(e) {
			return nil
		}
		return each(e)
	})
	switch {
	case errors.Is(err, errEnough):
		return nil
	case isOddJSON(err):
		return errNoDlfs
	case err != nil:
		return fmt.Errorf("its status: %w", err)
	}
	return nil
}

// errEnough ends the reading of an answer early.
var errEnough = errors.New("no more is wanted")
