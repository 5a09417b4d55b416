package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

// probeFor is how long an owner waits for the others to say whether they have an extent.
const probeFor = 200 * time.Millisecond

// walk asks the peers of a course, one after the other, for an extent of a file or for its
// version. One goroutine owns a walk and uses it once.
type walk struct {
	peering *peering
	wanted  context.Context // when it ends, no peer is to blame
	course  *peers.Course
	name    string
	off, n  int64 // n is 0 where the version is asked for
	version peerhttp.Version
	digest  string // that came with the version
	urgent  bool
	pass    bool // a busy machine is passed by: the origin has refused already
	met     func(peer string, o peers.Outcome)
	begs    *atomic.Bool // is true while a peer is asked that may ask others for it; nil if it does not matter
}

// follow asks one peer after the other with ask, until one gives what is wanted. Else it reports
// false, and how the course ends: with Later or Origin.
func (w *walk) follow(ctx context.Context, ask func(peer string, q peerhttp.Question) error) (end peers.Kind, ok bool) {
	for {
		next := w.course.Next()
		switch next.Kind {
		case peers.Later, peers.Origin:
			return next.Kind, false
		case peers.Probe:
			w.probe(ctx, next.Peers)
			continue
		}
		peer := next.Peers[0]
		w.beg(next.Kind == peers.Fetch)
		err := ask(peer, w.question(next.Kind == peers.Cached))
		w.beg(false)
		if err == nil {
			w.peering.Ring.Answered(peer)
			return next.Kind, true
		}
		if !w.note(ctx, peer, err) {
			return peers.Origin, false
		}
	}
}

// beg notes whether a peer is being asked that may ask others.
func (w *walk) beg(now bool) {
	if w.begs != nil {
		w.begs.Store(now)
	}
}

// get walks until a peer gives the bytes. Without a body, end is how the course ends.
func (w *walk) get(ctx context.Context) (b *peerhttp.Body, end peers.Kind) {
	end, _ = w.follow(ctx, func(peer string, q peerhttp.Question) (err error) {
		b, err = w.peering.Client.Get(ctx, peer, q, w.version)
		return err
	})
	return b, end
}

// getVersion asks the peers of the course for the version of the file, and stores it in version
// and digest. It reports false if no peer has told it.
func (w *walk) getVersion(ctx context.Context) (ok bool) {
	_, ok = w.follow(ctx, func(peer string, q peerhttp.Question) (err error) {
		w.version, w.digest, err = w.peering.Client.Version(ctx, peer, q)
		return err
	})
	if ok {
		w.peering.gave()
	}
	return ok
}

// getFirst is getVersion, and returns the bytes of the first extent, which come with the version;
// nil if no peer gives them. Then end is how the course ends.
func (w *walk) getFirst(ctx context.Context) (b *peerhttp.Body, end peers.Kind) {
	end, _ = w.follow(ctx, func(peer string, q peerhttp.Question) (err error) {
		q.N = peers.ExtentSize
		w.version, b, err = w.peering.Client.First(ctx, peer, q)
		return err
	})
	if b != nil {
		w.digest = b.Digest()
		w.peering.gave()
	}
	return b, end
}

// question is what the walk asks of a peer. With cached set, the peer answers only from what
// it has, and asks no origin.
func (w *walk) question(cached bool) peerhttp.Question {
	return peerhttp.Question{Name: w.name, Off: w.off, N: w.n, Cached: cached, Urgent: w.urgent}
}

// note notes why a peer gave nothing. It reports false if that is because ctx has ended:
// a peer that is silent for so long is left out for a while.
func (w *walk) note(ctx context.Context, peer string, err error) bool {
	var e *peerhttp.Error
	if !errors.As(err, &e) {
		e = &peerhttp.Error{Peer: peer, Outcome: peers.Dead, Err: err}
	}
	if w.wanted.Err() != nil {
		return false
	}
	if e.Outcome == peers.Busy && w.pass {
		e.Outcome = peers.Unfit
	}
	w.met(peer, e.Outcome)
	w.course.Note(e.Outcome, e.Named, time.Now())
	w.peering.set.log.Debug("peer does not give it", "name", w.name, "off", w.off, "err", e)
	return ctx.Err() == nil
}

// probe asks several peers at once whether they have what is wanted.
func (w *walk) probe(ctx context.Context, names []string) {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, len(names))
	for _, name := range names {
		go func() { // awaited below
			var err error
			if w.n == 0 {
				_, _, err = w.peering.Client.Version(ctx, name, w.question(true))
			} else {
				err = w.peering.Client.Has(ctx, name, w.question(true), w.version)
			}
			answers <- answer{name, err}
		}()
	}
	var have, dead []string
	for range names {
		a := <-answers
		var e *peerhttp.Error
		switch {
		case a.err == nil:
			if have = append(have, a.name); len(have) == 1 {
				cancel() // one is enough
			}
		case errors.As(a.err, &e) && e.Outcome == peers.Dead && ctx.Err() == nil:
			dead = append(dead, a.name)
		}
	}
	w.course.Found(have, dead, time.Now())
}
