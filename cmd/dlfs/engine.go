package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// engine is a list being materialized in a directory: the store and the set,
// opened in this order and closed in the other.
type engine struct {
	store    *cache.Store
	client   *origin.Client
	limit    *origin.Limit // of the client
	set      *fetch.Set
	group    *group // of other machines, nil if there are none
	control  *control
	display  *display
	memory   memory
	speed    *speedometer
	began    time.Time
	log      *slog.Logger
	metrics  func() // ends what shows them; nil if nothing does
	shardEnd func() // tells other machines how far the run is, at its end; nil if none asks
	prefetch fetch.Mode
	errands  *errands
	hooks    *hooks
	hooksEnd sync.Once
	ends     bool // the run ends when everything is complete, or cannot become so

	reloading lockorder.Mutex[lockorder.Engine] // held while a list takes the place of another
	lister    *lister                           // of the list as it is now; guarded by reloading
	bad       listfile.Errors                   // what was left out of that list; guarded by reloading
	pins      pinRules                          // which files are pinned; guarded by reloading
	reloads   int                               // guarded by reloading
	reloaded  func()                            // tells the mount of another list; guarded by reloading
	ending    bool                              // no other list is let in; guarded by reloading
}

// open opens dir for the entries. owner is shown to other processes that find it in use. If
// another list was the directory's before, the difference is told.
func (w *work) open(ctx context.Context, entries []listfile.Entry, dir, owner string, opts fetch.Options) (*engine, error) {
	// A long list may take seconds. Ending in the middle is as safe as kill -9.
	return abandonable(ctx, func() (*engine, error) { return w.openNow(ctx, entries, dir, owner, opts) })
}

// openNow opens, in this order: the store, the set over it, the control socket, metrics, and
// what runs beside the set: other machines, hooks, the timetable of limits. Before the set is
// made, the list is compared with the one that the directory had before. After an error
// everything is closed again.
func (w *work) openNow(ctx context.Context, entries []listfile.Entry, dir, owner string, opts fetch.Options) (_ *engine, err error) {
	f := w.flags
	if err := checkPlaces(dir, f.State); err != nil {
		return nil, err
	}
	if err := errors.Join(checkFiles(), w.checkSinks(dir, entries)); err != nil {
		return nil, err
	}
	e := &engine{client: w.client, limit: w.limit, display: w.display, log: w.display.log, ends: !opts.Serve, lister: w.lister, bad: w.bad, memory: w.memory, group: w.group}
	files := shareFiles()
	most, err := w.maxSize.of(dir)
	if err != nil {
		return nil, err
	}
	e.store, err = cache.Open(dir, cache.Options{Log: e.log, MaxSize: most, State: f.State, Owner: owner, MinFree: max(1, int64(f.MinFree)), MaxUnsynced: files.unsynced,
		Shelf: int64(shelfBuffers * e.memory.buffer(bufferSize))})
	if err != nil {
		return nil, err
	}
	if err := clashOnDisk(entries, e.store.FoldsNames()); err != nil {
		return nil, errors.Join(err, e.store.Close())
	}
	diff, err := fetch.Compare(e.store, entries)
	if err != nil {
		return nil, errors.Join(err, e.store.Close())
	}
	if !isFirst(diff, len(entries)) && !isEmpty(diff) {
		printDifference(e.display.notes(), "dlfs: ", diff)
	}
	if err := w.lister.remember(e.store); err != nil {
		return nil, errors.Join(fmt.Errorf("state of %s cannot be written: %w", dir, err), e.store.Close())
	}
	opts.Log, opts.Jobs, opts.Split, opts.MaxPerHost = e.log, f.Jobs, f.Split, f.MaxPerHost
	opts.Order, opts.OnChange, opts.TrustSize = fetch.Order(f.Order), fetch.Change(f.OnChange), f.TrustSize
	opts.MaxFiles = files.readers
	opts.Peers = w.group.options()
	opts.Buffer = e.memory.buffer(bufferSize)
	opts.OnSettled = giveBack
	// Flights end when the set is closed, not when the command is interrupted:
	// that leaves them time to finish the block they are in.
	e.prefetch, e.errands = opts.Prefetch, newErrands(e)
	e.hooks = newHooks(e, w.hooks)
	if w.hooks.OnFile != "" {
		opts.OnComplete = e.hooks.published
	}
	e.began = time.Now()
	e.speed = startSpeedometer(func() int64 { return e.client.Received() + e.group.received() })
	e.set = fetch.New(context.WithoutCancel(ctx), e.store, e.client, entries, opts)
	if err := e.takePins(w.pins); err != nil {
		return nil, errors.Join(err, e.close())
	}
	if e.control, err = serveControl(e); err != nil {
		return nil, errors.Join(err, e.close())
	}
	e.metrics = e.showMetrics(&f.metricsFlags, w.metrics)
	e.group.serve(e.set)
	e.memory.limitHeap()
	e.hooks.start()
	e.errands.work.Go(func() { f.LimitRate.follow(e.errands.ctx, e.limit) })
	if w.maxSize == nil && (e.prefetch == fetch.PrefetchAll || e.prefetch == "") {
		e.errands.work.Go(func() { e.warnOfRoom(e.errands.ctx, f.MinFree) })
	}
	return e, nil
}

