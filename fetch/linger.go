package fetch

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// The others are asked whether they are there, and whether they need anything more, after firstAsk,
	// then after twice as long each time, lastAsk at most; idFor is how long one may take to
	// answer.
	firstAsk = 50 * time.Millisecond
	lastAsk  = time.Second
	idFor    = time.Second

	// asksAtOnce is how many are asked at once.
	asksAtOnce = 16

	// peersSilent is how long no machine may ask for anything until it is taken for granted
	// that none will.
	peersSilent = time.Minute
)

// AwaitPeers waits until all other machines have answered, so that those that start later
// cost the origin nothing, for limit at most. It blocks for the network, until ctx ends. It
// returns at once for a set without peers.
func (s *Set) AwaitPeers(ctx context.Context, limit time.Duration) {
	p := s.peering
	if p == nil || limit <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	missing := p.Ring.Others()
	for wait := firstAsk; ; wait = min(2*wait, lastAsk) {
		if missing = p.askAll(ctx, missing); len(missing) == 0 {
			s.log.Info("all peers answer", "peers", p.Ring.Len()-1)
			return
		}
		if !sleep(ctx, wait) {
			break
		}
	}
	if len(missing) > 0 {
		s.log.Warn("not all peers answer; the run begins without them", "missing", len(missing), "first", missing[0])
	}
}

// Linger goes on serving other machines until none needs anything more, or none has asked
// for anything for a minute. It blocks for the network, until ctx ends. It returns at once
// for a set without peers.
func (s *Set) Linger(ctx context.Context) {
	p := s.peering
	if p == nil {
		return
	}
	p.Client.Through()
	p.asked.Store(max(p.asked.Load(), time.Now().UnixNano()))
	for wait := firstAsk; ; wait = min(2*wait, lastAsk) {
		p.askAll(ctx, p.Ring.Others()) // which tells them that this one is through
		silent := time.Since(time.Unix(0, p.asked.Load()))
		if p.Ring.Through() || silent > peersSilent || !sleep(ctx, wait) {
			return
		}
	}
}

// sleep waits. It reports false if ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// askAll asks machines who they are, asksAtOnce at a time, each for idFor at most, and returns
// those that did not answer. The ring takes note of those that did, and of what they say of
// themselves.
func (p *peering) askAll(ctx context.Context, names []string) (silent []string) {
	var mu sync.Mutex
	var g errgroup.Group // awaited below
	g.SetLimit(asksAtOnce)
	for _, name := range names {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, idFor)
			defer cancel()
			_, _, err := p.Client.ID(ctx, name)
			if err != nil {
				mu.Lock()
				defer mu.Unlock()
				silent = append(silent, name)
				return nil // it is among the silent ones
			}
			p.Ring.Answered(name)
			return nil
		})
	}
	g.Wait() // no ask returns an error
	return silent
}
