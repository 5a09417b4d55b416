package fetch

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

const (
	// maxExtent bounds a prefetch flight, so that a file arrives roughly in
	// order; minExtent is what is not worth dividing further.
	maxExtent = 64 << 20
	minExtent = 1 << 20

	// retryTransient and retryPermanent are how long a failed file is left
	// alone when Keep is set.
	retryTransient = 30 * time.Second
	retryPermanent = 10 * time.Minute

	// retryFull is how long prefetch leaves a full disk alone.
	retryFull = 5 * time.Second
)

// prefetcher is the background fill. One goroutine, Run's, owns its state; what
// it launches are ordinary flights, told from others by their class.
type prefetcher struct {
	set    *Set
	loaded chan struct{}       // closed when every file has been loaded
	cursor int                 // files before it have been taken from the list
	front  []*File             // opened files, fetched first
	active []*File             // at most Jobs, taken from the list in order
	later  map[*File]time.Time // failed, to be tried again then
	paused bool                // the disk is full, and that has been said
}

// Run loads what earlier runs left, probes, and prefetches as Options say. It
// returns nil when nothing is left to do, which with Options.Keep is never;
// cache.ErrNoSpace when the disk is full, without Keep; else ctx's error, or
// that the set was closed.
func (s *Set) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx) // joined below
	p := &prefetcher{set: s, loaded: make(chan struct{}), later: map[*File]time.Time{}}
	g.Go(func() error {
		defer s.poke()
		defer close(p.loaded)
		return s.load(ctx)
	})
	probers, stop := context.WithCancel(ctx)
	for i := range s.probers() {
		g.Go(func() error { s.probeEvery(probers, i, s.probers()); return nil })
	}
	g.Go(func() error {
		defer stop()
		return p.run(ctx)
	})
	return g.Wait()
}

// probers is how many probes run in the background: in a mount, where somebody
// may list a directory at any time, as many as the host's budget; in a batch
// job just one, so that the total is known early at little cost.
func (s *Set) probers() int {
	if s.opts.Keep {
		return s.opts.MaxPerHost
	}
	return 1
}

// probeEvery probes every nth file from the first on.
func (s *Set) probeEvery(ctx context.Context, first, n int) {
	for i := first; i < len(s.files) && ctx.Err() == nil; i += n {
		if f := s.files[i]; f.Blob() == nil {
			f.contact(ctx, false) // a failure is kept in the file
		}
	}
}

// run launches what can be launched, whenever something changed.
func (p *prefetcher) run(ctx context.Context) error {
	for {
		next := p.step()
		if done, err := p.settled(ctx); done || err != nil {
			return err
		}
		t := time.NewTimer(next)
		select {
		case <-p.set.wake:
		case <-t.C:
		case <-ctx.Done():
		case <-p.set.ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if p.set.ctx.Err() != nil {
			return errClosing
		}
	}
}

// step launches flights as far as budgets allow, and returns when to look again
// if nothing happens.
func (p *prefetcher) step() time.Duration {
	const whenIdle = time.Second
	if wait := p.diskFull(); wait > 0 {
		return wait
	}
	p.refill()
	files := slices.Concat(p.front, p.active)
	for depth := range p.set.opts.Split {
		for _, f := range files {
			p.launch(f, depth)
		}
	}
	for _, f := range files {
		p.steal(f)
	}
	return whenIdle
}

// diskFull says how long to hold still because the disk is full, and tells so
// once.
func (p *prefetcher) diskFull() time.Duration {
	p.set.mu.Lock()
	full := p.set.mu.full
	p.set.mu.Unlock()
	wait := time.Until(full.Add(retryFull))
	switch {
	case full.IsZero() || wait <= 0:
		wait = 0
	case !p.paused:
		p.set.log.Warn("disk is full: prefetch pauses until there is room", "dir", p.set.store.Path())
	}
	p.paused = wait > 0
	return wait
}

// refill takes finished and failed files out and new ones in: those opened,
// those whose time to be tried again has come, and the next of the list.
func (p *prefetcher) refill() {
	s := p.set
	p.front = slices.DeleteFunc(p.front, p.over)
	p.active = slices.DeleteFunc(p.active, p.over)
	s.mu.Lock()
	opened := s.mu.opened
	s.mu.opened = nil
	s.mu.Unlock()
	if s.opts.Prefetch == None {
		return
	}
	for _, f := range opened {
		if !slices.Contains(p.front, f) && !p.over(f) {
			p.active = slices.DeleteFunc(p.active, func(a *File) bool { return a == f })
			p.front = append(p.front, f)
		}
	}
	for f, at := range p.later {
		if time.Until(at) > 0 {
			continue
		}
		delete(p.later, f)
		if !slices.Contains(p.front, f) && !slices.Contains(p.active, f) {
			f.forgive()
			p.active = append(p.active, f)
		}
	}
	if s.opts.Prefetch != All {
		return
	}
	for ; p.cursor < len(s.files) && len(p.active) < s.opts.Jobs; p.cursor++ {
		if f := s.files[p.cursor]; !p.over(f) && !slices.Contains(p.front, f) {
			p.active = append(p.active, f)
		}
	}
}

// over reports whether prefetch is through with f, for good or for now: a file
// that failed, be it by a probe before its turn came, has another one later.
func (p *prefetcher) over(f *File) bool {
	if !f.over() {
		return false
	}
	if at, failed := f.retryAt(); failed && p.set.opts.Keep {
		p.later[f] = at
	}
	return true
}

// over reports whether f has all its blocks, or failed.
func (f *File) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.loadLocked(); err != nil {
		f.failLocked(err)
	}
	return f.mu.failure != nil || f.mu.blob != nil && f.mu.blob.Complete()
}

