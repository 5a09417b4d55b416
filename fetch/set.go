package fetch

import (
	"cmp"
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// Mode is what prefetch fetches.
type Mode string

// The modes of prefetch.
const (
	PrefetchAll    Mode = "all"    // every file
	PrefetchOpened Mode = "opened" // files that have been opened, to their end
	PrefetchNone   Mode = "none"   // what readers read, and are likely to read next
)

// Options for New. The zero value is useful.
type Options struct {
	// Log gets what is worth a person's attention. If nil, nothing is logged.
	Log *slog.Logger

	// Jobs is how many files prefetch works on at once. If zero, 8.
	Jobs int

	// Split is how many flights prefetch spreads over one file, when there are
	// places free. If zero, 4.
	Split int

	// MaxPerHost is how many requests prefetch may have open on one host;
	// readers and their read-ahead have as many each. If zero, 8.
	MaxPerHost int

	// MaxFiles is how many files readers may have open at once; opening one more
	// fails with EMFILE. If zero, there is no limit.
	MaxFiles int

	// Prefetch is what Run fetches. If empty, PrefetchAll.
	Prefetch Mode

	// Order is in which order prefetch takes the files. If empty, ListOrder.
	Order Order

	// OnChange is what to do when a file is found changed on its origin. If
	// empty, OnChangeRestart.
	OnChange Change

	// TrustSize takes a version of the same size for the same version when a
	// new URL or another mirror gives no other proof.
	TrustSize bool

	// AdoptPartial takes over files that another program left unfinished in the output
	// directory, where pieces of them are the origin's.
	AdoptPartial bool

	// Buffer is how many bytes a flight takes from the network before it
	// writes, at least cache.BlockSize. Little memory wants little ones. If
	// zero, 512 KiB.
	Buffer int

	// EvictComplete lets files go that were published, where the store has a bound: as a whole,
	// out of the output directory, and only those that the store put there (cache.Withdrawal).
	EvictComplete bool

	// Peers are other machines that have the same list, to share its files with. If nil,
	// there are none.
	Peers *Peers

	// OnComplete is called with each file that becomes complete, not with those that were
	// before. It must not block, and no method of the file but Name may be called in it.
	// If nil, nothing is called.
	OnComplete func(*File)

	// OnSettled is called in Run when a list has been loaded, and where Serve is set also when
	// the sizes of its files have been asked for: then memory is free that was in use. The
	// first and the second may be called at the same time. If nil, nothing is called.
	OnSettled func()

	// Serve has Run go on when there is nothing left to do, and try failed
	// files again from time to time, as a mount wants.
	Serve bool
}

// Set is the files of one list over one store. It is safe for concurrent use.
type Set struct {
	// Dependencies
	store  *cache.Store
	client *origin.Client
	log    *slog.Logger

	// Constant data
	opts    Options
	hosts   *hosts.Hosts
	peering *peering            // nil without peers
	digests *semaphore.Weighted // a place for each digest being computed
	buffers bufferPool          // of flights
	workers workers             // that flights and first contacts run on
	room    *room               // nil if the store has no bound
	ctx     context.Context     // of every flight
	cancel  context.CancelFunc

	list       atomic.Pointer[list]              // replaced by Reload
	reloading  lockorder.Mutex[lockorder.Reload] // held over a Reload
	removed    map[string]*File                  // files no longer in the list; guarded by reloading
	paused     atomic.Bool
	flights    sync.WaitGroup // flights, first contacts and digests
	pinned     atomic.Int64   // files that SetPinned has pinned
	publishing atomic.Int64   // blobs complete and not yet published
	digesting  atomic.Int64   // digests being computed
	readWait   histogram      // of reads that waited for bytes
	readBytes  atomic.Int64   // handed to readers
	probe      histogram      // of first contacts
	wake       chan struct{}  // something changed that prefetch may act on
	done       chan struct{}  // closed when every file was complete for the first time
	finish     func()         // closes done, unless it is closed

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		tallies tallies
		running map[*flight]struct{}
		asked   map[*contact]int // by readers, and by how many
		held    map[*File]int    // by readers: handles that are open
		growing int              // files of unknown length being fetched
		opened  []*File          // requeued and not yet looked at by prefetch
		closing bool
	}
}

