package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

const (
	// membersEvery is how often the addresses of a DNS name are looked up again.
	membersEvery = 30 * time.Second

	// peerHeaderFor is how long another machine may take for the header of a request, and
	// peerIdleFor how long its connection stays open without one.
	peerHeaderFor = 10 * time.Second
	peerIdleFor   = time.Minute
)

// group is this machine's place among others that have the same list: it serves its
// blocks to them, and asks them for theirs. A nil *group is that of a machine by
// itself, and other code may call its methods.
type group struct {
	who    *members
	wait   time.Duration // for all to answer
	peers  fetch.Peers
	log    *slog.Logger
	listen net.Listener
	server *http.Server
	cancel context.CancelFunc
	served sync.WaitGroup // the server, its requests, and the lookups
}

// newGroup returns this machine's share in a group of machines. It takes connections at l as
// soon as serve is called.
func newGroup(who *members, self string, names []string, l net.Listener, s security, wait time.Duration, log *slog.Logger) *group {
	if s.server != nil {
		l = tls.NewListener(l, s.server)
	}
	g := &group{who: who, wait: wait, log: log, listen: l}
	g.peers = fetch.Peers{
		Ring: peers.NewRing(self, names), Key: s.key, ID: rand.Text(),
		Client: peerhttp.New(peerhttp.Options{Self: self, TLS: s.client, Sign: s.key, Machines: len(names) - 1}),
	}
	log.Info("files are shared with other machines", "self", self, "address", l.Addr(), "peers", len(names)-1)
	return g
}

// options returns the group as package fetch needs it, nil if there is none.
func (g *group) options() *fetch.Peers {
	if g == nil {
		return nil
	}
	return &g.peers
}

// serve serves the files of set to the other machines, until close. Requests under way at close
// are ended through their context, and close waits for their handlers. If --peers names DNS, the
// names are looked up again every membersEvery.
func (g *group) serve(set *fetch.Set) {
	if g == nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background()) // ended by close
	g.cancel = cancel
	handler := set.PeerHandler()
	g.server = &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			g.served.Add(1)
			defer g.served.Done()
			handler.ServeHTTP(w, r)
		}),
		ReadHeaderTimeout: peerHeaderFor, IdleTimeout: peerIdleFor,
		ErrorLog:    slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	g.served.Go(func() {
		if err := g.server.Serve(g.listen); err != http.ErrServerClosed {
			g.log.Error("other machines are served no longer", "err", err)
		}
	})
	if g.who.isDNS() {
		g.served.Go(func() { g.follow(ctx) })
	}
}

// follow looks the names up every membersEvery until ctx ends. serve runs it, and close
// waits for it.
func (g *group) follow(ctx context.Context) {
	t := time.NewTicker(membersEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			g.refresh(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// refresh takes the names of the machines anew, from where --peers says. It blocks for
// DNS. If that fails, the names stay as they were.
func (g *group) refresh(ctx context.Context) {
	if g == nil {
		return
	}
	names, err := g.who.names(ctx)
	if err != nil {
		g.log.Warn("names of other machines stay as they were", "err", err)
		return
	}
	g.peers.Ring.Replace(names)
}

// patience returns how long prefetch waits at first for all machines to answer; 0
// without a group.
func (g *group) patience() time.Duration {
	if g == nil {
		return 0
	}
	return g.wait
}

// received returns how many bytes of files have come from other machines.
func (g *group) received() int64 {
	if g == nil {
		return 0
	}
	return g.peers.Client.Received()
}

// states returns the states of the other machines as status shows them; nil without a
// group.
func (g *group) states() []peers.State {
	if g == nil {
		return []peers.State{}
	}
	return g.peers.Ring.States(time.Now())
}

// close ends the requests of other machines and those to them, and waits for both. It is safe on
// a nil group, and if serve was never called.
func (g *group) close() {
	if g == nil {
		return
	}
	if g.server != nil {
		g.cancel()
		g.server.Close() // the listener's error has no meaning any more
		g.served.Wait()
	}
	g.listen.Close() // if it was never served
	g.peers.Client.Close()
}
