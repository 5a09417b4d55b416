package fetch

import (
	"context"
	"math/rand/v2"
	"time"

	"dlfs/cache"
	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
	"dlfs/listfile/digest"
)

const (
	// contactBusy is the first delay of a first contact whose owner is busy, and
	// longestContactBusy the longest one. A random time of up to the same length is added to each
	// delay.
	contactBusy        = 20 * time.Millisecond
	longestContactBusy = 160 * time.Millisecond
)

// viaPeers ends the contact with what a peer says of the file, if one says something. Where
// the origin has shown another version in this run, it alone is believed.
// others says that the origin of this machine has refused, so that it is the turn of the
// other machines.
func (c *contact) viaPeers(urgent, others bool) bool {
	if !c.heedsPeers() {
		return false
	}
	c.asking.Store(true)
	defer c.asking.Store(false)
	// A reader waits for the answer, and the origin may be faster than a peer that does not answer.
	patience := peerPatience
	if urgent {
		patience = readerPatience
	}
	ctx, cancel := context.WithTimeout(c.file.set.ctx, patience)
	defer cancel()
	w := c.walk(urgent, others)
	if !w.getVersion(ctx) {
		return false
	}
	blob := c.createTold(w)
	if blob == nil {
		return false
	}
	c.pin(found{blob: blob}, nil)
	return true
}

// heedsPeers reports whether what other machines say of the version is of use.
func (c *contact) heedsPeers() bool {
	f := c.file
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set.peering != nil && f.mu.conduct.changes == 0 && !f.mu.conduct.peersLie
}

// walk is the walk that asks other machines for the version of the file.
func (c *contact) walk(urgent, others bool) *walk {
	f, p := c.file, c.file.set.peering
	// This machine is in the course, as it would ask the origin. It is left out only if its origin
	// has refused.
	unfit := map[string]bool{p.Ring.Self(): others}
	w := &walk{peering: p, wanted: f.set.ctx, name: f.name, urgent: urgent, pass: others, begs: &c.begs, met: func(peer string, o peers.Outcome) { unfit[peer] = o == peers.Unfit }}
	w.course = p.Ring.Course(peers.KeyOf(f.name, 0), urgent || others, func(peer string) bool { return unfit[peer] }, time.Now())
	return w
}

// createTold makes the blob of the version that a walk has found. It is nil if the version is of
// no use; then the origin is to be asked.
func (c *contact) createTold(w *walk) *cache.Blob {
	if w.version.ETag == "" && w.version.LastModified == "" {
		return nil // without a validator the origin could not prove that it has the same
	}
	said, err := digest.Parse(w.digest)
	if err != nil {
		said = digest.Digest{}
	}
	v := origin.Version(w.version)
	if listedOtherwise(c.file.Entry(), v.Size) != nil {
		return nil
	}
	blob, err := c.make(v, said)
	if err != nil {
		return nil // the origin's answer has the same fate, and tells it
	}
	note := blob.Note()
	// No URL of this machine has told the version, so the first answer of the origin must prove
	// that the origin has it.
	note.URL, note.Digest = asUnasked, said.String()
	blob.SetNote(note)
	return blob
}

// fetchFromPeers is fetch from other machines: one request brings the version and the first
// extent, and goes on to be the first flight. It has a prefetch place of host, for a flight from
// m, or from the peers if m is nil. It reports false if no machine gives the extent; then the
// contact has not ended and the place is not given back.
func (c *contact) fetchFromPeers(m *mirror, host *hosts.Host) bool {
	f, asked := c.file, time.Now()
	if !c.heedsPeers() || f.set.store.Occupied(f.name) { // perhaps to be adopted: ask before fetching
		return false
	}
	ctx, cancel := context.WithCancel(f.set.ctx)
	from, w, err := c.awaitFirst(ctx, m, host)
	if err != nil {
		cancel()
		c.pin(found{}, err)
		return true
	}
	if from == nil {
		cancel()
		return false
	}
	blob := c.createTold(w)
	if blob == nil {
		from.Close()
		cancel()
		return false
	}
	// The answer came in the place of the origin's, and counts for the origin's host like that.
	host.FirstByte(time.Since(asked))
	// An empty file is complete without a flight, and a set that is closing launches none.
	if blob.Complete() || !f.set.begin() {
		from.Close()
		cancel()
		host.Put(hosts.Bulk)
		c.pin(found{blob: blob}, nil)
		return true
	}
	var fl *flight
	c.end(func() {
		fi := f.pinLocked(blob)
		if m == nil {
			m = fi.extents.mirror
		}
		_, border := peers.Extent(0)
		fl = fi.enlistLocked(m, hosts.Bulk, 0, min(border, blob.Version().Size), &stream{from, asked, ctx, cancel, &c.urgent})
		// The hold keeps the flight going without readers, to its end.
		fl.holds++
		from.watchLocked(fl)
	})
	fl.run()
	return true
}

// awaitFirst is openFirst, again and again while the owner is busy, unless a reader waits, for
// peerPatience at most. Meanwhile the place of host is given back. With an error, which says that
// the set is closing, it has not been taken again.
func (c *contact) awaitFirst(ctx context.Context, m *mirror, host *hosts.Host) (*peerBody, *walk, error) {
	c.asking.Store(true)
	defer c.asking.Store(false)
	asked := time.Now()
	from, end, w := c.openFirst(ctx)
	for wait := contactBusy; from == nil && m == nil && end == peers.Later && !c.urgent.Load() && time.Since(asked) < peerPatience; wait = min(2*wait, longestContactBusy) {
		host.Put(hosts.Bulk)
		sleep(ctx, wait+rand.N(wait))
		if err := host.Take(ctx, hosts.Bulk); err != nil {
			return nil, nil, err
		}
		from, end, w = c.openFirst(ctx)
	}
	return from, w, nil
}

// openFirst asks other machines for the first extent, until ctx ends. It returns the walk with
// the version. The answer is nil if no machine gives it; then end is how the course ends.
func (c *contact) openFirst(ctx context.Context) (from *peerBody, end peers.Kind, w *walk) {
	w = c.walk(false, false)
	ctx, cancel := context.WithCancel(ctx)
	// The time is for the beginning of the answer: the body is read after the timer is stopped.
	timer := time.AfterFunc(peerPatience, cancel)
	b, end := w.getFirst(ctx)
	inTime := timer.Stop()
	if b != nil && inTime {
		return &peerBody{Body: b, cancel: cancel}, end, w
	}
	if b != nil {
		b.Close()
	}
	cancel()
	return nil, end, w
}

// asUnasked is the hash of the URL that told a version which a peer told: no URL's.
const asUnasked = 1

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
