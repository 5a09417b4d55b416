package fetch

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"dlfs/fetch/hosts"
)

// Run loads what earlier runs left, probes, and prefetches as Options say. It
// returns nil when nothing is left to do, which with Options.Serve is never;
// cache.ErrNoSpace when the disk is full, without Serve; else ctx's error, or
// that the set was closed.
func (s *Set) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx) // joined below
	l := s.list.Load()
	p := &prefetcher{set: s, loaded: make(chan struct{}), list: l, queue: newQueue(l.queue),
		later: map[*File]time.Time{}, inFront: map[*File]struct{}{}}
	whileRunning, stop := context.WithCancel(ctx)
	var passes atomic.Int64
	g.Go(func() error { return s.loadLists(ctx, whileRunning, p.loaded) })
	for i := range s.probers() {
		g.Go(func() error { s.probeLists(whileRunning, p.loaded, i, s.probers(), &passes); return nil })
	}
	g.Go(func() error { s.watchExpiry(whileRunning); return nil })
	g.Go(func() error {
		defer stop()
		return p.run(ctx)
	})
	return g.Wait()
}

// probeAfter is how long a batch job runs before it asks for what it will not come
// to soon.
const probeAfter = time.Second

// loadLists loads the list, then says so, and does the same for every one that
// replaces it.
func (s *Set) loadLists(ctx, whileRunning context.Context, loaded chan struct{}) error {
	for first := true; ; first = false {
		l := s.list.Load()
		err := s.load(ctx, l)
		if first {
			close(loaded)
			s.room.loaded()
		}
		s.poke()
		if err != nil {
			return err
		}
		s.settled()
		select {
		case <-l.replaced:
		case <-whileRunning.Done():
			return nil
		}
	}
}

// probers is how many probes run in the background: in a mount, where a user
// may list a directory at any time, as many as a host has places; in a batch
// job just one, so that the total is known early at little cost. What is done
// within probeAfter had better not be asked about at all.
func (s *Set) probers() int {
	if s.opts.Serve {
		return s.opts.MaxPerHost
	}
	return 1
}

// probeLists probes every nth file of the list from the first on, and of every
// list that replaces it, once it is known what need not be asked. passes counts how often a
// prober has come to the end of a list.
func (s *Set) probeLists(ctx context.Context, loaded <-chan struct{}, first, n int, passes *atomic.Int64) {
	select {
	case <-loaded:
	case <-ctx.Done():
	}
	if !s.opts.Serve {
		select {
		case <-time.After(probeAfter):
		case <-ctx.Done():
		}
	}
	for ctx.Err() == nil {
		l := s.list.Load()
		for i := first; i < len(l.files) && ctx.Err() == nil && !s.paused.Load(); i += n {
			if f := l.files[i]; f.Known() == nil && !s.listSuffices(f) && f.Blob() == nil {
				f.contact(ctx, false) // a failure is kept in the file
			}
		}
		if passes.Add(1)%int64(n) == 0 && s.opts.Serve {
			s.settled()
		}
		select {
		case <-l.replaced:
		case <-ctx.Done():
		}
	}
}

// settled calls Options.OnSettled.
func (s *Set) settled() {
	if s.opts.OnSettled != nil {
		s.opts.OnSettled()
	}
}

// listSuffices reports whether no more than the size that the list says needs to be known
// before a reader opens the file, because prefetch will not fetch it by itself.
func (s *Set) listSuffices(f *File) bool {
	return s.opts.Serve && s.opts.Prefetch != PrefetchAll && f.Entry().Said().Size >= 0
}

// Pause has prefetch launch nothing and ends what it has launched, after the
// block each flight is in. Readers go on. Resume ends it.
func (s *Set) Pause() {
	s.paused.Store(true)
	s.mu.Lock()
	running := slices.Collect(maps.Keys(s.mu.running))
	s.mu.Unlock()
	for _, fl := range running {
		if fl.class == hosts.Bulk {
			fl.giveUp()
		}
	}
}

// Paused reports whether Pause was called, and Resume not since.
func (s *Set) Paused() bool { return s.paused.Load() }

// Resume has prefetch go on after a Pause.
func (s *Set) Resume() {
	s.paused.Store(false)
	s.poke()
}
