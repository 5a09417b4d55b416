package fetch

import "time"

// retryFull is how long prefetch leaves a full disk alone before it looks for room again.
const retryFull = 5 * time.Second

// diskFull returns how long prefetch pauses because the disk is full, 0 if it has room. It
// logs the beginning of a pause and its end once each. Readers are served meanwhile through
// memory, see cache.Blob.Shelve.
func (p *prefetcher) diskFull() time.Duration {
	full := p.set.store.FullSince()
	wait := time.Until(full.Add(retryFull))
	switch {
	case full.IsZero():
		wait = 0
	case wait <= 0:
		if wait = retryFull; p.set.relieve() {
			wait = 0
		}
	}
	if wait > 0 && !p.full {
		p.set.log.Warn("disk is full: prefetch pauses until there is room", "dir", p.set.store.Path(), "err", p.set.store.Full())
	}
	if wait == 0 && p.full {
		p.set.log.Info("there is room on the disk again", "dir", p.set.store.Path())
	}
	p.full = wait > 0
	return wait
}

// relieve reports whether a full disk has room again. What was kept in memory is on disk
// then, and its files may be complete.
func (s *Set) relieve() bool {
	blobs, ok := s.store.Relieve()
	for _, b := range blobs {
		if f := s.File(b.Name()); f != nil {
			f.change(func() {
				if fi := f.fill(); fi != nil && s.room != nil {
					s.room.offer(fi) // the room has not seen these blocks come
				}
			})
		}
	}
	return ok
}
