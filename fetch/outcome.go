package fetch

import (
	"errors"
	"fmt"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// Change is what to do about a file that is found changed on its origin.
type Change string

// The policies. With each of them, a byte of one version is never shown as one
// of the other.
const (
	OnChangeRestart Change = "restart" // fetch the new version; what there is of the old one goes
	OnChangeFail    Change = "fail"    // the file fails; nothing is removed
	OnChangeKeep    Change = "keep"    // the file stays what it was, as far as it is there
)

// flightEnded takes a flight off the table and settles what its end means: nothing if it came to
// its end or if no reader wanted it any more, else what settleLocked decides. In one critical
// section the flight leaves the table and its readers are woken, so that no reader joins a flight
// that has ended.
func (fi *fill) flightEnded(fl *flight, err error) {
	f := fi.file
	f.change(func() {
		fl.tell()
		fi.flights.remove(fl)
		if fi.singleFor == fl { // the refusal of further streams may have passed with it
			fi.single, fi.singleFor = false, nil
		}
		fl.mirror.landed(fl)
		switch {
		case err == nil:
		case f.set.ctx.Err() != nil:
			err = errClosing
		case fl.ctx.Err() != nil:
			err = nil // no reader wanted it any more; one that joined since looks again
		default:
			err = fi.settleLocked(fl, err)
		}
		for s := range fl.seats {
			fl.seats.wake(s, err)
		}
	})
	f.set.ended(fl)
}

// settleLocked decides what a flight's error means for the file. It returns the
// error readers are to get, nil if they are to look again.
func (fi *fill) settleLocked(fl *flight, err error) error {
	f, kind := fi.file, origin.KindOf(err)
	switch {
	case fi.blob.Complete():
		return nil // others brought it all: what this flight met does not matter
	case !fi.current():
		return ErrStale
	case err == errElsewhere:
		return nil
	case errors.Is(err, cache.ErrNoSpace): // a full disk is no failure of the file
		return nil // a reader who joined since looks again: readers are served through memory
	case originError(err) == nil:
		f.failLocked(err)
		return err
	}
	if kind == origin.NoRanges && !fl.whole && f.mirrorsLocked().alone(fl.mirror) {
		if !fi.noRanges { // else another flight found out first
			fi.noRanges = true
			f.set.log.Info("origin sends only whole files; reading from the start", "name", f.name)
		}
		return nil
	}
	if ofOne, readers := fi.rejoinLocked(fl, err); ofOne {
		return readers
	}
	if fi.extents.tryOthers(fl.start, kind) {
		return nil
	}
	others, hope := f.dropLocked(fl.mirror, err)
	if others {
		return nil
	}
	if fi.misled(hope) {
		f.mu.conduct.peersLie = true
		f.set.log.Info("the origin has another version than other machines told of; asking the origin", "name", f.name, "err", hope)
		fi.giveUpLocked()
		return ErrStale
	}
	if kind := origin.KindOf(hope); kind == origin.Changed || kind == origin.Unproven && fi.toldByPeer() {
		return fi.changedLocked(hope)
	}
	if kind == origin.NeedsURL && fi.blob.Present() > 0 && f.set.opts.Split > 1 {
		hope = fmt.Errorf("%w; a URL that is good for one request needs --split=1", hope)
	}
	f.failLocked(hope)
	return hope
}

// dropLocked puts a mirror aside because of err. It reports whether others are left; if
// not, the error is the file's.
func (f *File) dropLocked(m *mirror, err error) (others bool, hope error) {
	others, hope = f.mirrorsLocked().drop(m, err)
	if others {
		f.set.log.Info("mirror dropped", "name", f.name, "err", err)
	}
	return others, hope
}

// changedLocked gives up a version that the origin no longer has, if that is the
// policy. The next contact pins the new one, in a new blob; handles of the old
// one go on as far as its blocks are present. A version only a HEAD had told is
// given up silently, since no byte of it was ever shown.
func (fi *fill) changedLocked(err error) error {
	f := fi.file
	f.mu.conduct.peersLie = f.mu.conduct.peersLie || fi.toldByPeer()
	policy := f.set.opts.OnChange
	switch {
	case !fi.proven && !f.mu.conduct.headLies:
		f.mu.conduct.headLies = true
		f.set.log.Info("HEAD and GET disagree; asking again with GET", "name", f.name, "err", err)
	case policy != OnChangeRestart:
		f.set.log.Warn("file changed on its origin", "name", f.name, "policy", policy, "err", err)
		err = fmt.Errorf("%w; --on-change=restart fetches the new version", err)
		f.failLocked(err)
		return err
	default:
		if f.mu.conduct.changes++; f.mu.conduct.changes > maxChanges {
			err = fmt.Errorf("origin shows another version again and again: %w; if it is one file, --trust-size ignores what else differs while the content is the same", err)
			f.failLocked(err)
			return err
		}
		f.set.log.Warn("file changed on its origin; starting it again", "name", f.name, "err", err)
	}
	fi.giveUpLocked()
	return ErrStale
}
