package fetch

import (
	"errors"
	"fmt"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// flightEnded takes a flight off the table and settles what its end means.
func (f *File) flightEnded(fl *flight, err error) {
	f.mu.Lock()
	f.removeLocked(fl)
	switch {
	case err == nil:
	case f.set.ctx.Err() != nil:
		err = errClosing
	case fl.ctx.Err() != nil:
		err = nil // nobody wanted it any more; whoever joined since looks again
	default:
		err = f.settleLocked(fl, err)
	}
	for s := range fl.seats {
		fl.wakeLocked(s, err)
	}
	f.countLocked()
	f.mu.Unlock()
	f.finishIfComplete(fl.blob)
	f.set.ended(fl, err)
	f.set.poke()
}

// settleLocked decides what a flight's error means for the file. It returns the
// error readers are to get, nil if they are to look again.
func (f *File) settleLocked(fl *flight, err error) error {
	switch kind := origin.KindOf(err); {
	case fl.blob.Complete():
		return nil // others brought it all: whatever this one met is of no matter
	case f.mu.blob != fl.blob:
		return ErrStale
	case kind == origin.NoRanges && !fl.whole:
		if !f.mu.noRanges { // else another flight found out first
			f.mu.noRanges = true
			f.set.log.Info("origin sends only whole files; reading from the start", "name", f.name)
		}
		return nil
	case kind == origin.Changed:
		return f.changedLocked(fl.blob, err)
	}
	if !errors.Is(err, cache.ErrNoSpace) { // which is no failure of the file
		f.failLocked(err)
	}
	return err
}

// changedLocked gives a version up that the origin no longer has. The next
// contact pins the new one, in a new blob; handles of the old one go on as far
// as its blocks are present. A version only a HEAD had told is given up
// silently, since no byte of it was ever shown.
func (f *File) changedLocked(blob *cache.Blob, err error) error {
	if !f.mu.proven && !f.mu.headLies {
		f.mu.headLies = true
		f.set.log.Info("HEAD and GET disagree; asking again with GET", "name", f.name, "err", err)
	} else if f.mu.changes++; f.mu.changes > maxChanges {
		err = fmt.Errorf("origin shows another version again and again: %w", err)
		f.failLocked(err)
		return err
	} else {
		f.set.log.Warn("file changed on its origin; starting it again", "name", f.name, "err", err)
	}
	blob.Abandon()
	f.mu.blob, f.mu.proven = nil, false
	for len(f.mu.flights) > 0 {
		fl := f.mu.flights[0]
		f.removeLocked(fl)
		fl.cancel() // its seats look again, and find the blob stale
	}
	f.countLocked()
	return ErrStale
}

// finishIfComplete has a complete blob published.
func (f *File) finishIfComplete(blob *cache.Blob) {
	f.mu.Lock()
	if blob == nil || blob != f.mu.blob || !blob.Complete() || blob.Published() || f.mu.publishing == blob {
		f.mu.Unlock()
		return
	}
	f.mu.publishing = blob
	f.mu.Unlock()
	f.set.publishing.Add(1)
	blob.Publish(func(err error) {
		f.mu.Lock()
		if f.mu.publishing == blob {
			f.mu.publishing = nil
		}
		if err != nil && blob.Complete() { // else a failed sync took blocks back
			f.failLocked(err)
			f.set.log.Error("file is complete but cannot be published", "name", f.name, "err", err)
		}
		f.countLocked()
		f.mu.Unlock()
		f.set.publishing.Add(-1)
		if err != nil {
			f.set.opened(f) // back to prefetch, which was through with it
		}
		f.set.poke()
	})
}
