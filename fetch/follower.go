package fetch

import (
	"context"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/peers"
)

// follower has blocks come that a peer asks for: it holds the flight that brings them, or
// launches one from the origin.
type follower struct {
	fill     *fill
	urgent   bool
	flight   *flight // held; nil for none. Its holds are guarded by file.mu
	launched int     // flights, without a block that came
}

// wait waits until the block at off has come, for patience at most, if that is not 0. A flight
// that ends without the block is followed by another one. The argument end is where the extent
// that the peer asked for ends. isBusy says that patience is over: the peer may ask elsewhere.
func (w *follower) wait(ctx context.Context, off, end int64, patience time.Duration) error {
	var timeout <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		timeout = t.C
	}
	for w.launched = 0; !w.fill.blob.Has(off, 1); {
		moved, err := w.join(off, end)
		if err != nil {
			return err
		}
		if moved == nil { // the block has come meanwhile
			return nil
		}
		select {
		case <-moved:
		case <-timeout:
			return isBusy
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// join holds the flight that brings the block at off, and returns what is closed when it
// has moved on or ended; nil if the block is there.
func (w *follower) join(off, end int64) (moved <-chan struct{}, err error) {
	fi := w.fill
	f := fi.file
	f.mu.Lock()
	defer f.mu.Unlock()
	if !fi.current() {
		return nil, isUnfit
	}
	if fi.blob.Has(off, 1) {
		return nil, nil
	}
	fl := fi.flights.covering(off)
	// A reader of the peer waits. The flight under way would bring the block too late, so it ends
	// before the block, and another flight begins there.
	if fl != nil && w.urgent && !fi.single && fl != w.flight && !fl.soon(off) {
		fl.cutLocked(off)
		fl = nil
	}
	if fl == nil {
		if fl, err = w.launch(off, end); err != nil {
			return nil, err
		}
	}
	if fl.mirror.res == nil { // its bytes come from a peer, perhaps from the one that asks
		return nil, isBusy
	}
	if fl != w.flight {
		fl.holds++
		w.drop()
		w.flight = fl
	}
	if fl.moved == nil {
		fl.moved = make(chan struct{})
	}
	return fl.moved, nil
}

// launch launches a flight from the origin, if that is of use and has a place. The caller
// holds file.mu.
func (w *follower) launch(off, end int64) (*flight, error) {
	fi, x := w.fill, w.fill.extents
	f := fi.file
	// The origin of this machine gives the block to no one here, so the peer asks another machine.
	if w.launched++; w.launched > mostVainFlights || f.mu.failure.recent() != nil || x.isUnfit(x.peering.Ring.Self()) {
		return nil, isUnfit
	}
	m, class := f.mirrorsLocked().free(hosts.Bulk), hosts.Bulk
	if w.urgent {
		m, class = f.mirrorsLocked().pick(anyMirror), hosts.Demand
	}
	if m == nil || fi.single && len(fi.flights) > 0 || !w.urgent && !m.host.Try(class) {
		return nil, isBusy
	}
	if !f.set.begin() {
		m.host.Put(class)
		return nil, errClosing
	}
	_, border := peers.Extent(off)
	_, n := fi.unassigned(off, min(w.whole(end), border)) // up to the next block that is there
	return fi.launchLocked(m, class, off, off+n), nil
}

// whole rounds end up to whole blocks, as far as the file has them.
func (w *follower) whole(end int64) int64 {
	_, upTo := w.fill.blocksOf(0, end)
	return upTo
}

// leave lets the flight go.
func (w *follower) leave() {
	w.fill.file.mu.Lock()
	defer w.fill.file.mu.Unlock()
	w.drop()
}

// drop is leave for a caller that holds file.mu.
func (w *follower) drop() {
	if w.flight != nil {
		w.flight.holds--
		w.flight.leaveLocked()
		w.flight = nil
	}
}
