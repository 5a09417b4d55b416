package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"dlfs/cache/lockorder"
)

// Options for Open. The zero value is useful.
type Options struct {
	// Log gets what is worth a person's attention. If nil, nothing is logged.
	Log *slog.Logger

	// State is a directory on a local disk that has the index and the lock instead of
	// DIR. Then DIR may be on a shared filesystem, and several processes may have it open
	// at once, each with a State of its own. A State belongs to one output directory
	// for good. If empty, DIR.
	State string

	// Owner says, in a few words, what opened the store. Another process that finds
	// the directory in use shows it.
	Owner string

	// SyncEvery is how often blocks are made durable, and so what a crash may
	// cost. If zero, one second.
	SyncEvery time.Duration

	// SyncBytes makes them durable earlier when so much has been written. If
	// zero, 64 MiB.
	SyncBytes int64

	// MaxUnsynced is how many blobs may wait to be made durable, or be just made so,
	// before Behind says so. Each has its file open. If zero, 1024.
	MaxUnsynced int

	// MinFree is the free space below which no block is stored. If zero, 64 MiB.
	MinFree int64

	// MaxSize bounds what the store has on disk, in bytes: blobs, finished files and state.
	// If zero, there is no bound. It needs a filesystem that can punch holes.
	MaxSize int64

	// Shelf is how many bytes of blocks are kept in memory while the disk is full. If
	// zero, 32 MiB.
	Shelf int64
}

// ErrInUse is wrapped by the error of Open when another process has the
// directory.
var ErrInUse = errors.New("in use")

// Store is an open output directory. It is safe for concurrent use.
type Store struct {
	// Constant data
	opts     Options
	log      *slog.Logger
	path     string   // as given, made absolute; for messages only
	root     *os.Root // DIR
	dir      *os.File // the same
	state    *os.Root // DIR/.dlfs, or STATE/.dlfs
	stateDir *os.File // the same, kept open: paths through it survive a mount over DIR
	blobs    *os.Root // DIR/.dlfs/blobs, or DIR/.dlfs/w-RANDOM
	blobsDir *os.File
	shared   *shared  // nil if the state is in DIR
	lock     *os.File // of a read-only store: of the copy it reads
	index    *index
	snapshot string // directory of the copy of the index that a read-only store reads; "" if it is not read-only

	listed atomic.Pointer[func(string) bool] // nil if nothing is known of the list

	folds bool // the disk takes names that differ in case for one

	account  account                            // what it has on disk, if that is bounded
	evicting lockorder.Mutex[lockorder.Evict]   // held over an Evict
	evicted  atomic.Bool                        // blocks were evicted, now or in an earlier run
	shelf    shelf                              // blocks the disk has no room for
	tight    atomic.Bool                        // the ballast is given up: no block is stored
	ballast  lockorder.Mutex[lockorder.Ballast] // held over making it and giving it up

	// The syncer
	wake     chan struct{} // a round is due early
	calls    chan func()   // functions to run between rounds; their callers wait
	removed  chan struct{} // closed by the syncer, see Removed
	stop     chan struct{}
	stopped  chan struct{}
	dead     []record        // of generations whose bits the next round deletes; the syncer's
	named    map[string]bool // directories whose names are on disk; the syncer's
	failing  bool            // the last round could not write to the index; the syncer's
	closeErr error           // of the last round; read after stopped

	mu struct {
		lockorder.Mutex[lockorder.Store]
		touched       map[*Blob]struct{} // with something for the next round
		syncing       int                // blobs in the round under way
		records       map[string]*Blob   // whose record the next round writes, by name
		recording     map[string]*Blob   // the same of the round under way
		unsyncedBytes int64
	}
}

// Open makes dir, with its parents, a store and locks it. It waits for nothing
// but the disk.
func Open(dir string, opts Options) (*Store, error) {
	s, err := newStore(dir, opts)
	if err != nil {
		return nil, err
	}
	if err := s.open(); err != nil {
		if s.index != nil {
			s.index.close()
		}
		s.closeFiles()
		return nil, fmt.Errorf("open %s: %w", dir, blameInodes(err, s.path))
	}
	go s.run() // owned by the Store; Close waits for it
	return s, nil
}

