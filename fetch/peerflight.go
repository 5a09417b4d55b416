package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
	"dlfs/listfile/digest"
)

const (
	// probeFor is how long an owner waits for the others to say whether they have an extent.
	probeFor = 200 * time.Millisecond

	// peerPatience is how long a peer may send no block, while no reader waits for one.
	peerPatience = 5 * time.Second

	// readerPatience is the least time that a reader waits for a peer before the origin is
	// asked.
	readerPatience = 2 * time.Second
)

// errElsewhere ends a flight whose bytes are to be had elsewhere, or later: nothing has
// failed, and who waits looks again.
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
	flight *flight
	timer  *time.Timer
	cancel context.CancelFunc
	closed atomic.Bool
	slow   bool // the peer was slow already: no other one is of use
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
	b.timer.Stop()
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
	pb := &peerBody{Body: b, flight: fl, cancel: cancel, slow: fl.fill.extents.peering.Ring.Slow(b.Peer(), time.Now())}
	if !timer.Stop() || ctx.Err() != nil { // at the last moment
		b.Close()
		cancel()
		return nil, errElsewhere
	}
	fl.fill.extents.came(fl.pos)
	f := fl.fill.file
	f.mu.Lock()
	defer f.mu.Unlock()
	pb.timer = time.AfterFunc(fl.patience(), pb.stalled)
	return pb, nil
}

// walk follows the course of an extent from peer to peer.
type walk struct {
	peering *peering
	wanted  context.Context // when it ends, no peer is to blame
	course  *peers.Course
	name    string
	off, n  int64 // n is 0 where the version is asked for
	version peerhttp.Version
	digest  string // that came with the version
	urgent  bool
	pass    bool // a busy machine is passed by: the origin has refused already
	met     func(peer string, o peers.Outcome)
}

// get walks until a peer gives the bytes, or says how the course ends: with Later or Origin.
func (w *walk) get(ctx context.Context) (*peerhttp.Body, peers.Kind) {
	for {
		ask := w.course.Next()
		switch ask.Kind {
		case peers.Later, peers.Origin:
			return nil, ask.Kind
		case peers.Probe:
			w.probe(ctx, ask.Peers)
			continue
		}
		b, err := w.peering.Client.Get(ctx, ask.Peers[0], w.question(ask.Kind == peers.Cached), w.version)
		if err == nil {
			w.peering.Ring.Answered(ask.Peers[0])
			return b, ask.Kind
		}
		if !w.note(ctx, ask.Peers[0], err) {
			return nil, peers.Origin
		}
	}
}

// getVersion is get for a version.
func (w *walk) getVersion(ctx context.Context) (ok bool) {
	for {
		ask := w.course.Next()
		switch ask.Kind {
		case peers.Later, peers.Origin:
			return false
		case peers.Probe:
			w.probe(ctx, ask.Peers)
			continue
		}
		v, said, err := w.peering.Client.Version(ctx, ask.Peers[0], w.question(ask.Kind == peers.Cached))
		if err == nil {
			w.version, w.digest = v, said
			w.peering.Ring.Answered(ask.Peers[0])
			w.peering.gave()
			return true
		}
		if !w.note(ctx, ask.Peers[0], err) {
			return false
		}
	}
}

func (w *walk) question(cached bool) peerhttp.Question {
	return peerhttp.Question{Name: w.name, Off: w.off, N: w.n, Cached: cached, Urgent: w.urgent}
}

// note notes why a peer gave nothing. It reports false if that is because ctx has ended:
// a peer that is silent for so long is left out for a while.
func (w *walk) note(ctx context.Context, peer string, err error) bool {
	var e *peerhttp.Error
	if !errors.As(err, &e) {
		e = &peerhttp.Error{Peer: peer, Outcome: peers.Dead, Err: err}
	}
	if w.wanted.Err() != nil {
		return false
	}
	if e.Outcome == peers.Busy && w.pass {
		e.Outcome = peers.Unfit
	}
	w.met(peer, e.Outcome)
	w.course.Note(e.Outcome, e.Named, time.Now())
	w.peering.set.log.Debug("peer does not give it", "name", w.name, "off", w.off, "err", e)
	return ctx.Err() == nil
}

