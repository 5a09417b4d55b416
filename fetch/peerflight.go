package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
	"dlfs/listfile/digest"
)

const (
	// peerPatience is how long a peer may send no block, while no reader waits for one.
	peerPatience = 5 * time.Second

	// readerPatience is the least time that a reader waits for a peer before the origin is
	// asked.
	readerPatience = 2 * time.Second
)

// errElsewhere ends a flight whose bytes are to be had elsewhere, or later: nothing has
// failed, and its waiters look again.
var errElsewhere = errors.New("the bytes are to be had elsewhere")

// body is an answer that a flight reads: an *origin.Body or a *peerBody.
type body interface {
	Read(p []byte) (int, error)
	Close()
	Crowded() bool
	Digest() digest.Digest
}

// peerBody is the answer of a peer, under a watchdog: where no block comes for too long,
// the flight ends, and the extent is asked of the origin if a reader waits.
type peerBody struct {
	*peerhttp.Body
	flight *flight     // nil before watchLocked
	timer  *time.Timer // nil before watchLocked
	cancel context.CancelFunc
	closed atomic.Bool
}

// Crowded is always false: a peer refuses at once what it has no place for.
func (b *peerBody) Crowded() bool { return false }

// Digest is what the peer says that the bytes of the version hash to, the zero Digest if it
// says nothing that is understood.
func (b *peerBody) Digest() digest.Digest {
	d, err := digest.Parse(b.Body.Digest())
	if err != nil { // of another release, perhaps
		return digest.Digest{}
	}
	return d
}

// Read turns an error of the peer into errElsewhere: the flight ends without a failure of the
// file, and the next one asks another machine or the origin.
func (b *peerBody) Read(p []byte) (int, error) {
	n, err := b.Body.Read(p)
	var e *peerhttp.Error
	if errors.As(err, &e) {
		err = errElsewhere
		if b.flight.ctx.Err() == nil {
			b.brokeOff()
			b.flight.fill.file.set.log.Debug("peer broke off", "name", b.flight.fill.file.name, "err", e)
		}
	}
	return n, err
}

// brokeOff has the rest be asked for anew: of another machine if this one has sent no block.
// It is called by the goroutine of the flight, which alone moves pos.
func (b *peerBody) brokeOff() {
	fl := b.flight
	if fl.pos == fl.start {
		fl.fill.extents.met(b.Peer(), peers.Unfit)
	} else {
		fl.fill.extents.putOff(fl.pos)
	}
}

// Close ends the request. Calling it twice is harmless.
func (b *peerBody) Close() {
	b.closed.Store(true)
	if b.timer != nil {
		b.timer.Stop()
	}
	b.Body.Close()
	b.cancel()
}

// stalled is called when no block has come for too long.
func (b *peerBody) stalled() {
	if b.closed.Load() {
		return
	}
	x, f := b.flight.fill.extents, b.flight.fill.file
	f.mu.Lock()
	waits := len(b.flight.seats) > 0
	f.mu.Unlock()
	if waits {
		x.forsake(b.flight.start)
	}
	x.peering.Ring.Failed(b.Peer(), time.Now())
	b.cancel()
}

// patience is how long the next block of a peer may take: not long if a reader waits. The
// caller holds file.mu.
func (fl *flight) patience() time.Duration {
	if fl.class == hosts.Demand || len(fl.seats) > 0 {
		return fl.fill.readerPatience()
	}
	return peerPatience
}

// readerPatience is how long a reader waits for a block of a peer. The caller holds file.mu.
func (fi *fill) readerPatience() time.Duration {
	patience := readerPatience
	for _, m := range fi.file.mu.mirrors.all() {
		patience = max(patience, 4*m.host.RequestCost())
	}
	return patience
}

// hurry has the watchdog of a flight from a peer begin anew: blocks have come, or a reader
// waits. It does nothing for other flights. The caller holds file.mu.
func (fl *flight) hurry() {
	if b, ok := fl.body.(*peerBody); ok && !b.closed.Load() {
		b.timer.Reset(fl.patience())
	}
}

// cameFromPeer notes that blocks came, if they came from a peer. The caller holds file.mu.
func (fl *flight) cameFromPeer() {
	if _, ok := fl.body.(*peerBody); ok {
		fl.hurry()
		fl.fill.extents.peering.gave()
	}
}

// openPeer opens the body of a flight at a peer. Without a body or an error, the origin is to
// be asked.
func (fl *flight) openPeer() (body, error) {
	fi := fl.fill
	f, x := fi.file, fi.extents
	f.mu.Lock()
	off, end, key := fl.pos, fl.end, x.key(fl.pos, fi.noRanges)
	fl.reach = end
	own, urgent := fl.mirror.res != nil, fl.class == hosts.Demand || len(fl.seats) > 0
	patience := fl.patience()
	f.mu.Unlock()
	if own && (x.isForsaken(off) || fl.whole) {
		return nil, nil
	}
	c := x.peering.Ring.Course(key, urgent, x.isUnfit, time.Now())
	if own {
		c = x.peering.Ring.Owned(key, x.isUnfit, time.Now())
	}
	w := walk{peering: x.peering, wanted: fl.ctx, course: c, name: x.name, off: off, n: end - off, version: peerhttp.Version(fi.blob.Version()), urgent: urgent, met: x.met}
	ctx, cancel := context.WithCancel(fl.ctx)
	timer := time.AfterFunc(patience, cancel)
	b, kind := w.get(ctx)
	switch {
	case b != nil:
		return fl.receivePeer(b, ctx, cancel, timer)
	case fl.ctx.Err() != nil:
		cancel()
		return nil, context.Cause(fl.ctx)
	}
	timer.Stop()
	cancel()
	switch {
	case own:
		return nil, nil
	case kind == peers.Later:
		x.putOff(off)
	default:
		x.forsake(off)
	}
	return nil, errElsewhere
}

// receivePeer puts an answer of a peer under the watchdog.
func (fl *flight) receivePeer(b *peerhttp.Body, ctx context.Context, cancel context.CancelFunc, timer *time.Timer) (body, error) {
	pb := &peerBody{Body: b, cancel: cancel}
	if !timer.Stop() || ctx.Err() != nil { // at the last moment
		b.Close()
		cancel()
		return nil, errElsewhere
	}
	fl.fill.extents.came(fl.pos)
	f := fl.fill.file
	f.mu.Lock()
	defer f.mu.Unlock()
	pb.watchLocked(fl)
	return pb, nil
}

// watchLocked has the answer be that of a flight, and sets the watchdog. The caller holds file.mu.
func (b *peerBody) watchLocked(fl *flight) {
	b.flight = fl
	b.timer = time.AfterFunc(fl.patience(), b.stalled)
}
