package fetch

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/fetch/origin"
)

// ErrStale is returned for a missing block of a version that is no longer the
// file's: its bytes can never be had.
var ErrStale = errors.New("the file changed on its origin; open it again")

const (
	// failureMemory is for how long an error answers readers without asking the
	// origin again: one failed read of an application comes as two.
	failureMemory = time.Second

	// maxChanges is how often in one run a file may be found changed before its
	// origin is taken to have no single version of it.
	maxChanges = 3
)

// File is one entry being materialized. It is safe for concurrent use.
//
// INVARIANT: a block is missing, in flight or present. The File puts into its
// Blob alone; a block leaves the flight table only after Put has returned or
// when its flight is given up.
type File struct {
	// Constant data
	set   *Set
	order int32 // in the list
	name  string
	url   string

	asked    atomic.Pointer[origin.Resource] // what is known of url, once it was asked
	budget   atomic.Pointer[host]
	lastRead atomic.Int64 // where the last read ended: prefetch goes on there

	mu struct {
		sync.Mutex
		loaded     bool          // the store was asked what it has
		blob       *cache.Blob   // nil until the version is known
		proven     bool          // a GET agreed with the version; a HEAD alone may lie
		noRanges   bool          // the origin sends only whole files
		probing    chan struct{} // closed when the first contact under way ends; else nil
		flights    []*flight
		failure    *failure    // the last error, nil once something succeeded
		publishing *cache.Blob // complete, and the store was asked to publish it
		headLies   bool        // a GET disagreed with a HEAD: HEAD is not asked again
		changes    int
		counted    tally // as which the set counts it
	}
}

// errClosing answers whoever still wants something when the set is closing.
var errClosing = errors.New("dlfs is stopping")

// failure is an error and when it came.
type failure struct {
	err error
	at  time.Time
}

// Name is the entry's slash-separated path.
func (f *File) Name() string { return f.name }

// URL is the entry's URL with what is secret in it left out.
func (f *File) URL() string { return origin.Redact(f.url) }

// resource is what is known of the file's URL.
func (f *File) resource() *origin.Resource {
	if f.asked.Load() == nil {
		f.asked.CompareAndSwap(nil, f.set.client.Resource(f.url, origin.ResourceOptions{Name: f.name, Pinned: true}))
	}
	return f.asked.Load()
}

// errNoLength is of a file that cannot be kept in blocks.
var errNoLength = &origin.Error{Kind: origin.Permanent, Err: errors.New("origin does not say how long the file is")}

// host is the budget the file's requests are drawn from.
func (f *File) host() *host {
	h := f.budget.Load()
	if h == nil {
		h = f.set.budget.host(origin.Host(f.url))
		f.budget.Store(h)
	}
	return h
}

// loadLocked asks the store, once, what earlier runs left.
func (f *File) loadLocked() error {
	if f.mu.loaded {
		return nil
	}
	if !f.set.begin() { // Close waits: the store may be closed after it
		return errClosing
	}
	defer f.set.flights.Done()
	blob, err := f.set.store.Lookup(f.name)
	if err != nil {
		return err
	}
	f.mu.loaded = true
	if blob != nil {
		f.mu.proven = blob.Present() > 0
		f.setBlobLocked(blob)
	}
	return nil
}

// setBlobLocked pins a version.
func (f *File) setBlobLocked(blob *cache.Blob) {
	f.mu.blob = blob
	f.mu.failure = nil
	f.countLocked()
}

// KnownGeneration is the generation of the file's version, 0 while that is not
// known. It does not block, not even for the disk.
func (f *File) KnownGeneration() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.blob == nil {
		return 0
	}
	return f.mu.blob.Generation()
}

// Blob returns the file's blob, which holds its version; nil while that is not
// known. It does not block.
func (f *File) Blob() *cache.Blob {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.loadLocked(); err != nil && err != errClosing {
		f.set.log.Error("state of a file cannot be read", "name", f.name, "err", err)
	}
	return f.mu.blob
}

