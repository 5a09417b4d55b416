// Package web serves a page that shows running dlfs processes in a browser, and has them
// do what the buttons of the page ask for.
//
// It knows nothing of files, lists and origins: a Source is asked, as on the control
// socket, and what it answers goes to the page. The process that runs a Server listens on
// the network, so that the process that fetches need not.
//
// # Who is let in
//
// A browser shows any page of any site beside this one, and other users of the machine can
// connect to its loopback addresses. So each request must pass these checks:
//
//   - the Host header names this server, so that no name of a foreign site leads here
//     (DNS rebinding);
//   - a secret token was in the URL that the page was first opened with, or is in a cookie
//     that was set then, for this host alone (HttpOnly, SameSite=Strict);
//   - the browser says, in Sec-Fetch-Site, that the page itself asks; and what changes
//     something has the page's Origin (cross-site request forgery).
//
// The page loads nothing from elsewhere, and its Content-Security-Policy lets it neither
// load anything from elsewhere nor run a script that is written into it.
package web

import (
	"context"
	"crypto/tls"
	"embed"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Source is a process that the page shows.
type Source struct {
	// Name is what the page calls it, such as its directory.
	Name string

	// Ask sends a request of the control socket, whose path has its parameters, and
	// returns the status and the body of the answer. It blocks until the answer is there
	// or ctx ends, and is called by several goroutines at once.
	Ask func(ctx context.Context, method, path string) (status int, body []byte, err error)
}

// Options for New. Sources and URL are needed.
type Options struct {
	// Sources are shown in this order.
	Sources []Source

	// URL is where browsers find the page, without the token: its origin and its path.
	URL *url.URL

	// Hosts reports whether a Host header, with its port if it has one, names this
	// server. If nil, that of URL does; and if URL is of a loopback address, the other
	// names of the loopback at this port.
	Hosts func(host string) bool

	// TLS has Serve speak TLS. If nil, it does not.
	TLS *tls.Config

	// Log gets what is worth a person's attention. If nil, nothing is logged.
	Log *slog.Logger
}

// Server serves the page. It is safe for concurrent use.
type Server struct {
	opts     Options
	guard    guard
	watchers []*watcher
	pulse    *pulse        // of all watchers
	streams  chan struct{} // a place for each stream of events
	log      *slog.Logger
}

// streamsAtMost is how many browsers may watch at once.
const streamsAtMost = 64

//go:embed page
var page embed.FS

// New returns a server that does not serve yet. It has a token of its own.
func New(opts Options) *Server {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{opts: opts, guard: newGuard(opts), pulse: newPulse(), streams: make(chan struct{}, streamsAtMost), log: opts.Log}
	for _, source := range opts.Sources {
		s.watchers = append(s.watchers, newWatcher(source, s.pulse))
	}
	return s
}

// OpenURL is what a user opens in a browser. It has the token, which lets its owner in for
// as long as the server runs.
func (s *Server) OpenURL() string {
	u := *s.opts.URL
	u.RawQuery = url.Values{tokenParameter: {s.guard.token}}.Encode()
	return u.String()
}

// Serve serves l, which it closes, until ctx ends; then it returns nil. It blocks until all
// that it has begun has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var begun sync.WaitGroup
	defer begun.Wait()
	for _, w := range s.watchers {
		begun.Go(func() { w.run(ctx) }) // ends with ctx
	}
	server := &http.Server{Handler: s.Handler(), TLSConfig: s.opts.TLS, ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	begun.Go(func() { // ends with ctx
		<-ctx.Done()
		server.Close()
	})
	var err error
	if s.opts.TLS != nil {
		err = server.ServeTLS(l, "", "")
	} else {
		err = server.Serve(l)
	}
	cancel() // before the deferred wait, also where the listener failed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Handler is what Serve serves.
func (s *Server) Handler() http.Handler {
	files, err := fs.Sub(page, "page")
	if err != nil {
		panic(err) // the directory is part of the binary
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /events", s.events)
	mux.HandleFunc("GET /files", s.relay("GET", "/files", "state", "q", "sort", "desc", "offset", "limit"))
	mux.HandleFunc("GET /file", s.relay("GET", "/file", "name", "cells"))
	mux.HandleFunc("POST /pause", s.relay("POST", "/pause"))
	mux.HandleFunc("POST /resume", s.relay("POST", "/resume"))
	mux.HandleFunc("POST /limit", s.relay("POST", "/limit", "rate"))
	mux.HandleFunc("POST /first", s.relay("POST", "/first", "name"))
	mux.HandleFunc("POST /retry", s.relay("POST", "/retry", "name"))
	mux.HandleFunc("POST /reload", s.relay("POST", "/reload")) // never of a list that a browser names
	return s.guard.protect(mux)
}
