package fetch

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
)

// mostAmple bounds flight.ample.
const mostAmple = 8

// flight is one request in progress, bringing the blocks of [pos, end) of a fill in order.
//
// A flight lives while it is wanted: a seat is a reader waiting for a part of it, a
// hold is a read-ahead or the prefetcher. When the last one leaves, the flight is
// cancelled (after an interrupt, not before it is a few seconds old) and in the same
// critical section taken off the table, so a newcomer never joins a dying flight: it
// launches a fresh one.
//
// The states of a flight, who causes each, and what the readers who wait for it get:
//
//	state      caused by                                   readers
//	launched   launchLocked, or enlistLocked for a body    wait
//	           that first contact opened; it waits for
//	           room in a bounded store (reserve), then
//	           asks peers, if there are any, or the
//	           origin (open)
//	receiving  open: the first byte has come               wait; each is woken when the
//	                                                       flight has passed what it wants
//	cut        cutLocked: a reader wants blocks sooner     those who want more than the
//	           than the flight brings them, prefetch       cut leaves look again
//	           divides it, the machine that sends it,
//	           or this one, is slow, there is no room
//	           for more, or the set is closing
//	left       leaveLocked: it is wanted no longer;        there are none
//	           it is off the table before it has ended
//	ended      run: all is put, or it failed, or its       look again, or the error that
//	           version was given up                        settleLocked returns
//	ended by   errElsewhere: no peer that was asked has    look again; the next flight
//	a peer     the bytes, or one broke off                 begins elsewhere
//
// A flight that has no room for what it receives ends, unless a reader waits: then its
// blocks are kept in memory (shelve). An eviction may take a block behind pos before the
// reader who waited for it has read it; the reader finds it missing and looks again.
type flight struct {
	// Constant data
	fill   *fill
	mirror *mirror
	class  hosts.Class
	launch time.Time // when it was launched, or first contact made its request
	whole  bool      // the origin knows no ranges: the flight begins at 0, also where blocks are present
	start  int64
	ctx    context.Context
	cancel context.CancelFunc
	body   body         // open already if this goes on from first contact
	urgent *atomic.Bool // a reader waits for it, or it was launched for one

	// Of the last reads, how many more took all they could, and perhaps left some, than did
	// not. Written by run alone.
	ample atomic.Int32

	// Mutable, guarded by file.mu.
	born   time.Time // when its bytes began to come, or may have
	pos    int64     // next byte to be put; a multiple of the block size, or the end of the file
	end    int64     // may be cut short
	reach  int64     // where its request ends, which is where it may go on to
	part   bool      // a block is partly received
	seats  seats
	holds  int
	timing timing        // how fast its bytes come, in a set with peers
	moved  chan struct{} // closed when a block has come or the flight has ended; nil while no peer is served from it

	grant cache.Grant // room of a bounded store that it has reserved; of the goroutine of run
}

// launchLocked puts a flight over [off, end) on the table and starts it. The
// caller holds file.mu and adds a seat or a hold before it releases it; it has
// called Set.begin and, except for a demand flight, taken a place for it at
// m's host.
func (fi *fill) launchLocked(m *mirror, c hosts.Class, off, end int64) *flight {
	fl := fi.enlistLocked(m, c, off, end, nil)
	fi.file.set.workers.do(fi.file.set.ctx, fl.run)
	return fl
}

// enlistLocked is launchLocked for a flight that the caller runs, with a new
// request unless first contact has made it.
func (fi *fill) enlistLocked(m *mirror, c hosts.Class, off, end int64, from *stream) *flight {
	f, now := fi.file, time.Now()
	fl := &flight{fill: fi, mirror: m, class: c, launch: now, start: off, pos: off, end: end, born: now,
		seats: seats{}}
	if fi.noRanges && m.res != nil {
		fl.whole, fl.start, fl.pos, fl.end = true, 0, 0, fi.blob.Version().Size
	}
	fl.reach = fl.end
	if from != nil {
		fl.launch = from.asked
		fl.body, fl.ctx, fl.cancel, fl.urgent = from.body, from.ctx, from.cancel, from.urgent
	} else {
		fl.urgent = new(atomic.Bool)
		fl.urgent.Store(c == hosts.Demand)
		fl.ctx, fl.cancel = context.WithCancel(origin.Urgent(f.set.ctx, fl.urgent))
		if c == hosts.Bulk {
			fl.ctx = origin.MaySpare(origin.WithRest(fl.ctx, f.set.rest(m.host)))
		}
	}
	m.flights++
	fi.flights = append(fi.flights, fl)
	fi.check()
	f.countLocked()
	f.set.started(fl)
	return fl
}

// stream is an answer that has begun, to be read by a flight.
type stream struct {
	body   body
	asked  time.Time // when the request was made
	ctx    context.Context
	cancel context.CancelFunc
	urgent *atomic.Bool // as of flight
}