// probe asks several peers at once whether they have what is wanted.
func (w *walk) probe(ctx context.Context, names []string) {
	ctx, cancel := context.WithTimeout(ctx, probeFor)
	defer cancel()
	type answer struct {
		name string
		err  error
	}
	answers := make(chan answer, len(names))
	for _, name := range names {
		go func() { // awaited below
			var err error
			if w.n == 0 {
				_, _, err = w.peering.Client.Version(ctx, name, w.question(true))
			} else {
				err = w.peering.Client.Has(ctx, name, w.question(true), w.version)
			}
			answers <- answer{name, err}
		}()
	}
	var have, dead []string
	for range names {
		a := <-answers
		var e *peerhttp.Error
		switch {
		case a.err == nil:
			if have = append(have, a.name); len(have) == 1 {
				cancel() // one is enough
			}
		case errors.As(a.err, &e) && e.Outcome == peers.Dead && ctx.Err() == nil:
			dead = append(dead, a.name)
		}
	}
	w.course.Found(have, dead, time.Now())
}

// toldByPeer reports whether a peer told the version, and no URL of this machine.
func (fi *fill) toldByPeer() bool { return fi.blob.Note().URL == asUnasked }

// misled reports whether a peer told the version, no byte of it is there, and err says that the
// origin has another one. The version may be one from before a change.
func (fi *fill) misled(err error) bool {
	if !fi.toldByPeer() || fi.blob.Present() > 0 {
		return false
	}
	kind := origin.KindOf(err)
	return kind == origin.Changed || kind == origin.Unproven || origin.NothingToCompare(err)
}

// asUnasked is the hash of the URL that told a version which a peer told: no URL's.
const asUnasked = 1

// viaPeers ends the contact with what a peer says of the file, if one says something. Where
// the origin has shown another version in this run, it alone is believed.
// others says that the origin of this machine has refused, so that it is the turn of the
// other machines.
func (c *contact) viaPeers(urgent, others bool) bool {
	f, p := c.file, c.file.set.peering
	if p == nil {
		return false
	}
	c.asking.Store(true)
	defer c.asking.Store(false)
	f.mu.Lock()
	changed := f.mu.conduct.changes > 0 || f.mu.conduct.peersLie
	f.mu.Unlock()
	if changed {
		return false
	}
	unfit := map[string]bool{p.Ring.Self(): others}
	w := &walk{peering: p, wanted: f.set.ctx, name: f.name, urgent: urgent, pass: others, met: func(peer string, o peers.Outcome) { unfit[peer] = o == peers.Unfit }}
	w.course = p.Ring.Course(peers.KeyOf(f.name, 0), true, func(peer string) bool { return unfit[peer] }, time.Now())
	patience := peerPatience
	if urgent {
		patience = readerPatience
	}
	ctx, cancel := context.WithTimeout(f.set.ctx, patience)
	defer cancel()
	if !w.getVersion(ctx) || w.version.ETag == "" && w.version.LastModified == "" {
		return false // without a validator the origin could not prove that it has the same
	}
	said, err := digest.Parse(w.digest)
	if err != nil {
		said = digest.Digest{}
	}
	v := origin.Version(w.version)
	if listedOtherwise(f.Entry(), v.Size) != nil {
		return false
	}
	blob, err := c.make(v, said)
	if err != nil {
		return false // the origin's answer has the same fate, and tells it
	}
	note := blob.Note()
	note.URL, note.Digest = asUnasked, said.String()
	blob.SetNote(note)
	c.pin(found{blob: blob}, nil)
	return true
}
