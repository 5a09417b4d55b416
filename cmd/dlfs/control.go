package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The control socket, DIR/.dlfs/control.sock, speaks HTTP:
//
//	GET /alive                   nothing; that there is an answer says that the process is alive
//	GET /status                  the Status; with ?brief without entries, with ?name=
//	                             and ?state=, any number, with those entries alone
//	GET /summary                 the Summary, whose length does not grow with the list
//	GET /files?PARAMETERS        a Selection: state=STATE or trouble, q=TEXT in the
//	                             name, sort=name|size|progress|state, desc=1,
//	                             offset=N, limit=N
//	GET /file?name=NAME&cells=N  the fetch.Detail of one file, with a map of at most
//	                             N cells
//	POST /first?name=NAME        fetch this file next
//	POST /first?match=PATTERN    fetch those files next whose names match, any number of
//	                             patterns; the answer is how many files these are. With
//	                             &range=FROM-TO that part of each, at once
//	POST /retry?name=NAME        try this file again if it failed, or by ?match= those;
//	                             without either, all that failed. The answer is how many
//	                             these are
//	POST /stop                   stop; the answer is the process to wait for
//	POST /stop?wait              the same, after a 102 each second until the mount has
//	                             been taken away and the fetch has ended; who held the
//	                             mount follows, a line for each
//	POST /reload?list=WHERE      take the list at WHERE, an absolute path or a URL;
//	                             "-" is the body, none the same place again.
//	                             The answer is a fetch.Difference, after a 102 each
//	                             second that the list takes
//	GET /metrics                 metrics for Prometheus, also as OpenMetrics
//	GET /debug/pprof/            profiles of the process, as net/http/pprof has them
//	POST /pause, POST /resume    prefetch
//	GET /limit                   bytes a second, 0 for no limit
//	POST /limit?rate=BYTES       set it
//	POST /limit?disk=SIZE        set --max-size: a number of bytes, or 80%
//	POST /pin?match=PATTERN      pin the files that match, any number of patterns; POST
//	                             /unpin is the opposite. The answer is how many these are
//	POST /evict?match=PATTERN    evict the files that match; the answer is bytes
//
// What fails is answered with a status of 4xx or 5xx and the reason as text, 422
// if that is a problem of the list or of what was asked. The socket is 0600 in a
// directory that is 0700, and takes connections of its user and of root alone.
const socketName = "control.sock"

// control serves the control socket of a running process. Its handlers run in goroutines of
// net/http, several at once; what they need of the engine has locks of its own.
type control struct {
	engine    *engine
	server    *http.Server
	stopAsked chan struct{} // closed by the first POST /stop
	stopOnce  sync.Once     // of stopAsked
	ended     chan struct{} // closed when the mount has been taken away, or the fetch has ended
	endOnce   sync.Once     // of ended
	held      []string      // the programs that still used the mount then; read after ended
	stopped   chan struct{} // closed when the server has ended
	elsewhere string        // path of the socket, if the state directory cannot have it
	looks     looks         // answers that are computed once for many askers
}

// serveControl listens on the control socket. It takes the place of the socket of an earlier
// process, which has ended: this process has the lock.
func serveControl(e *engine) (*control, error) {
	path := filepath.Join(e.store.StatePath(), socketName)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	c := &control{engine: e, stopAsked: make(chan struct{}), ended: make(chan struct{}), stopped: make(chan struct{})}
	l, err := net.Listen("unix", path)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP) {
		l, err = c.listenElsewhere(path)
		if err != nil {
			e.log.Warn("there is no control socket, since the filesystem of the output directory has none; end dlfs by a signal, or by umount(8)",
				"dir", e.store.Path(), "err", err)
			c.server = &http.Server{}
			close(c.stopped)
			return c, nil
		}
		path = c.elsewhere
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	c.server = &http.Server{Handler: c.mux(), ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelWarn)}
	go func() { // owned by control; close waits
		defer close(c.stopped)
		c.server.Serve(ownListener{l, e.log}) // returns http.ErrServerClosed
	}()
	return c, nil
}