// run fetches, then gives the place at the host back, takes the flight off the table and wakes
// the readers who wait. It is the goroutine of the flight; Set.Close waits for it.
func (fl *flight) run() {
	err := fl.fetch()
	fl.mirror.host.Put(fl.class)
	fl.fill.flightEnded(fl, err)
	fl.cancel()
	fl.fill.file.set.flights.Done()
}

// fetch streams the body into the blob, block by block, until the flight is at its end, which
// may move nearer meanwhile. Before the request it takes what it needs, in this order: the place of
// a reader at the host, the file of the blob, and room under --max-size. Nothing of it is held
// afterwards. The error is the one of the first step that failed.
func (fl *flight) fetch() error {
	host := fl.mirror.host
	if fl.class == hosts.Demand {
		if err := host.TakeReader(fl.ctx); err != nil {
			return err
		}
		defer host.PutReader()
	}
	if err := fl.fill.acquire(); err != nil {
		return err
	}
	defer fl.fill.release()
	defer fl.grant.Free()
	if left, wanted := fl.left(); !fl.reserve(left) && !wanted {
		return cache.ErrBound
	}
	if err := fl.open(host); err != nil {
		return err
	}
	defer fl.body.Close()
	fl.noteSource()

	buffers := &fl.fill.file.set.buffers
	buf := buffers.get()
	defer buffers.put(buf)
	have := 0
	for {
		left, wanted := fl.left()
		if fl.class != hosts.Demand && !wanted && fl.body.Crowded() {
			fl.giveUp()
		}
		if !fl.reserve(left) {
			fl.giveUp() // unless a reader waits: then it goes on through memory
		}
		n, err := fl.receive(host, buf[have:min(max(int64(have)+1, left), int64(len(buf)))], wanted)
		if err != nil && err != io.EOF { // io.EOF itself: an error that wraps it is a failure
			return err
		}
		have += n
		used, done, err2 := fl.put(buf[:have], err != nil)
		if err2 != nil || done {
			return err2
		}
		have = copy(buf, buf[used:have])
	}
}

// reserve has the flight have room for what it receives next, of left bytes that are to
// come. It reports false if there is none.
func (fl *flight) reserve(left int64) bool {
	f := fl.fill.file
	r := f.set.room
	if r == nil {
		return true
	}
	if fl.grant.Left() >= min(left, int64(f.set.opts.Buffer)+cache.BlockSize) {
		return true
	}
	n := (min(left, reserveStep) + cache.BlockSize - 1) / cache.BlockSize * cache.BlockSize
	return r.get(fl.ctx, &fl.grant, max(0, n-fl.grant.Left()), fl.class != hosts.Bulk || f.pinned.Load())
}

// receive reads what there is of the body, and not so much that readers of the host
// wait behind it, if no reader waits for it.
func (fl *flight) receive(host *hosts.Host, p []byte, wanted bool) (int, error) {
	forReader := wanted || fl.class != hosts.Bulk && !fl.whole // a reader's flight may have outlived its reader
	if !forReader {
		p = p[:host.Turn(fl.ctx, int64(len(p)))]
	}
	n, err := fl.body.Read(p)
	if n == len(p) {
		fl.ample.Store(min(fl.ample.Load()+1, mostAmple))
	} else {
		fl.ample.Store(max(fl.ample.Load()-1, 0))
	}
	host.Took(int64(n), forReader)
	return n, err
}

// open makes the request, unless first contact has: to the peers first if the set has some, then
// to the origin. It sets body, and notes the digest that the answer says the file has.
func (fl *flight) open(host *hosts.Host) (err error) {
	if fl.body != nil {
		return nil
	}
	asked, f := time.Now(), fl.fill.file
	var b body
	if fl.fill.extents != nil {
		b, err = fl.openPeer()
	}
	if b == nil && err == nil {
		asked = time.Now()
		b, err = fl.openOrigin()
	}
	if err != nil {
		return err
	}
	host.FirstByte(time.Since(asked))
	f.mu.Lock()
	defer f.mu.Unlock()
	fl.body = b
	fl.born = time.Now() // the rate of a flight is that of its body
	fl.fill.saidLocked(fl.body.Digest())
	return nil
}

// openOrigin asks the mirror for the bytes.
func (fl *flight) openOrigin() (body, error) {
	f, v := fl.fill.file, origin.Version(fl.fill.blob.Version())
	if fl.whole {
		return asBody(fl.mirror.res.GetWhole(fl.ctx, &v))
	}
	f.mu.Lock()
	off, end := fl.pos, fl.end
	fl.reach = end
	f.mu.Unlock()
	return asBody(fl.mirror.res.Get(fl.ctx, &v, off, end-off))
}

// asBody keeps the nil of a failed request from becoming a body that is not nil.
func asBody(b *origin.Body, err error) (body, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}
