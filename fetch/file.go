package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// ErrStale is returned for a missing block of a version that is no longer the
// file's: its bytes can never be had.
var ErrStale = errors.New("the file changed on its origin; open it again")

const (
	// failureMemory is for how long an error answers readers without asking the
	// origin again: one failed read of an application comes as two.
	failureMemory = time.Second

	// needsURLMemory is the same for a URL that is no good: a reload ends it.
	needsURLMemory = 30 * time.Second

	// maxChanges is how often in one run a file may be found changed before its
	// origin is taken to have no single version of it.
	maxChanges = 3
)

// File is one entry of the list being materialized: a name, and the version of it that
// is being filled. It is safe for concurrent use.
//
// INVARIANT: while failure is nil, a mirror may be asked.
type File struct {
	// Constant data
	set  *Set
	name string

	order    atomic.Int32 // in the list
	lastRead atomic.Int64 // where the last read ended: prefetch goes on there
	pinned   atomic.Bool  // it is never evicted
	loaded   atomic.Bool  // the store was asked what it has; set under mu, which is held meanwhile

	mu struct {
		lockorder.Mutex[lockorder.File]
		entry   *listfile.Entry // as the list has it now; never changed, only replaced
		mirrors *mirrors        // nil until first asked for
		cur     localCopy       // nil until the version is known, and while the file is at rest
		rest    *cache.Outline  // of a file at rest: its version is known, and no block is present; else nil
		contact *contact        // the first contact under way, nil if there is none
		failure *failure        // the last error, nil once something succeeded
		conduct conduct         // what its origin was found to do
		counted tally           // what the set's totals have of the file
		removed bool            // the list has it no longer
	}
}

// conduct is what the origin of a file was found to do, in this run. The value is guarded by
// File.mu. A list of a million files has a million of them, so the counters are small.
type conduct struct {
	cutAt    int64 // one more than where a body of unknown length ended with its TLS connection; 0 for nowhere
	changes  int16 // how often the file was found changed; at most maxChanges + 1
	restarts int16 // how often a body of unknown length broke off; at most maxRestarts
	headLies bool  // a GET disagreed with a HEAD: HEAD is not asked again
	peersLie bool  // a peer told another version than the origin: peers are not asked again
}

// change is the way out of every event of a file: do changes the file under its lock, then
// the set counts the file anew, a complete version goes on to its digest or is published,
// and prefetch looks again. It blocks for the lock alone.
func (f *File) change(do func()) {
	f.mu.Lock()
	do()
	f.countLocked()
	fi := f.fill()
	publish := fi != nil && fi.finishLocked()
	if fi != nil {
		fi.check()
	}
	f.mu.Unlock()
	if publish {
		fi.publish()
	}
	f.set.poke()
}

// errClosing is the error of every call that the closing of the set cut short.
var errClosing = errors.New("dlfs is stopping")

// failure is an error and when it came.
type failure struct {
	err error
	at  time.Time
}

// recent returns the error if it is fresh enough to be answered again; fail may be nil.
func (fail *failure) recent() error {
	if fail == nil {
		return nil
	}
	memory := failureMemory
	if origin.KindOf(fail.err) == origin.NeedsURL {
		memory = needsURLMemory
	}
	if time.Since(fail.at) < memory {
		return fail.err
	}
	return nil
}

// changed returns the error if it says that the origin has another version; fail may be
// nil.
func (fail *failure) changed() error {
	if fail != nil && origin.KindOf(fail.err) == origin.Changed {
		return fail.err
	}
	return nil
}

// Name is the entry's slash-separated path.
func (f *File) Name() string { return f.name }

// Entry is the file as the list has it. It holds the URLs with their secrets,
// and is the set's.
func (f *File) Entry() *listfile.Entry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.entry
}

// URL is the entry's URL with what is secret in it left out.
func (f *File) URL() string { return origin.Redact(f.Entry().URL) }

