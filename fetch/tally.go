package fetch

import (
	"errors"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// state is what a person is told of a file.
type state uint8

const (
	unknown  state = iota // nothing is known yet, not even its size
	waiting               // incomplete, and nothing is in flight
	fetching              // incomplete, and something is in flight
	complete              // published: a file of the output directory; with a bound, all its blocks are present
	failed                // the last attempt failed; more may follow
	needsURL              // its URL is not, or no longer, good: a reload brings it back
	mismatch              // its bytes have another digest than they must
	states                // how many there are
)

// String returns the state as status and metrics show it.
func (s state) String() string {
	return [...]string{"unknown", "waiting", "fetching", "complete", "failed", "needs-url", "mismatch"}[s]
}

// tally is what the totals of a Set hold of one file.
type tally struct {
	size  int64
	blob  *cache.Blob // of a file that is incomplete and not at rest
	state state
	known bool // the size is known
}

// tally describes the file as it is. A file has one state: the first of mismatch, complete,
// needs-url, failed, waiting and fetching that is true of it, else unknown. The caller holds f.mu.
func (f *File) tally() (t tally) {
	fi := f.fill()
	if c := f.copy(); fi != nil || f.mu.rest != nil {
		t.known, t.size = true, c.Version().Size
	} else if size := f.mu.entry.Said().Size; size >= 0 && f.set.opts.Serve {
		t.known, t.size = true, size // the origin may never be asked for it
	}
	switch fail := f.mu.failure; {
	case fail != nil && errors.Is(fail.err, ErrMismatch):
		t.state = mismatch
	case fi != nil && (fi.blob.Published() || fi.staysBlob() && fi.blob.Complete()) && (fi.digest == nil || fi.digest.right):
		t.state = complete
	case fail != nil && origin.KindOf(fail.err) == origin.NeedsURL:
		t.state = needsURL
	case fail != nil:
		t.state = failed
	case f.mu.rest != nil || fi != nil && len(fi.flights) == 0:
		t.state = waiting
	case f.mu.cur != nil:
		t.state = fetching
	}
	if fi != nil && t.state != complete {
		t.blob = fi.blob
	}
	return t
}

// countLocked tells the Set what the file has become, if that has changed since the last time:
// the Set takes the old tally out of its totals and puts the new one in.
func (f *File) countLocked() {
	if is := f.tally(); is != f.mu.counted && !f.mu.removed {
		f.set.count(f, f.mu.counted, is)
		f.mu.counted = is
	}
}

// tallies are the tallies of all files of a Set, added up. The value is guarded by Set.mu.
type tallies struct {
	counts        [states]int
	knownFiles    int
	knownBytes    byteSum
	completeBytes byteSum
	partial       map[*File]*cache.Blob // version known, incomplete
}

// add counts a file in, with sign 1, or out, with sign -1.
func (ts *tallies) add(t tally, sign int) {
	ts.counts[t.state] += sign
	if t.known {
		ts.knownFiles += sign
		ts.knownBytes.add(int64(sign) * t.size)
	}
	if t.state == complete {
		ts.completeBytes.add(int64(sign) * t.size)
	}
}

// allComplete reports whether every file is complete.
func (ts *tallies) allComplete() bool { return ts.counts[complete] == ts.files() }

// files is how many files are counted.
func (ts *tallies) files() (n int) {
	for _, c := range ts.counts {
		n += c
	}
	return n
}

// count moves a file from one tally to another. The caller holds f.mu.
func (s *Set) count(f *File, was, is tally) {
	if is.state == complete && was.state != complete && was.state != unknown && s.opts.OnComplete != nil {
		s.opts.OnComplete(f)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	ts := &s.mu.tallies
	ts.add(was, -1)
	ts.add(is, 1)
	if is.blob != nil {
		ts.partial[f] = is.blob
	} else {
		delete(ts.partial, f)
	}
	if is.state == complete && ts.allComplete() {
		s.finish()
	}
}

// forget takes a file out of the tallies.
func (s *Set) forget(f *File, was tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.tallies.add(was, -1)
	delete(s.mu.tallies.partial, f)
}

// unfinished reports whether some file is neither complete nor failed.
func (s *Set) unfinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	count := &s.mu.tallies.counts
	return count[unknown]+count[waiting]+count[fetching] > 0
}