// New returns the files of entries, whose names are distinct; they are the set's
// from now on. Nothing is fetched before a file is opened or Run is called.
// Flights end with ctx. Close ends the set; the store and the client stay the
// caller's.
func New(ctx context.Context, store *cache.Store, client *origin.Client, entries []listfile.Entry, opts Options) *Set {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	for p, v := range map[*int]int{&opts.Jobs: 8, &opts.Split: 4, &opts.MaxPerHost: 8} {
		if *p == 0 {
			*p = v
		}
	}
	opts.Buffer = max(cmp.Or(opts.Buffer, bufferSize), cache.BlockSize)
	opts.Prefetch = cmp.Or(opts.Prefetch, PrefetchAll)
	opts.Order = cmp.Or(opts.Order, ListOrder)
	opts.OnChange = cmp.Or(opts.OnChange, OnChangeRestart)
	s := &Set{store: store, client: client, log: opts.Log, opts: opts, hosts: hosts.NewShared(opts.MaxPerHost, opts.Peers.ownPlaces(opts.MaxPerHost)),
		buffers: bufferPool{size: opts.Buffer},
		workers: workers{next: make(chan func())},
		digests: semaphore.NewWeighted(int64(runtime.GOMAXPROCS(0))),
		removed: map[string]*File{},
		wake:    make(chan struct{}, 1), done: make(chan struct{})}
	s.finish = sync.OnceFunc(func() { close(s.done) })
	s.ctx, s.cancel = context.WithCancel(ctx)
	s.peering = s.join(opts.Peers)
	s.mu.held = map[*File]int{}
	s.mu.running = map[*flight]struct{}{}
	s.mu.asked = map[*contact]int{}
	s.mu.tallies.partial = map[*File]*cache.Blob{}
	s.mu.tallies.counts[unknown] = len(entries)
	block := make([]File, len(entries)) // one allocation for a million files
	files := make([]*File, len(entries))
	for i := range entries {
		f := &block[i]
		f.set, f.name, f.mu.entry = s, entries[i].Name, &entries[i]
		files[i] = f
	}
	s.list.Store(newList(files, opts.Order))
	if s.room = newRoom(s); s.room != nil {
		s.flights.Add(1)
		go s.room.keep() // ends with the set's context; Close waits
	}
	store.SetListed(func(name string) bool { return s.File(name) != nil })
	if len(entries) == 0 {
		s.finish()
	}
	return s
}

// Files returns the files in the order of the list. The slice is the set's; a
// Reload makes another.
func (s *Set) Files() []*File { return s.list.Load().files }

// File returns the file of that name, nil if there is none.
func (s *Set) File(name string) *File { return s.list.Load().byName.find(name) }

// Replaced is closed when another list has taken the place of the one that Files returns.
func (s *Set) Replaced() <-chan struct{} { return s.list.Load().replaced }

// Done is closed when every file is complete.
func (s *Set) Done() <-chan struct{} { return s.done }

// poke has prefetch look again.
func (s *Set) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// begin counts one more flight or first contact, to be ended with flights.Done.
// It reports false, and counts nothing, once the set is closing or its context
// has ended.
func (s *Set) begin() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.closing || s.ctx.Err() != nil {
		return false
	}
	s.flights.Add(1)
	return true
}

// rest returns what a prefetch flight of the host calls when it begins to wait before
// another attempt: prefetch may start another flight meanwhile.
func (s *Set) rest(h *hosts.Host) func(refused bool) (end func()) {
	return func(refused bool) func() {
		end := h.Rest(refused)
		s.poke()
		return end
	}
}

// started and ended keep the table of running flights.
func (s *Set) started(fl *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.running[fl] = struct{}{}
}

// ended takes a flight from those that Close winds up.
func (s *Set) ended(fl *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.mu.running, fl)
}

// grows counts files of unknown length being fetched.
func (s *Set) grows(n int) {
	s.mu.Lock()
	s.mu.growing += n
	s.mu.Unlock()
	s.poke()
}

// requeue puts f to the front of what prefetch fetches: a reader has opened it, or it has
// something to fetch again.
func (s *Set) requeue(f *File) {
	s.mu.Lock()
	s.mu.opened = append(s.mu.opened, f)
	s.mu.Unlock()
	s.poke()
}