// newStore returns a store of dir with the defaults in place of zero options. Nothing is opened or
// made on disk yet.
func newStore(dir string, opts Options) (*Store, error) {
	if opts.SyncEvery == 0 {
		opts.SyncEvery = time.Second
	}
	if opts.SyncBytes == 0 {
		opts.SyncBytes = 64 << 20
	}
	if opts.MinFree == 0 {
		opts.MinFree = 64 << 20
	}
	if opts.MaxUnsynced == 0 {
		opts.MaxUnsynced = 1024
	}
	if opts.Shelf == 0 {
		opts.Shelf = 32 << 20
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if limit := fileLimit(); limit < stateFileBytes {
		return nil, fmt.Errorf("open %s: a file may have %d bytes here (ulimit -f), and the state needs %d; raise the limit", dir, limit, stateFileBytes)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if opts.State != "" {
		if opts.State, err = filepath.Abs(opts.State); err != nil {
			return nil, err
		}
	}
	s := &Store{opts: opts, log: opts.Log, path: abs, shelf: shelf{most: opts.Shelf},
		wake: make(chan struct{}, 1), calls: make(chan func()),
		removed: make(chan struct{}), stop: make(chan struct{}), stopped: make(chan struct{}), named: map[string]bool{}}
	s.mu.touched, s.mu.records = map[*Blob]struct{}{}, map[string]*Blob{}
	return s, nil
}

// open opens everything in order. What it opened before failing is closed by
// closeFiles.
func (s *Store) open() (err error) {
	if err := makeDir(s.path); err != nil {
		return err
	}
	if s.root, err = openRoot(s.path); err != nil {
		return err
	}
	if s.dir, err = s.root.Open("."); err != nil {
		return err
	}
	if err := s.openState(); err != nil {
		return err
	}
	if err := s.indexRoom(); err != nil {
		return fmt.Errorf("%w; at least %d MiB must be free", err, s.floor()>>20)
	}
	o := opener{state: s.state, base: s.StatePath(), log: s.log}
	if s.index, err = openIndex(o, s.indexRoom, s.tableRoom); err != nil {
		return err
	}
	if err := s.relax(); err != nil && !isFull(err) {
		return fmt.Errorf("make ballast: %w", err)
	}
	// What is kept in a directory is kept when its name is.
	if err := errors.Join(s.syncDir("."), s.stateDir.Sync()); err != nil {
		return err
	}
	if err := s.sweep(); err != nil {
		return err
	}
	return s.openAccount()
}

// openState opens the directories of the state, locks it, and opens the directory for
// unfinished files.
func (s *Store) openState() (err error) {
	if s.opts.State != "" {
		err = s.openStateApart()
	} else {
		s.state, s.stateDir, err = subdir(s.root, ".dlfs")
	}
	if err != nil {
		return err
	}
	if err := s.closeToOthers(); err != nil {
		return err
	}
	if err := s.takeLock(); err != nil {
		return err
	}
	s.findEvicted()
	if s.opts.State != "" {
		if err := s.openWork(); err != nil {
			return err
		}
		s.folds = foldsCase(s.blobs, aliveName)
		return s.sweepWorks()
	}
	if err := s.refuseState(); err != nil {
		return err
	}
	s.folds = foldsCase(s.state, "lock")
	s.blobs, s.blobsDir, err = subdir(s.state, "blobs")
	return err
}

// Path returns the output directory as an absolute path.
func (s *Store) Path() string { return s.path }

// StatePath returns a path of the state directory, DIR/.dlfs or STATE/.dlfs, that stays valid, in this process,
// when something is mounted over DIR.
func (s *Store) StatePath() string { return fmt.Sprintf("/proc/self/fd/%d", s.stateDir.Fd()) }

// readOnly reports whether the store reads a snapshot of the state of another process
// (OpenReadOnly) and writes nothing.
func (s *Store) readOnly() bool { return s.snapshot != "" }

// OpenFile opens a file of the output directory for reading, also while something
// is mounted over the directory. No symbolic link leads outside.
func (s *Store) OpenFile(name string) (*os.File, error) { return s.root.Open(name) }

// Remember stores a value under a key, for Recall in this or a later process. The
// value is durable when Remember returns.
func (s *Store) Remember(key, value string) error { return s.index.remember(key, value) }

// Recall returns what was remembered under a key, "" if nothing was.
func (s *Store) Recall(key string) (string, error) { return s.index.recall(key) }

// SetList records the list, for List. It blocks for the disk.
func (s *Store) SetList(list []Listed) error { return s.index.setList(list) }

// List returns the list the store was last used with, in its order.
func (s *Store) List() ([]Listed, error) { return s.index.list() }

// Sync makes everything put before durable, and publishes what is complete and
// wanted. It blocks for the disk, or until ctx ends; the sync then goes on.
func (s *Store) Sync(ctx context.Context) error {
	done := make(chan error, 1)
	select {
	case s.calls <- func() { done <- s.round() }:
	case <-s.stopped:
		return fs.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close syncs, stops the syncer, and gives the directory up. No method of the
// store or of its blobs may be in progress.
func (s *Store) Close() error {
	if s.readOnly() {
		return s.closeReadOnly()
	}
	close(s.stop)
	<-s.stopped
	return errors.Join(s.closeErr, s.index.close(), s.leaveWork(), s.closeFiles())
}

// closeFiles closes the descriptors of the store, and with that of the lock gives the
// directory to other processes. It returns every error.
func (s *Store) closeFiles() error {
	var errs []error
	roots, files := []*os.Root{s.blobs, s.state, s.root}, []*os.File{s.dir, s.blobsDir, s.stateDir, s.lock}
	if s.shared != nil {
		roots, files = append(roots, s.shared.root), append(files, s.shared.dir)
	}
	for _, r := range roots {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	for _, f := range files {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}
