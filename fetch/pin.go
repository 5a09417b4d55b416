package fetch

import (
	"errors"

	"dlfs/cache"
)

// SetPinned has the file stay on disk where the store has a bound: nothing of it is evicted,
// prefetch fetches it first and has room made for it, and it is published when it is
// complete. Off, blocks of it may go again, unless it is published already. It does not wait
// for the network.
func (f *File) SetPinned(on bool) {
	if f.pinned.Swap(on) == on {
		return
	}
	if on {
		f.set.pinned.Add(1)
	} else {
		f.set.pinned.Add(-1)
	}
	f.change(func() {
		if fi := f.fill(); fi != nil && f.set.room != nil && !on {
			f.set.room.offer(fi)
		}
	})
	if on {
		f.set.requeue(f)
	}
}

// Pinned reports whether SetPinned was called.
func (f *File) Pinned() bool { return f.pinned.Load() }

// Evict takes all blocks of the file off the disk, but for those that a reader waits for,
// and returns how many bytes that were: 0 if the file is pinned or published, or the kernel
// reads it by itself. It blocks for the disk.
func (f *File) Evict() (int64, error) {
	r := f.set.room
	if r == nil {
		return 0, errors.New("nothing can be evicted: the mount has no --max-size")
	}
	f.Blob() // loads it
	f.mu.Lock()
	fi := f.fill()
	f.mu.Unlock()
	if fi == nil || f.Pinned() {
		return 0, nil
	}
	return r.evict(map[*fill][]cache.Extent{fi: r.unawaited(fi)}, map[*fill]bool{}), nil
}

// BoundStatus is how a set fares in a store whose size is bounded. All figures but FilesPinned
// are bytes.
type BoundStatus struct {
	Max       int64 `json:"max_bytes"`       // what dlfs may have on disk
	Used      int64 `json:"used_bytes"`      // what it has, and what its state may grow by
	State     int64 `json:"state_bytes"`     // of that, the state and what it may grow by
	Evicted   int64 `json:"evicted_bytes"`   // since start
	Refetched int64 `json:"refetched_bytes"` // of origin_bytes, what had been evicted before
	Read      int64 `json:"read_bytes"`      // what readers asked for, since start
	Hit       int64 `json:"hit_bytes"`       // of that, what was present
	Pinned    int64 `json:"files_pinned"`
	Stopped   bool  `json:"prefetch_stopped"` // there is prefetch, and no room for what no reader asked for
}

// Bound returns the figures as they are now, nil if the store has no bound. It does not block.
func (s *Set) Bound() *BoundStatus {
	r := s.room
	if r == nil {
		return nil
	}
	now := s.store.Room()
	b := &BoundStatus{Max: now.Max, Used: now.Used, State: now.State, Read: r.reads.Load(), Hit: r.hits.Load(), Pinned: s.pinned.Load(),
		Stopped: r.full() && s.opts.Prefetch != PrefetchNone}
	r.mu.Lock()
	defer r.mu.Unlock()
	b.Evicted, b.Refetched = r.mu.evicted, r.mu.refetched
	return b
}

// SetMaxSize changes the bound of a store that has one. What is above it is evicted in the
// background.
func (s *Set) SetMaxSize(n int64) error {
	if err := s.store.SetMaxSize(n); err != nil {
		return err
	}
	if s.room != nil {
		s.room.poke()
	}
	s.poke()
	return nil
}
