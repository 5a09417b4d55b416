package fetch

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

const (
	// retryTransient and retryPermanent are how long a failed file is left
	// alone when Serve is set.
	retryTransient = 30 * time.Second
	retryPermanent = 10 * time.Minute

	// frontWindow is how many opened files are looked at, the first opened first.
	frontWindow = 64

	// maxBadSyncs is how many failed syncs in a row end a batch job.
	maxBadSyncs = 3

	// retryFiles is how long a file is left alone for which there was no descriptor.
	retryFiles = time.Second
)

// prefetcher decides what is fetched before a reader asks; see the package comment for how.
// One goroutine, Run's, owns its state. What it launches are ordinary flights, told from
// others by their class.
type prefetcher struct {
	set       *Set
	loaded    chan struct{}       // closed when every file has been loaded
	list      *list               // the one the queue is of
	queue     *queue              // files that have had no turn yet
	front     []*File             // opened files, fetched first
	active    []*job              // under way, see loads
	later     map[*File]time.Time // failed, to be tried again then
	nextLater time.Time           // no file of later is due before
	inFront   map[*File]struct{}  // the files of front
	badSyncs  int                 // in a row, while there was nothing left but to publish
	full      bool                // the disk is full, and that has been said
	cuts      int64               // flights that were cut to be divided
}

// run launches what can be launched, whenever something changed, until nothing is left to do
// (nil), the store fails in a way that trying again does not mend, or ctx ends. It is the
// goroutine of Set.Run.
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

// step launches flights as far as hosts have places, and returns when to look again
// if nothing happens.
func (p *prefetcher) step() time.Duration {
	const whenIdle = time.Second // measure counts on it
	p.set.peering.measure(p.wants)
	if wait := p.diskFull(); wait > 0 {
		return wait
	}
	p.refill()
	if p.set.paused.Load() {
		return whenIdle
	}
	files := slices.Clone(p.front[:min(len(p.front), frontWindow)])
	for _, j := range p.active {
		files = append(files, j.file)
	}
	if r := p.set.room; r != nil && r.stops() {
		files = slices.DeleteFunc(files, func(f *File) bool { return !f.pinned.Load() || r.stopsPinned() })
	}
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

// refill takes finished and failed files out and new ones in: those opened,
// those whose time to be tried again has come, and the next of the list.
func (p *prefetcher) refill() {
	s := p.set
	if l := s.list.Load(); l != p.list {
		p.list, p.queue = l, newQueue(l.queue)
	}
	n := min(len(p.front), frontWindow)
	kept := slices.DeleteFunc(p.front[:n], p.gone)
	p.front = slices.Delete(p.front, len(kept), n)
	p.active = slices.DeleteFunc(p.active, func(j *job) bool { return p.over(j.file) })
	s.mu.Lock()
	opened := s.mu.opened
	s.mu.opened = nil
	s.mu.Unlock()
	if s.opts.Prefetch == PrefetchNone {
		opened = slices.DeleteFunc(opened, func(f *File) bool { return !f.pinned.Load() })
	}
	for _, f := range opened {
		if !p.inFrontOf(f) && !p.over(f) {
			p.active = slices.DeleteFunc(p.active, func(j *job) bool { return j.file == f })
			p.front, p.inFront[f] = append(p.front, f), struct{}{}
		}
	}
	if s.opts.Prefetch == PrefetchNone && s.room == nil {
		return
	}
	p.takeLater()
	if s.opts.Prefetch == PrefetchAll {
		p.takeNext()
	}
}

// takeNext takes files of the list until Jobs are under way that count. Files of
// hosts that have less than their share of the jobs come first. None is begun while
// the disk is behind.
func (p *prefetcher) takeNext() {
	l := newLoads(p.set.opts.Jobs, p.active, p.queue)
	for l.live() < l.most && !p.set.store.Behind() {
		j := p.queue.take(p.set.hosts, maxPassed, l.fair)
		if j == nil {
			j = p.queue.take(p.set.hosts, math.MaxInt, l.mayTake)
		}
		if j == nil {
			return
		}
		if p.over(j.file) || p.inFrontOf(j.file) {
			continue
		}
		p.begin(j)
		l.add(j)
	}
}

// begin has a job under way.
func (p *prefetcher) begin(j *job) {
	j.born = time.Now()
	if !slices.ContainsFunc(p.active, func(other *job) bool { return other.host == j.host }) {
		j.host.Expect()
	}
	p.active = append(p.active, j)
}

// takeLater takes the failed files whose time to be tried again has come, as
// far as there are places. It looks through them only when one is due.
func (p *prefetcher) takeLater() {
	if len(p.later) == 0 || time.Until(p.nextLater) > 0 {
		return
	}
	l := newLoads(p.set.opts.Jobs, p.active, p.queue)
	if l.live() >= l.most {
		return
	}
	p.nextLater = time.Now().Add(retryPermanent)
	for f, at := range p.later {
		h := p.set.hosts.Host(origin.Host(f.Entry().URL))
		if time.Until(at) > 0 || l.live() >= l.most || !l.mayTake(h) {
			if at.Before(p.nextLater) {
				p.nextLater = at
			}
			continue
		}
		delete(p.later, f)
		if !p.inFrontOf(f) && !slices.ContainsFunc(p.active, func(j *job) bool { return j.file == f }) {
			f.change(f.forgiveLocked)
			j := &job{file: f, host: h}
			p.begin(j)
			l.add(j)
		}
	}
}

// inFrontOf reports whether f is among the files that go before the order of the list.
func (p *prefetcher) inFrontOf(f *File) bool {
	_, in := p.inFront[f]
	return in
}

// gone is over for files in front.
func (p *prefetcher) gone(f *File) bool {
	over := p.over(f)
	if over {
		delete(p.inFront, f)
	}
	return over
}

// over reports whether prefetch has finished with f, for good or for now. A file that
// failed has another turn later, also if it failed in a probe before its first turn.
func (p *prefetcher) over(f *File) bool {
	if !f.over() {
		return false
	}
	if at, failed, passes := f.retryAt(); failed && (p.set.opts.Serve || passes) {
		if passes {
			p.set.client.Close() // the idle connections: files are open that can be spared
		}
		if len(p.later) == 0 || at.Before(p.nextLater) {
			p.nextLater = at
		}
		p.later[f] = at
	}
	return true
}

// over reports whether f has all its blocks, or failed.
func (f *File) over() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.loadLocked(nil); err != nil {
		f.failLocked(err)
		f.countLocked()
	}
	fi := f.fill()
	return f.mu.removed || f.mu.failure != nil || fi != nil && fi.blob.Complete()
}