// listenElsewhere listens outside of the state directory, which cannot have the
// socket at path.
func (c *control) listenElsewhere(path string) (l net.Listener, err error) {
	state, err := os.Open(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer state.Close()
	l, c.elsewhere, err = listenElsewhere(state)
	return l, err
}

// mux returns the handlers of the requests that the comment of socketName lists.
func (c *control) mux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /alive", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /status", c.status)
	mux.HandleFunc("GET /summary", c.summary)
	mux.HandleFunc("GET /files", c.files)
	mux.HandleFunc("GET /file", c.file)
	mux.HandleFunc("POST /first", c.first)
	mux.HandleFunc("POST /retry", c.retry)
	mux.HandleFunc("POST /pin", c.pin("+"))
	mux.HandleFunc("POST /unpin", c.pin("-"))
	mux.HandleFunc("POST /evict", c.evict)
	mux.HandleFunc("POST /stop", c.stop)
	mux.HandleFunc("POST /reload", c.reload)
	mux.HandleFunc("POST /pause", func(http.ResponseWriter, *http.Request) { c.engine.set.Pause() })
	mux.HandleFunc("POST /resume", func(http.ResponseWriter, *http.Request) { c.engine.set.Resume() })
	mux.Handle("GET /metrics", metricsHandler(c.engine))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /limit", c.limit)
	mux.HandleFunc("POST /limit", c.setLimit)
	return mux
}

// path is the socket's path for other processes, valid under a mount over DIR.
func (c *control) path() string {
	if c.elsewhere != "" {
		return c.elsewhere
	}
	return fmt.Sprintf("/proc/%d/fd/%s/%s", os.Getpid(), filepath.Base(c.engine.store.StatePath()), socketName)
}

// end says that the mount has been taken away, from those who held it, or that the fetch
// has ended. Only the first word counts.
func (c *control) end(held []string) {
	c.endOnce.Do(func() {
		c.held = held
		close(c.ended)
	})
}

// lastAnswers is how long the socket stays open for answers that are being given.
const lastAnswers = time.Second

// close ends the control socket. Answers under way have lastAnswers to end.
func (c *control) close() {
	c.end(nil)
	ctx, cancel := context.WithTimeout(context.Background(), lastAnswers)
	defer cancel()
	if c.server.Shutdown(ctx) != nil { // closes the listener, which removes the socket
		c.server.Close()
	}
	<-c.stopped
}

// status answers GET /status: the whole, and the entries that the query selects, as JSON.
func (c *control) status(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	out := bufio.NewWriter(w)
	p := &jsonStatus{w: out}
	err := eachStatus(c.engine.brief(), c.engine.set, selectionOf(r.URL.Query()), p.head, p.entry)
	if err := errors.Join(err, p.end(), out.Flush()); err != nil {
		c.engine.log.Debug("answer not delivered", "err", err)
	}
}

// answer writes v as JSON.
func (c *control) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		c.engine.log.Debug("answer not delivered", "err", err)
	}
}

// reload answers POST /reload: the list in the body, or the one that the process has read
// before, read again, takes the place of the present one. The answer is the difference.
func (c *control) reload(w http.ResponseWriter, r *http.Request) {
	ready := stillWorking(w)
	diff, err := c.engine.reload(r.Context(), r.FormValue("list"), r.Body)
	ready()
	if err != nil {
		refuse(w, err)
		return
	}
	c.answer(w, diff)
}

// stillWorking sends a response of 102 (RFC 2518 section 10.1) each second until ready is called,
// so that the client knows that the request is worked on. It has to be called before anything is
// answered, and ready before the answer.
func stillWorking(w http.ResponseWriter) (ready func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { // ready waits
		defer close(ended)
		t := time.NewTicker(time.Second)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				w.WriteHeader(http.StatusProcessing)
			case <-end:
				return
			}
		}
	}()
	return func() {
		close(end)
		<-ended
	}
}

// limit answers GET /limit: bytes a second, 0 for no limit.
func (c *control) limit(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprint(w, c.engine.limit.Get())
}

// setLimit answers POST /limit: it sets how many bytes a second are received.
func (c *control) setLimit(w http.ResponseWriter, r *http.Request) {
	if r.FormValue("disk") != "" {
		c.setDisk(w, r)
		return
	}
	n, err := strconv.ParseInt(r.FormValue("rate"), 10, 64)
	if err != nil || n < 0 {
		refuse(w, usageError("rate is not a number of bytes a second"))
		return
	}
	c.engine.limit.Set(n)
}

// refuse answers with an error, whose status tells the exit code.
func refuse(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var e *exitError
	if errors.As(err, &e) && e.code == exitUsage {
		status = http.StatusUnprocessableEntity
	}
	http.Error(w, err.Error(), status)
}

// stop answers POST /stop with the number of the process. With ?wait it answers when the run
// has ended and the mount is gone, and adds a line for each program that used the mount.
func (c *control) stop(w http.ResponseWriter, r *http.Request) {
	c.stopOnce.Do(func() { close(c.stopAsked) })
	if !r.URL.Query().Has("wait") {
		fmt.Fprint(w, os.Getpid())
		return
	}
	ready := stillWorking(w)
	select {
	case <-c.ended:
	case <-r.Context().Done():
		ready()
		return
	}
	ready()
	fmt.Fprintln(w, os.Getpid())
	for _, who := range c.held {
		fmt.Fprintln(w, who)
	}
}