// Copy is the local copy of one version of a file: a *cache.Blob, a *cache.Outline while
// nothing is there and no handle is open, or, while the length of the file is not known, a
// *cache.Stream.
type Copy interface {
	Generation() uint64
	Version() cache.Version // of a stream, the size is the bytes so far; of an outline, without validators
	ModTime() time.Time     // that the origin gave the version, zero if none
	Present() int64         // bytes
	Published() bool        // complete, durable, and a file of the output directory
}

// localCopy is what there is of a file: a *fill, or, while the length of the file is not
// known, a *growth.
type localCopy interface {
	copy() Copy
	acquire() error // keeps the copy's file open, until release
	release()
	has(off, n int64) bool // can be read without waiting
	readAt(ctx context.Context, p []byte, off int64) (int, error)
}

// copy is what there is of the file, nil while nothing is known. The caller holds f.mu.
func (f *File) copy() Copy {
	switch {
	case f.mu.cur != nil:
		return f.mu.cur.copy()
	case f.mu.rest != nil:
		return f.mu.rest
	}
	return nil
}

// load takes, once, what earlier runs left of the file. If lookup is nil, the store is asked
// for it. A file without a present block is at rest afterwards. After an error the file is
// not loaded, and the next caller meets the error again.
func (f *File) load(lookup func() (*cache.Blob, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.loaded.Load() {
		return
	}
	f.set.sayUnreadable(f, f.loadLocked(lookup))
	if fi := f.fill(); fi != nil {
		fi.restLocked()
	}
}

// loadLocked asks the store once for what it has of the file, with lookup if that is not nil, and
// pins the fill of it; a file at rest is woken. It reads the disk. An error leaves the file not
// loaded, for the next caller to try again.
func (f *File) loadLocked(lookup func() (*cache.Blob, error)) error {
	if f.loaded.Load() && f.mu.rest == nil {
		return nil
	}
	if !f.set.begin() { // Close waits: the store may be closed after it
		return errClosing
	}
	defer f.set.flights.Done()
	if rest := f.mu.rest; rest != nil {
		lookup = func() (*cache.Blob, error) { return f.set.store.Restore(f.name, rest) }
	} else if lookup == nil {
		lookup = func() (*cache.Blob, error) { return f.set.store.Lookup(f.name) }
	}
	blob, err := lookup()
	if err != nil {
		return err
	}
	if blob != nil {
		if blob, err = f.set.revert(blob, f.mu.entry); err != nil {
			return err
		}
	}
	f.loaded.Store(true)
	f.mu.rest = nil
	if blob != nil {
		f.pinLocked(blob).proven = blob.Present() > 0
	}
	f.countLocked()
	return nil
}

// Known is what there is of the file, nil while its version is not known, or the
// store not asked yet. It does not block, not even for the disk: a caller
// that lists a directory would else wait for one file after the other while they are
// loaded.
func (f *File) Known() Copy {
	if !f.loaded.Load() {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.copy()
}

// Blob returns the file's blob, which holds its version; nil while that is not
// known. It does not block for the network.
func (f *File) Blob() *cache.Blob {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.set.sayUnreadable(f, f.loadLocked(nil))
	if fi := f.fill(); fi != nil {
		return fi.blob
	}
	return nil
}

// sayUnreadable logs why a file could not be loaded, if it could not.
func (s *Set) sayUnreadable(f *File, err error) {
	if err != nil && err != errClosing {
		s.log.Error("state of a file cannot be read", "name", f.name, "err", err)
	}
}

// failLocked remembers an error, unless it only says that everything stops.
func (f *File) failLocked(err error) {
	if errors.Is(err, errClosing) || f.set.ctx.Err() != nil {
		return
	}
	if fi := f.fill(); fi != nil && fi.blob.Replaces() && !fi.blob.Extends() {
		err = fmt.Errorf("%w; the file with the wrong digest stays in the output directory", err)
	} else if fi != nil && fi.blob.Note().Refuted != "" && !errors.Is(err, ErrMismatch) {
		err = fmt.Errorf("%w; the bytes with the wrong digest are kept until others come, and are used if the list gets their digest", err)
	}
	f.mu.failure = &failure{err: err, at: time.Now()}
	f.countLocked()
	if f.mu.counted.state == needsURL {
		f.set.sayNeedsURL(f, err)
	}
}