// retryAt says when a failed file is worth another attempt.
func (f *File) retryAt() (time.Time, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch fail := f.mu.failure; {
	case fail == nil:
		return time.Time{}, false
	case origin.KindOf(fail.err) == origin.Transient:
		return fail.at.Add(retryTransient), true
	default:
		return fail.at.Add(retryPermanent), true
	}
}

// forgive clears a failure, for another attempt.
func (f *File) forgive() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.failure = nil
	f.countLocked()
}

// launch starts a prefetch flight of f if it has not more than depth of them
// and a place is free: over the next run that is missing, from where a reader
// last was; or, on first contact, over the start of the file.
func (p *prefetcher) launch(f *File, depth int) {
	host := f.host()
	if !host.tryBulk() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.failure == nil && f.mu.probing == nil && f.bulkLocked() <= depth {
		if f.mu.blob == nil {
			if f.contactLocked(f.firstContact) != nil {
				return // firstContact has the place
			}
		} else if off, n := f.nextRunLocked(); n > 0 && f.set.begin() {
			n = min(n, p.extent(f.mu.blob))
			f.launchLocked(f.mu.blob, bulk, off, off+n, nil).holds++
			return
		}
	}
	host.put(bulk)
}

// extent is how long a flight of blob should be: its share of what is missing.
func (p *prefetcher) extent(blob *cache.Blob) int64 {
	missing := blob.Version().Size - blob.Present()
	share := (missing/int64(p.set.opts.Split) + cache.BlockSize) / cache.BlockSize * cache.BlockSize
	return min(max(share, minExtent), maxExtent)
}

// nextRunLocked returns the first unassigned run from the last reader's
// position on, or from the start.
func (f *File) nextRunLocked() (off, n int64) {
	size := f.mu.blob.Version().Size
	from := min(f.lastRead.Load(), size) / cache.BlockSize * cache.BlockSize
	if off, n = f.unassignedLocked(from, size); n > 0 {
		return off, n
	}
	return f.unassignedLocked(0, from)
}

// bulkLocked counts the prefetch flights of f.
func (f *File) bulkLocked() (n int) {
	for _, fl := range f.mu.flights {
		if fl.class == bulk {
			n++
		}
	}
	return n
}

// steal gives a free place the far half of f's longest flight, when f has
// nothing else left and the flight would take a while yet.
func (p *prefetcher) steal(f *File) {
	host := f.host()
	if !host.tryBulk() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl, middle := f.longestLocked(host); fl != nil && f.bulkLocked() < p.set.opts.Split && f.set.begin() {
		end := fl.end
		fl.cutLocked(middle)
		f.launchLocked(fl.blob, bulk, middle, end, nil).holds++
		return
	}
	host.put(bulk)
}

// longestLocked returns the prefetch flight with most left to do and where to
// halve it; nil if none is worth it.
func (f *File) longestLocked(host *host) (longest *flight, middle int64) {
	if f.mu.noRanges || f.mu.failure != nil {
		return nil, 0
	}
	left := int64(2 * minExtent)
	for _, fl := range f.mu.flights {
		eta, ok := fl.etaLocked(fl.end)
		if fl.class == bulk && fl.end-fl.pos >= left && ok && eta > 4*host.requestCost() {
			longest, left = fl, fl.end-fl.pos
		}
	}
	if longest != nil {
		middle = (longest.pos + left/2) / cache.BlockSize * cache.BlockSize
	}
	return longest, middle
}

// firstContact asks for the start of a file whose version is not known, and
// goes on streaming it: a small file costs one request. It has a prefetch place
// of the host.
func (f *File) firstContact() {
	host := f.host()
	if f.set.store.Occupied(f.name) { // perhaps to be adopted: ask before fetching
		host.put(bulk)
		f.probe(false)
		return
	}
	ctx, cancel := context.WithCancel(f.set.ctx)
	body, err := f.set.client.Get(ctx, f.url, nil, 0, maxExtent)
	if err != nil {
		cancel()
		host.put(bulk)
		f.contacted(nil, err)
		return
	}
	blob, err := f.set.store.Create(f.name, cache.Version(body.Version()))
	if err != nil || blob.Complete() || !f.set.begin() {
		body.Close()
		cancel()
		host.put(bulk)
		f.contacted(blob, err)
		return
	}
	f.mu.Lock()
	f.mu.proven, f.mu.noRanges = true, !body.Ranged()
	f.setBlobLocked(blob)
	f.launchLocked(blob, bulk, 0, body.End(), &contact{body, ctx, cancel}).holds++
	f.mu.Unlock()
	f.contacted(blob, nil)
}

// settled reports whether nothing is left to do. When all that is left is to
// publish, it does so at once instead of waiting for the next sync.
func (p *prefetcher) settled(ctx context.Context) (bool, error) {
	s := p.set
	select {
	case <-p.loaded:
	default:
		return false, nil
	}
	if !s.opts.Keep && p.diskFull() > 0 {
		return true, cache.ErrNoSpace
	}
	if len(p.front)+len(p.active) > 0 || p.cursor < len(s.files) && s.opts.Prefetch == All || !s.idle() {
		return false, nil
	}
	if s.publishing.Load() > 0 {
		if err := s.store.Sync(ctx); err != nil {
			if !s.opts.Keep {
				return true, err
			}
			return false, nil // said by the store; its next round tries again
		}
		s.poke()
		return false, nil
	}
	if t := s.Totals(); s.opts.Prefetch == All && t.FilesComplete+t.FilesFailed < t.FilesTotal {
		p.cursor = 0 // a failed sync took blocks back of a file that was through
		s.poke()
		return false, nil
	}
	return !s.opts.Keep && s.idle(), nil
}

// idle reports whether no flight is running.
func (s *Set) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.running) == 0
}
