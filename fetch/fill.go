package fetch

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
)

// fill is one version of a file being filled: its blob, the flights that bring its
// blocks, its digest and its publishing. A File has one at a time; when the file is found
// changed on its origin, or its bytes are found wrong, another fill takes its place, and
// handles of the old one go on as far as its blocks are present.
//
// INVARIANT: a block is missing, in flight or present. The fill alone puts into its blob;
// a block leaves the table of flights only after Put has returned or when its flight is
// given up.
type fill struct {
	// Constant data
	file    *File
	blob    *cache.Blob
	extents *extents // nil if the set has no peers
	number  uint32   // by which the room knows it

	// What its readers get: the fill itself once a byte was shown, else another that has taken
	// its place for all of them; nil while neither is so.
	successor atomic.Pointer[fill]

	// Mutable, guarded by file.mu. A method whose name ends in Locked changes what
	// file.mu guards, and expects that it is held.
	flights    flights
	proven     bool       // a GET agreed with the version; a HEAD alone may lie
	noRanges   bool       // the origin sends only whole files
	single     bool       // the origin gives one stream of it at a time
	singleFor  *flight    // until it ends; nil if single holds for good
	demanded   time.Time  // when a reader last had to ask for blocks; zero if none has
	dense      density    // of what readers had to ask for
	digest     *digesting // as far as it is computed; nil if none is known
	publishing bool       // complete, and the store was asked to publish it
}

// pinLocked makes blob's version the file's.
func (f *File) pinLocked(blob *cache.Blob) *fill {
	fi := &fill{file: f, blob: blob, extents: f.set.peering.extents(f.name)}
	fi.digest = fi.newDigesting()
	f.mu.cur, f.mu.rest = fi, nil
	if r := f.set.room; r != nil {
		r.enlist(fi)
	}
	f.mu.failure = nil
	f.mu.mirrors.forgive()
	return fi
}

// restLocked puts the file to rest if no block of the version is present, as in most files
// of a long list: an outline of the version takes the place of the fill, which needs more
// memory. It is called for a new fill, before a reader or a flight has it.
func (fi *fill) restLocked() {
	f := fi.file
	if fi.proven || f.mu.mirrors != nil && f.mu.mirrors.mismatches > 0 {
		return
	}
	if o, ok := fi.blob.Outline(); ok {
		if r := f.set.room; r != nil {
			r.delist(fi)
		}
		f.mu.cur, f.mu.rest = nil, o
		f.mu.mirrors = nil
		f.countLocked()
	}
}

// fill returns the version that is being filled; nil if none is known, or if the
// length of the file is not known. The caller holds f.mu.
func (f *File) fill() *fill {
	fi, _ := f.mu.cur.(*fill)
	return fi
}

// current reports whether the fill's version is still the file's. The caller holds file.mu.
func (fi *fill) current() bool { return fi.file.mu.cur == localCopy(fi) }

// giveUpLocked gives up the version, and what there is of it. The next contact pins
// another.
func (fi *fill) giveUpLocked() {
	f := fi.file
	fi.blob.Abandon()
	if r := f.set.room; r != nil {
		r.delist(fi)
	}
	f.mu.cur = nil
	if ms := f.mu.mirrors; ms != nil {
		ms.list = nil // what they pinned was of the old version
	}
	for _, fl := range fi.flights {
		fl.cancel() // its seats look again, and find the fill stale
	}
	fi.flights = nil
}

func (fi *fill) copy() Copy            { return fi.blob }
func (fi *fill) acquire() error        { return fi.blob.Acquire() }
func (fi *fill) release()              { fi.blob.Release() }
func (fi *fill) has(off, n int64) bool { return fi.blob.Has(off, n) }

// shelvedRead is how much of a long read is made present at once while the disk is full,
// so that the end of it does not push its beginning out of memory.
const shelvedRead = 1 << 20

// readAt is the walk of every read: look, ensure, look again. It looks again because a block
// that was made present may be taken back meanwhile, by a sync that failed or by an eviction.
// It returns len(p) bytes or an error, and fewer bytes only at the end of the file, with io.EOF.
func (fi *fill) readAt(ctx context.Context, p []byte, off int64) (n int, err error) {
	if len(p) > shelvedRead && fi.file.set.throughMemory() {
		for n < len(p) && err == nil {
			var k int
			k, err = fi.readAt(ctx, p[n:min(n+shelvedRead, len(p))], off+int64(n))
			n += k
		}
		return n, err
	}
	awaits := false
	for {
		n, err := fi.blob.ReadAt(p, off)
		if !errors.Is(err, cache.ErrMissing) {
			return n, err
		}
		if r := fi.file.set.room; r != nil && !awaits {
			awaits = true
			defer r.await(fi, off, int64(len(p)))()
		}
		if err := fi.ensure(ctx, off, int64(len(p))); err != nil {
			return 0, err
		}
	}
}