// run runs the set until nothing is left to do, not even of a list that came
// when it was about to end. Afterwards none is let in.
//
// If the state is removed meanwhile and the run is one that ends, it ends with
// errStateRemoved.
func (e *engine) run(ctx context.Context) error {
	if e.ends {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		go func() { // ends with run
			select {
			case <-e.store.Removed():
				cancel(e.stateRemoved())
			case <-ctx.Done():
			}
		}()
	}
	e.set.AwaitPeers(ctx, e.group.patience())
	err := e.runLists(ctx)
	if err == nil {
		e.set.Linger(ctx)
	}
	if e.ends && e.store.IsRemoved() { // that has made files fail, perhaps all
		return e.stateRemoved()
	}
	return err
}

// stateRemoved is the error of a run whose state another program has removed.
func (e *engine) stateRemoved() error {
	if e.store.IsShared() {
		return fmt.Errorf("%s/.dlfs, or the one of --state: %w", e.store.Path(), errStateRemoved)
	}
	return fmt.Errorf("%s/.dlfs: %w", e.store.Path(), errStateRemoved)
}

var errStateRemoved = errors.New("the state was removed while it was in use; run the same command again")

// runLists runs the set until it has nothing left to do. If another list was taken in at the
// end of a run, or a hook has brought fresh URLs, the set is run again.
func (e *engine) runLists(ctx context.Context) error {
	for {
		e.reloading.Lock()
		before := e.reloads
		e.reloading.Unlock()
		err := e.set.Run(ctx)
		if err == nil && e.hooks.flags.OnNeedsURL != "" {
			e.hooks.renew(ctx, true)
		}
		if e.over(err, before) {
			return err
		}
	}
}

// over reports whether a run that ended with err was the last one: it failed, no other list was
// taken in meanwhile, or nothing is left to do. From then on no other list is taken in.
func (e *engine) over(err error, reloads int) bool {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	t := e.set.Totals()
	e.ending = err != nil || e.reloads == reloads || t.FilesComplete+t.FilesFailed == t.FilesTotal
	return e.ending
}

// close ends flights, makes everything durable and lets the directory go.
func (e *engine) close() error {
	e.reloading.Lock()
	e.ending = true
	e.reloading.Unlock()
	if e.control != nil {
		e.control.close()
	}
	e.speed.close()
	if e.metrics != nil {
		e.metrics()
	}
	e.errands.close()
	e.endHooks(true)
	e.group.close()
	e.set.Close()
	if e.shardEnd != nil {
		e.shardEnd()
	}
	removed := e.store.IsRemoved()
	err := e.store.Close()
	if removed {
		e.log.Debug("a state that was removed is closed", "err", err) // the outcome tells
		return nil
	}
	return err
}

// endHooks waits for the commands of hooks, unless the run was stopped. Only the first
// word counts.
func (e *engine) endHooks(stopped bool) {
	e.hooksEnd.Do(func() { e.hooks.close(stopped) })
}

// listName is what the list is called.
func (e *engine) listName() string {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	return e.lister.name
}

// stoppable returns a context that ends with ctx, and when the process is asked to stop
// (errStopped). The caller calls release.
func (e *engine) stoppable(ctx context.Context) (_ context.Context, release func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var done sync.WaitGroup
	done.Go(func() { // release waits
		select {
		case <-e.control.stopAsked:
			cancel(errStopped)
		case <-ctx.Done():
		}
	})
	return ctx, func() {
		cancel(nil)
		done.Wait()
	}
}

// cover has lists under point, where this process has mounted, read from the output
// directory from here on.
func (e *engine) cover(point string) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	l := *e.lister
	l.covered = &covered{point, e.store}
	e.lister = &l
}

// mountpoint is where this process has mounted, "" if it has not.
func (e *engine) mountpoint() string {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	if e.lister.covered == nil {
		return ""
	}
	return e.lister.covered.point
}

// onReload has tell called after every reload.
func (e *engine) onReload(tell func()) {
	e.reloading.Lock()
	defer e.reloading.Unlock()
	e.reloaded = tell
	if e.reloads > 0 { // a list has come before this call
		tell()
	}
}
