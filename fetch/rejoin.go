package fetch

import (
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
)

// rejoinLocked reports whether the refusal of a flight's request, with err, says
// nothing of the URL, because another flight of the file is under way from the
// same URL: the origin gives one stream at a time, or the URL is good for one
// request. That flight goes on over what the refused one was to bring, as far as
// its request reaches, and until it has ended no other is launched. Readers of
// the refused flight look again, or get what is returned for them.
func (fi *fill) rejoinLocked(fl *flight, err error) (ofOne bool, readers error) {
	if fl.body != nil || !isRefusal(err) {
		return false, nil
	}
	spared := originError(err).Spared() // it was not tried again, so nothing has failed
	var runs *flight
	for _, other := range fi.flights {
		if other.mirror != fl.mirror || !spared && other.pos == other.start || other.pos >= other.end {
			continue
		}
		if runs == nil || other.end == fl.pos {
			runs = other
		}
	}
	if runs == nil {
		return spared, nil
	}
	if !fi.single {
		fi.single = true
		if origin.KindOf(err) == origin.Transient {
			fi.singleFor = runs
		}
		fi.file.set.log.Info("origin gives one stream of a file at a time", "name", fi.file.name, "err", err)
	}
	if runs.end <= fl.pos && fl.pos < runs.reach {
		runs.end = max(runs.end, min(fi.flights.freeUntil(runs.end, fl.end), runs.reach))
	}
	if runs.end <= fl.pos && (fl.class != hosts.Bulk || origin.KindOf(err) != origin.Transient) {
		readers = err // a reader who joined prefetch asks once more for himself
	}
	return true, readers
}

// isRefusal reports whether an origin answered with a status that refuses, and
// with nothing that concerns the version.
func isRefusal(err error) bool {
	e := originError(err)
	if e == nil || e.Status < 400 {
		return false
	}
	switch e.Kind {
	case origin.Transient, origin.Permanent, origin.NotFound, origin.NeedsURL:
		return true
	}
	return false
}
