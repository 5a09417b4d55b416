package fetch

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sync/semaphore"

	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

const (
	// firstBlockFor is how long a peer waits for the first block of an answer before it is
	// told that this machine is busy.
	firstBlockFor = 1500 * time.Millisecond

	// sentWithin bounds how long a peer may take to receive a piece of an answer.
	sentWithin = 30 * time.Second

	leastBulkSends = 8
	readerSends    = 8

	// sendBuffer is how many bytes of an answer are in memory at once.
	sendBuffer = 128 << 10
)

// sends are the answers with bytes that may be under way at once: so many for readers of
// other machines, and so many for their prefetch.
type sends struct{ urgent, bulk *semaphore.Weighted }

// newSends returns the places for answers to other machines: a fixed number for answers
// that readers wait for, and for all others two for each core, or leastBulkSends if
// that is more.
func newSends() sends {
	bulk := max(leastBulkSends, 2*runtime.GOMAXPROCS(0))
	return sends{semaphore.NewWeighted(readerSends), semaphore.NewWeighted(int64(bulk))}
}

// of returns the places for answers to a machine whose own reader waits, or to its prefetch.
func (s sends) of(urgent bool) *semaphore.Weighted {
	if urgent {
		return s.urgent
	}
	return s.bulk
}

// PeerHandler answers the requests of other machines, of a set with Options.Peers. A request
// is answered from the disk or from the origin, and never passed on to a third machine that
// would have to ask the origin. Answers end with the requests; the set must not be closed
// before.
func (s *Set) PeerHandler() http.Handler { return s.peering }