// Probe returns the file's blob, asking the origin for the version if it is not
// known. It blocks for the network, until ctx ends. While it waits, prefetch
// gives way.
func (f *File) Probe(ctx context.Context) (*cache.Blob, error) { return f.contact(ctx, true) }

func (f *File) contact(ctx context.Context, urgent bool) (*cache.Blob, error) {
	for {
		f.mu.Lock()
		err := f.loadLocked()
		blob, probing := f.mu.blob, f.mu.probing
		if blob == nil && err == nil && probing == nil {
			if err = f.recentLocked(); err == nil {
				if probing = f.contactLocked(func() { f.probe(urgent) }); probing == nil {
					err = errClosing
				}
			}
		}
		f.mu.Unlock()
		if blob != nil || err != nil {
			return blob, err
		}
		select {
		case <-probing:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// recentLocked returns an error that is fresh enough to be answered again.
func (f *File) recentLocked() error {
	if f.mu.failure != nil && time.Since(f.mu.failure.at) < failureMemory {
		return f.mu.failure.err
	}
	return nil
}

// contactLocked runs first contact in the background: once, however many ask.
// what must call contacted. It returns nil if the set is closing.
func (f *File) contactLocked(what func()) chan struct{} {
	if !f.set.begin() {
		return nil
	}
	f.mu.probing = make(chan struct{})
	go func() { // owned by the Set; Close waits
		defer f.set.flights.Done()
		what()
	}()
	return f.mu.probing
}

// probe asks for the version with the least traffic. When nobody waits for it,
// it takes no reader's place.
func (f *File) probe(urgent bool) {
	blob, err := f.askVersion(urgent)
	f.contacted(blob, err)
}

func (f *File) askVersion(urgent bool) (*cache.Blob, error) {
	if urgent {
		host := f.host()
		if err := host.takeReader(f.set.ctx); err != nil {
			return nil, err
		}
		defer host.putReader()
	}
	f.mu.Lock()
	useHead := !f.mu.headLies
	f.mu.Unlock()
	v, head, err := f.resource().Probe(f.set.ctx, useHead)
	if err != nil {
		return nil, err
	}
	if v.Size == origin.UnknownSize {
		return nil, errNoLength
	}
	blob, err := f.set.store.Create(f.name, cache.Version(v))
	if err == nil && head != nil {
		f.proved()
		if err := keepHead(blob, head); err != nil { // the version is known all the same
			f.set.log.Warn("first block is not kept", "name", f.name, "err", err)
		}
	}
	return blob, err
}

func (f *File) proved() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mu.proven = true
}

// keepHead stores the first bytes a probe brought, as far as they are blocks.
func keepHead(blob *cache.Blob, head []byte) error {
	if n := int64(len(head)); n == 0 || n%cache.BlockSize != 0 && n != blob.Version().Size {
		return nil
	}
	if err := blob.Acquire(); err != nil {
		return err
	}
	defer blob.Release()
	return blob.Put(0, head)
}

// contacted ends first contact.
func (f *File) contacted(blob *cache.Blob, err error) {
	f.mu.Lock()
	if err == nil {
		f.setBlobLocked(blob)
	} else {
		f.failLocked(err)
	}
	f.contactedLocked()
	f.mu.Unlock()
	f.finishIfComplete(blob)
	f.set.poke()
}

// contactedLocked wakes who waits for first contact.
func (f *File) contactedLocked() {
	close(f.mu.probing)
	f.mu.probing = nil
}

// failLocked remembers an error, unless it only says that everything stops.
func (f *File) failLocked(err error) {
	if errors.Is(err, errClosing) || f.set.ctx.Err() != nil {
		return
	}
	f.mu.failure = &failure{err: err, at: time.Now()}
	f.countLocked()
}

// readAt is the walk of every read: look, ensure, look again.
func (f *File) readAt(ctx context.Context, blob *cache.Blob, p []byte, off int64) (int, error) {
	for {
		n, err := blob.ReadAt(p, off)
		if !errors.Is(err, cache.ErrMissing) {
			return n, err
		}
		if err := f.ensure(ctx, blob, off, int64(len(p))); err != nil {
			return 0, err
		}
	}
}

var _ io.ReaderAt = (*Handle)(nil)
