package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
)

const (
	// pageMost is how long an answer for the page may be, in bytes.
	pageMost = 16 << 20

	// endedFor is how long what was read of a directory is believed that no process has.
	endedFor = 30 * time.Second
)

// errNoPage says that a process is of a version that knows no page.
var errNoPage = errors.New("the dlfs there is an older one, which has nothing for this page; start it again with this version")

// webSource asks the process that has a directory, for the page. It keeps connections
// open, so that it does not open the directory each second: an open directory would
// keep an umount of the mount from ending. Its methods may be called concurrently.
type webSource struct {
	dir    string
	log    *slog.Logger
	client *http.Client
	ended  memo[string, []byte] // the Summary, by the directory
}

// newWebSource returns the source of a directory or a mountpoint for the page.
func newWebSource(dir string, log *slog.Logger) *webSource {
	s := &webSource{dir: dir, log: log}
	s.client = &http.Client{Transport: &http.Transport{MaxResponseHeaderBytes: textMost, MaxIdleConnsPerHost: 4,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			state, err := openState(ctx, s.dir)
			if err != nil {
				return nil, err
			}
			defer state.Close()
			return dialControl(ctx, state)
		}}}
	return s
}

// check returns why the directory cannot be shown, nil if it can. It asks once for the
// summary, as the page will do.
func (s *webSource) check(ctx context.Context) error {
	status, body, err := s.ask(ctx, http.MethodGet, "/summary")
	switch {
	case ctx.Err() != nil:
		return &exitError{exitInterrupted, context.Cause(ctx)}
	case err != nil:
		return err
	case status != http.StatusOK:
		return fmt.Errorf("%s: %s", s.dir, strings.TrimSpace(string(body)))
	}
	var sum Summary
	if err := json.Unmarshal(body, &sum); err != nil || sum.Dir == "" {
		return fmt.Errorf("%s: %w", s.dir, errNoDlfs)
	}
	return nil
}

// close ends the connections that are kept.
func (s *webSource) close() { s.client.CloseIdleConnections() }

// ask is web.Source.Ask. Of a directory that no process has, it tells the Summary that is
// read from its state.
func (s *webSource) ask(ctx context.Context, method, path string) (status int, body []byte, err error) {
	if method == http.MethodGet {
		status, body, err = s.get(ctx, path)
	} else {
		status, body, err = s.post(ctx, method, path)
	}
	switch {
	case errors.Is(err, errNoProcess) && path == "/summary":
		body, err = s.ended.get(s.dir, endedFor, func() ([]byte, error) { return s.readEnded(ctx) })
		return http.StatusOK, body, err
	case errors.Is(err, errNoProcess):
		return 0, nil, fmt.Errorf("no dlfs is running on %s; \"dlfs mount\" or \"dlfs fetch\" starts one", s.dir)
	case err != nil:
		return 0, nil, fmt.Errorf("%s: %w", s.dir, err)
	}
	return status, body, nil
}

// get asks over a connection that is kept, for answerStall at most. A broken connection is
// errNoProcess: the process has ended meanwhile.
func (s *webSource) get(ctx context.Context, path string) (int, []byte, error) {
	// The page asks each second. A process that does not answer must not pile up questions.
	ctx, cancel := context.WithTimeoutCause(ctx, answerStall, errNoAnswer)
	defer cancel()
	resp, err := send(ctx, s.client, http.MethodGet, path, nil)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, pageMost+1))
	switch {
	case ctx.Err() != nil:
		return 0, nil, context.Cause(ctx)
	case err != nil:
		// A part of the answer came, and then the process ended.
		return 0, nil, errors.Join(errNoProcess, err)
	case len(body) > pageMost:
		return 0, nil, errTooLong
	case resp.StatusCode == http.StatusNotFound:
		return 0, nil, errNoPage
	}
	return resp.StatusCode, body, nil
}

// post has the process do something, such as pause. It takes as long as the process
// says that it works on it, and opens a connection of its own, since an answer may be
// slow.
func (s *webSource) post(ctx context.Context, method, path string) (int, []byte, error) {
	a, err := ask(ctx, s.dir, method, path, nil)
	if err != nil {
		return 0, nil, err
	}
	defer a.close()
	a.value = pageMost
	body, err := io.ReadAll(a)
	if err == nil && a.resp.StatusCode == http.StatusNotFound {
		err = errNoPage
	}
	return a.resp.StatusCode, body, err
}

// readEnded reads the Summary of a directory that no process has, from the state on disk, as JSON.
// Files that neither are complete nor have failed count as waiting.
func (s *webSource) readEnded(ctx context.Context) ([]byte, error) {
	var sum Summary
	err := readStatus(ctx, s.dir, selection{none: true}, s.log, func(st *Status) error {
		rest := st.FilesTotal - st.FilesComplete - st.FilesFailed
		sum = Summary{Dir: s.dir, Totals: st.Totals, DiskFree: -1, Waiting: []origin.Pause{}, Hosts: []fetch.HostStatus{},
			Readers: []fetch.Wait{}, Peers: []peers.State{}, Active: []fetch.EntryStatus{},
			States: map[string]int{"waiting": rest, "complete": st.FilesComplete, "needs-url": st.FilesNeedURL, "mismatch": st.FilesMismatch,
				"failed": st.FilesFailed - st.FilesNeedURL - st.FilesMismatch}}
		if st.LastRun != nil {
			sum.LastRun = &lastRun{Ended: st.LastRun.Ended, Code: st.LastRun.Code, Why: st.LastRun.Why}
		}
		return nil
	}, func(fetch.EntryStatus) error { return nil })
	if err == nil && sum.FilesTotal == 0 {
		err = noListError(s.dir)
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(sum)
}