// retryAt says when a failed file is worth another attempt. passes says that the
// failure is this process's own and passes by itself, or that another machine may have
// the file soon, so that a batch job tries again, too.
func (f *File) retryAt() (at time.Time, failed, passes bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch fail := f.mu.failure; {
	case fail == nil || f.mu.removed:
		return time.Time{}, false, false
	case origin.OutOfFiles(fail.err):
		return fail.at.Add(retryFiles), true, true
	case errors.Is(fail.err, cache.ErrNoSpace):
		return fail.at.Add(retryFull), true, false
	case f.set.peering.hopes(fail.err):
		return fail.at.Add(retryHoped), true, true
	case origin.KindOf(fail.err) == origin.Transient:
		return fail.at.Add(retryTransient), true, false
	default:
		return fail.at.Add(retryPermanent), true, false
	}
}

// forgiveLocked clears a failure, for another attempt.
func (f *File) forgiveLocked() {
	f.mu.failure = nil
	f.mu.mirrors.forgive()
	if fi := f.fill(); fi != nil && fi.digest != nil {
		fi.digest.halted = false
	}
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
	if !s.opts.Serve && p.diskFull() > 0 {
		return true, s.store.Full()
	}
	if !s.opts.Serve && len(p.later) > 0 { // of files that there were no descriptors for
		return false, nil
	}
	if len(p.front)+len(p.active) > 0 || !p.queue.empty() && s.opts.Prefetch == PrefetchAll || !s.idle() || s.digesting.Load() > 0 {
		return false, nil
	}
	if s.publishing.Load() > 0 {
		err := s.store.Sync(ctx)
		if err == nil {
			p.badSyncs = 0
			s.poke()
			return false, nil
		}
		if origin.OutOfFiles(err) {
			s.client.Close() // its idle connections
			return false, nil
		}
		if p.badSyncs++; p.badSyncs == maxBadSyncs && !s.opts.Serve {
			return true, err
		}
		return false, nil // said by the store; its next round tries again
	}
	if s.opts.Prefetch == PrefetchAll && s.unfinished() && (s.room == nil || !s.room.full()) {
		p.queue = newQueue(p.list.queue) // a failed sync took blocks back of a file that was through
		return false, nil
	}
	return !s.opts.Serve && s.idle(), nil
}

// idle reports whether nothing is in flight.
func (s *Set) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.running) == 0 && s.mu.growing == 0
}