// throughMemory reports whether some reads are served through memory now.
func (s *Set) throughMemory() bool { return !s.store.FullSince().IsZero() || s.store.Shelved() > 0 }

// ensure makes [off +n) present, or says why not. It blocks until then, or until ctx
// ends. Blocks in flight are joined; for missing ones a flight is launched over each run
// of them, all at once.
func (fi *fill) ensure(ctx context.Context, off, n int64) error {
	var began time.Time // the wait; zero while there was none
	for {
		seats, err := fi.sit(off, n)
		if len(seats) == 0 {
			return err
		}
		if began.IsZero() {
			began = time.Now()
			defer func() { fi.file.set.readWait.observe(time.Since(began)) }()
		}
		err = wait(ctx, seats)
		fi.stand(seats, errors.Is(err, context.Canceled))
		if err != nil {
			return err
		}
	}
}

// sit takes a seat for every missing run of [off +n). None means that all is
// present, or an error.
func (fi *fill) sit(off, n int64) (seats []*seat, err error) {
	f := fi.file
	f.mu.Lock()
	defer f.mu.Unlock()
	end := min(off+n, fi.blob.Version().Size)
	for off < end {
		mo, mn := fi.blob.Lacking(off, end-off)
		if mn == 0 {
			return seats, nil
		}
		if !fi.current() {
			return seats, ErrStale
		}
		fl := fi.flights.covering(mo)
		if fl != nil && !fi.single && !fl.soon(mo) {
			fl.cutLocked(mo)
			fl = nil
		}
		if fl == nil {
			if fl, err = fi.demandLocked(mo, mo+mn); err != nil {
				return seats, err
			}
		}
		s := fl.seats.take(fl, min(mo+mn, fl.end))
		fl.hurry()
		seats = append(seats, s)
		off = s.want
	}
	return seats, nil
}

// demandLocked launches a reader's flight over [off, end), as far as no other flight
// brings it.
func (fi *fill) demandLocked(off, end int64) (*flight, error) {
	f := fi.file
	m, end := fi.source(off, end)
	if err := f.mu.failure.recent(); err != nil && m.res != nil {
		return nil, err
	}
	if !f.set.begin() {
		return nil, errClosing
	}
	fi.demanded = time.Now()
	end = fi.widenLocked(off, end, m.host.Small())
	return fi.launchLocked(m, hosts.Demand, off, fi.flights.freeUntil(off, end)), nil
}

// stand gives up the seats that are still taken. A reader that was interrupted
// may be back at once; one that waited in vain had better find a fresh flight.
func (fi *fill) stand(seats []*seat, interrupted bool) {
	fi.file.mu.Lock()
	defer fi.file.mu.Unlock()
	for _, s := range seats {
		if !s.flight.seats.leave(s) {
			continue
		}
		if d := s.flight.lingers(); interrupted && d > 0 {
			s.flight.leaveIn(d)
			continue
		}
		s.flight.leaveLocked()
	}
}

// unassigned returns the first run of [off, end) that is neither present nor in flight; n
// is 0 if there is none. The caller holds file.mu.
func (fi *fill) unassigned(off, end int64) (int64, int64) {
	for off < end {
		mo, mn := fi.blob.Missing(off, end-off)
		if mn == 0 {
			return 0, 0
		}
		mo, mn = max(mo, off), min(mo+mn, end)-max(mo, off)
		fl := fi.flights.covering(mo)
		if fl == nil {
			return mo, fi.flights.freeUntil(mo, mo+mn) - mo
		}
		off = fl.end
	}
	return 0, 0
}

// flights is the table of the flights of one fill, in the order of their launch.
type flights []*flight

// covering returns the flight that will bring the block at off, nil if there is none.
func (fs flights) covering(off int64) *flight {
	for _, fl := range fs {
		if fl.pos <= off && off < fl.end {
			return fl
		}
	}
	return nil
}

// freeUntil shortens [off, end) to where the next flight begins.
func (fs flights) freeUntil(off, end int64) int64 {
	for _, fl := range fs {
		if fl.pos >= off && fl.pos < end && fl.pos < fl.end {
			end = fl.pos
		}
	}
	return end
}

// remove takes a flight off the table, if it is there.
func (fs *flights) remove(fl *flight) {
	if i := slices.Index(*fs, fl); i >= 0 {
		*fs = slices.Delete(*fs, i, i+1)
	}
}

// bulk counts the flights of prefetch.
func (fs flights) bulk() (n int) {
	for _, fl := range fs {
		if fl.class == hosts.Bulk {
			n++
		}
	}
	return n
}