// ServeHTTP answers another machine. A request that is not signed with the key of the group, if
// there is one, gets 403, and one that is not understood 400. Every other request tells that the
// machine is alive, and whether it needs nothing more. net/http calls it in a goroutine for each
// request.
func (p *peering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := peerhttp.ReadRequest(r)
	switch {
	case p.Key != nil && !p.Key.Signed(r, time.Now()):
		w.WriteHeader(http.StatusForbidden)
		return
	case err != nil:
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	// A machine that asks is alive, also if it was left out because it did not answer.
	p.Ring.Answered(a.Peer)
	p.Ring.Told(a.Peer, a.Through)
	p.paced(a.Peer, a.Pace)
	peerhttp.Word{Through: p.through(), Pace: p.says()}.Set(w.Header())
	if a.ID {
		peerhttp.WriteID(w, p.ID)
		return
	}
	p.asked.Store(time.Now().UnixNano())
	an := &answer{peering: p, w: w, asked: a}
	if err := an.give(r.Context()); err != nil {
		an.refuse(err)
	}
}

// through reports whether this machine needs nothing more.
func (p *peering) through() bool {
	select {
	case <-p.set.done:
		return true
	default:
		return p.Client.IsThrough()
	}
}

// refusal is why a peer is not given what it asks for.
type refusal peers.Outcome

func (r refusal) Error() string { return "it is refused" }

const (
	isBusy   = refusal(peers.Busy)
	isAbsent = refusal(peers.Absent)
	isUnfit  = refusal(peers.Unfit)
	isFull   = refusal(peers.Full)
)

// answer is the answer to a request of another machine.
type answer struct {
	peering *peering
	w       http.ResponseWriter
	asked   peerhttp.Asked
	named   []string // machines that may have it
	begun   bool     // its header has been written
}

// refuse ends the answer with err. One that has begun is broken off.
func (an *answer) refuse(err error) {
	r := isUnfit
	errors.As(err, &r)
	if an.begun {
		panic(http.ErrAbortHandler) // net/http closes the connection
	}
	an.peering.set.log.Debug("peer is refused", "name", an.asked.Name, "peer", an.asked.Peer, "outcome", int(r), "err", err)
	peerhttp.Refuse(an.w, peers.Outcome(r), an.peering.Client.Scheme(), an.named, an.asked.Name)
}

// give answers one request: for the version of a file (a.N is 0), for whether an extent is
// present (a.Head), or for its bytes. An error says why nothing is given: the file is not the
// same here (isUnfit), the extent is not present and only what is was asked for (isAbsent), the
// disk is full (isFull), or all places are taken (isBusy). It blocks for the origin, until ctx
// ends.
func (an *answer) give(ctx context.Context) error {
	p, a := an.peering, an.asked
	f := p.set.File(a.Name)
	if f == nil {
		return isUnfit
	}
	fi, err := p.fillOf(ctx, f, a)
	if err != nil {
		return err
	}
	v := peerhttp.Version(fi.blob.Version())
	if a.Off == 0 { // who asks may not know how long the file is
		a.N = min(a.N, v.Size)
		an.asked.N = a.N
	}
	if a.N == 0 {
		peerhttp.Give(an.w, v, fi.blob.Note().Digest, 0, 0)
		return nil
	}
	if a.Off+a.N > v.Size {
		return isUnfit
	}
	if a.Head {
		if !fi.blob.Has(a.Off, a.N) {
			return isAbsent
		}
		peerhttp.Give(an.w, v, fi.blob.Note().Digest, a.Off, a.N)
		return nil
	}
	f.mu.Lock()
	key := fi.extents.key(a.Off, fi.noRanges)
	f.mu.Unlock()
	if p.Ring.Has(a.Peer) {
		an.named = p.holders.Asked(key, a.Peer)
	}
	if a.Cached && !fi.blob.Has(a.Off, a.N) {
		return isAbsent
	}
	// What is fetched for the peer would have to be stored here first.
	if !p.set.store.FullSince().IsZero() && !fi.blob.Has(a.Off, a.N) {
		return isFull
	}
	places := p.sends.of(a.Urgent)
	if !places.TryAcquire(1) {
		return isBusy
	}
	defer places.Release(1)
	if err := an.send(ctx, fi, v); err != nil {
		return err
	}
	if p.Ring.Has(a.Peer) {
		p.holders.Gave(key, a.Peer)
	}
	return nil
}

// fillOf returns the version of a file that is served. For a request of what is there it is only
// one that is known.
func (p *peering) fillOf(ctx context.Context, f *File, a peerhttp.Asked) (*fill, error) {
	ctx, cancel := context.WithTimeout(ctx, firstBlockFor)
	defer cancel()
	for {
		f.mu.Lock()
		err := f.loadLocked(nil)
		fi, under, failure := f.fill(), f.mu.contact, f.mu.failure
		grows := fi == nil && f.mu.cur != nil
		f.mu.Unlock()
		switch {
		case err != nil:
			return nil, err
		case failure != nil && errors.Is(failure.err, ErrMismatch), grows:
			return nil, isUnfit
		case fi != nil:
			return fi, nil
		case a.Cached:
			return nil, isAbsent
		case under != nil && under.begs.Load(): // perhaps the very machine that asks
			return nil, isBusy
		case under == nil && failure.recent() == nil && wantsExtent(a) && p.owns(f.name):
			err = p.contactOwned(ctx, f)
		default:
			_, err = f.contact(ctx, false)
		}
		if err != nil && ctx.Err() != nil {
			return nil, isBusy
		} else if err != nil {
			return nil, err
		}
	}
}

// wantsExtent reports whether prefetch of another machine asks for all of the first extent.
func wantsExtent(a peerhttp.Asked) bool {
	return !a.Head && !a.Urgent && a.Off == 0 && a.N >= peers.ExtentSize
}

// send sends the bytes of the extent: those that are present at once, the others as the flight
// that brings them moves on. The header of the answer is sent with the first bytes, so that
// another machine can still be named before; an error after that can only break the connection.
func (an *answer) send(ctx context.Context, fi *fill, v peerhttp.Version) error {
	if err := fi.acquire(); err != nil {
		return err
	}
	defer fi.release()
	p, a := an.peering, an.asked
	control := http.NewResponseController(an.w)
	follow := &follower{fill: fi, urgent: a.Urgent}
	defer follow.leave()
	buf := p.buffers.get()
	defer p.buffers.put(buf)
	for off, end := a.Off, a.Off+a.N; off < end; {
		n := fi.presentFrom(off, min(end, off+int64(len(buf))))
		if n == 0 {
			if an.begun {
				control.Flush() // an error is the next Write's
			}
			if err := follow.wait(ctx, off, end, an.patience(fi)); err != nil {
				return err
			}
			continue
		}
		if _, err := fi.blob.ReadAt(buf[:n], off); err != nil {
			return err
		}
		if !an.begun {
			an.begun = true
			peerhttp.Give(an.w, v, fi.blob.Note().Digest, a.Off, a.N)
		}
		control.SetWriteDeadline(time.Now().Add(sentWithin)) // not supported in tests without a network
		k, err := an.w.Write(buf[:n])
		p.served.Add(int64(k))
		if err != nil {
			return err
		}
		off += n
	}
	return nil
}

// patience is how long the next block may take: not long before the answer has begun, so
// that the peer can ask elsewhere; 0 is for ever.
func (an *answer) patience(fi *fill) time.Duration {
	switch {
	case an.begun:
		return 0
	case !an.asked.Urgent:
		return firstBlockFor
	}
	fi.file.mu.Lock()
	defer fi.file.mu.Unlock()
	return fi.readerPatience() * 3 / 4
}

// presentFrom is how many bytes of [off, end) are present from off on.
func (fi *fill) presentFrom(off, end int64) int64 {
	at, n := fi.blob.Missing(off, end-off)
	if n == 0 {
		return end - off
	}
	return max(at-off, 0)
}

// mostVainFlights is how many flights for a peer may end in a row without a block.
const mostVainFlights = 3
