package fetch

import (
	"errors"
	"fmt"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// Change is what to do about a file that is found changed on its origin.
type Change string

// The policies. Whatever is chosen, a byte of one version is never shown as one
// of the other.
const (
	Restart Change = "restart" // fetch the new version; what there is of the old one goes
	Fail    Change = "fail"    // the file fails; nothing is removed
	Keep    Change = "keep"    // the file stays what it was, as far as it is there
)

// flightEnded takes a flight off the table and settles what its end means.
func (f *File) flightEnded(fl *flight, err error) {
	f.mu.Lock()
	f.removeLocked(fl)
	fl.mirror.landedLocked(fl)
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
	f.set.ended(fl)
	f.set.poke()
}

// settleLocked decides what a flight's error means for the file. It returns the
// error readers are to get, nil if they are to look again.
func (f *File) settleLocked(fl *flight, err error) error {
	kind := origin.KindOf(err)
	switch {
	case fl.blob.Complete():
		return nil // others brought it all: whatever this one met is of no matter
	case f.mu.blob != fl.blob:
		return ErrStale
	case errors.Is(err, cache.ErrNoSpace): // which is no failure of the file
		f.set.noteFull()
		return nil // who joined since looks again: readers are served through memory
	case originError(err) == nil:
		f.failLocked(err)
		return err
	}
	if kind == origin.NoRanges && !fl.whole && f.aloneLocked(fl.mirror) {
		if !f.mu.noRanges { // else another flight found out first
			f.mu.noRanges = true
			f.set.log.Info("origin sends only whole files; reading from the start", "name", f.name)
		}
		return nil
	}
	if ofOne, readers := f.rejoinLocked(fl, err); ofOne {
		return readers
	}
	others, hope := f.dropLocked(fl.mirror, err)
	if others {
		return nil
	}
	if origin.KindOf(hope) == origin.Changed {
		return f.changedLocked(fl.blob, hope)
	}
	if kind == origin.NeedsURL && fl.blob.Present() > 0 && f.set.opts.Split > 1 {
		hope = fmt.Errorf("%w; a URL that is good for one request needs --split=1", hope)
	}
	f.failLocked(hope)
	return hope
}

// aloneLocked reports whether no other mirror is left.
func (f *File) aloneLocked(m *mirror) bool {
	return f.pickLocked(func(other *mirror) bool { return other != m }) == nil
}

// changedLocked gives a version up that the origin no longer has, if that is the
// policy. The next contact pins the new one, in a new blob; handles of the old
// one go on as far as its blocks are present. A version only a HEAD had told is
// given up silently, since no byte of it was ever shown.
func (f *File) changedLocked(blob *cache.Blob, err error) error {
	policy := f.set.opts.OnChange
	switch {
	case !f.mu.proven && !f.mu.headLies:
		f.mu.headLies = true
		f.set.log.Info("HEAD and GET disagree; asking again with GET", "name", f.name, "err", err)
	case policy != Restart:
		f.set.log.Warn("file changed on its origin", "name", f.name, "policy", policy, "err", err)
		err = fmt.Errorf("%w; --on-change=restart fetches the new version", err)
		f.failLocked(err)
		return err
	default:
		if f.mu.changes++; f.mu.changes > maxChanges {
			err = fmt.Errorf("origin shows another version again and again: %w; if it is one file, --trust-size ignores what else differs while the content is the same", err)
			f.failLocked(err)
			return err
		}
		f.set.log.Warn("file changed on its origin; starting it again", "name", f.name, "err", err)
	}
	f.forgetVersionLocked(blob)
	return ErrStale
}

// forgetVersionLocked gives up the version that is pinned, and what there is of
// it. The next contact pins another.
func (f *File) forgetVersionLocked(blob *cache.Blob) {
	blob.Abandon()
	f.mu.blob, f.mu.proven, f.mu.digesting = nil, false, nil
	f.mu.mirrors = nil // what they pinned was of the old version
	for len(f.mu.flights) > 0 {
		fl := f.mu.flights[0]
		f.removeLocked(fl)
		fl.cancel() // its seats look again, and find the blob stale
	}
	f.countLocked()
}

// finishIfComplete has a complete blob published, once its digest is right.
func (f *File) finishIfComplete(blob *cache.Blob) {
	f.mu.Lock()
	if blob == nil || blob != f.mu.blob || !blob.Complete() {
		f.mu.Unlock()
		return
	}
	if d := f.mu.digesting; d != nil && !d.right {
		f.digestLocked()
		f.mu.Unlock()
		return
	}
	if blob.Published() || f.mu.publishing == blob {
		f.mu.Unlock()
		return
	}
	f.mu.publishing = blob
	f.mu.Unlock()
	f.set.publishing.Add(1)
	blob.Publish(func(err error) { f.published(blob, err) })
}

// published takes note of how publishing ended.
func (f *File) published(blob *cache.Blob, err error) {
	f.mu.Lock()
	if f.mu.publishing == blob {
		f.mu.publishing = nil
	}
	if err != nil && f.mu.blob == blob {
		f.mu.digesting = f.digestingLocked(blob) // blocks may have been taken back
		if blob.Complete() {
			f.failLocked(err)
			if !errors.Is(err, cache.ErrNoSpace) { // which is said once for all
				f.set.log.Error("file is complete but cannot be published", "name", f.name, "err", err)
			}
		}
	}
	f.countLocked()
	f.mu.Unlock()
	f.set.publishing.Add(-1)
	if errors.Is(err, cache.ErrNoSpace) {
		f.set.noteFull()
	}
	if err != nil {
		f.set.opened(f) // back to prefetch, which was through with it
	}
	f.set.poke()
}
