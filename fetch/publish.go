package fetch

import (
	"errors"

	"dlfs/cache"
)

// finishLocked moves a complete version on: its digest is computed, and once that is right,
// or none is known, the version is to be published. It reports whether the caller is to
// call publish, after it has released file.mu.
func (fi *fill) finishLocked() (publish bool) {
	if !fi.blob.Complete() {
		return false
	}
	if d := fi.digest; d != nil && !d.right {
		fi.digestLocked()
		return false
	}
	if fi.publishing || fi.blob.Published() || fi.staysBlob() {
		return false
	}
	fi.publishing = true
	return true
}

// staysBlob reports whether the version is not published when it is complete, so that blocks
// of it can be evicted.
func (fi *fill) staysBlob() bool {
	return fi.file.set.room != nil && !fi.file.pinned.Load() && !fi.blob.Replaces()
}

// publish asks the store to publish the version. It does not wait until that is done: the store
// calls published. A version that extends a file which stood there before is compared with that
// file first, which reads the disk and so has a goroutine of its own.
func (fi *fill) publish() {
	s := fi.file.set
	s.publishing.Add(1)
	if !fi.blob.Extends() {
		fi.blob.Publish(fi.published)
		return
	}
	if !s.begin() {
		fi.published(errClosing)
		return
	}
	go func() { // owned by the Set; Close waits
		defer s.flights.Done()
		err := fi.blob.Covers(s.ctx)
		switch {
		case s.ctx.Err() != nil:
			fi.published(errClosing)
		case err != nil:
			fi.published(err)
		default:
			fi.blob.Publish(fi.published)
		}
	}()
}

// published takes note of how publishing ended. The store calls it. It is no File.change,
// which would have what cannot be published be published again at once.
func (fi *fill) published(err error) {
	f := fi.file
	f.mu.Lock()
	fi.publishing = false
	if err != nil && err != errClosing && fi.current() {
		fi.digest = fi.newDigesting() // blocks may have been taken back
		if fi.blob.Complete() {
			f.failLocked(err)
			if !errors.Is(err, cache.ErrNoSpace) { // which is said once for all
				f.set.log.Error("file is complete but cannot be published", "name", f.name, "err", err)
			}
		}
	}
	if ms := f.mu.mirrors; err == nil && fi.current() && len(fi.flights) == 0 && f.set.room == nil && ms != nil && ms.mismatches == 0 {
		f.mu.mirrors = nil // half of the memory of a file that is complete; they are made again if need be
	}
	f.countLocked()
	f.mu.Unlock()
	if r := f.set.room; r != nil && err == nil {
		r.offer(fi)
	}
	f.set.publishing.Add(-1)
	if err == nil {
		f.set.log.Debug("file is complete", "name", f.name)
	} else {
		f.set.requeue(f) // prefetch was through with it
	}
	f.set.poke()
}
