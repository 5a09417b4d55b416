package fetch

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"dlfs/fetch/hosts"
	"dlfs/fetch/origin"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

// Peers are the machines that share the list: each serves what it has to the others, and
// they ask the origin for each byte once. Package peers decides which machine is asked.
//
// A flight gets its bytes from one of two mirrors. Of an extent that is this machine's own,
// and of one that no peer was of use for, it is a mirror of the list; other machines are
// asked first whether they have the extent. Of any other extent it is the mirror of the
// peers, which has no URL: the flight walks the course of the extent when it opens. What it
// meets there is noted for the extent, and the next flight begins elsewhere.
type Peers struct {
	Ring   *peers.Ring
	Client *peerhttp.Client
	Key    *peerhttp.Key // if not nil, requests of other machines must be signed with it
	ID     string        // of this process
}

// peering is what a Set needs of its Peers. It is nil for a Set without.
type peering struct {
	Peers
	set     *Set
	host    *hosts.Host // whose places flights from peers take
	holders peers.Holders
	sends   sends
	buffers bufferPool   // of answers
	served  atomic.Int64 // bytes
	meter   meter
	asked   atomic.Int64 // when a machine last asked for something, in nanoseconds since 1970
	given   atomic.Int64 // when a machine last gave something, or the set began, as asked
}

const (
	// extentWindow is among how many missing extents of a file prefetch chooses one.
	extentWindow = 64

	// mostPeerFlights bounds how many flights from peers are under way at once, however many
	// machines share the list.
	mostPeerFlights = 32

	// peersHope is how long other machines may give nothing while a file that failed is tried
	// again, or an extent whose owner is busy put off. retryHoped is how long such a file is
	// left alone in between.
	peersHope  = time.Minute
	retryHoped = 2 * time.Second
)

// join makes the peering of a set, nil if opts has none.
func (s *Set) join(opts *Peers) *peering {
	if opts == nil {
		return nil
	}
	places := min(max(2*opts.Ring.Len(), 8), mostPeerFlights)
	p := &peering{Peers: *opts, set: s, host: hosts.New(places).Host("peers"), sends: newSends(), buffers: bufferPool{size: sendBuffer}}
	p.gave()
	p.Client.Talk(p.says, p.heard)
	return p
}

// gave notes that a machine has given something that is of use.
func (p *peering) gave() { p.given.Store(time.Now().UnixNano()) }

// gaveLast is how long ago a machine last gave something.
func (p *peering) gaveLast() time.Duration { return time.Since(time.Unix(0, p.given.Load())) }

// hopes reports whether a file that failed, with err, may be had from another machine soon:
// the failure is one of the URL, and machines that may have a better one have not all come
// to their end, and were of use lately.
func (p *peering) hopes(err error) bool {
	if p == nil || p.Ring.Through() || p.gaveLast() > peersHope {
		return false
	}
	kind := origin.KindOf(err)
	return originError(err) != nil && (kind == origin.NeedsURL || kind == origin.NotFound || kind == origin.Transient)
}

// took is Ring.Took, with a word to the user.
func (p *peering) took(name string, n int64, d time.Duration) {
	if p.Ring.Took(name, n, d, time.Now()) {
		p.set.log.Info("a machine sends much slower than the others; it is asked last for a minute", "peer", name)
	}
}

// heard notes what a machine says of itself in an answer.
func (p *peering) heard(name string, said peerhttp.Word) {
	if said.Through { // else the machine may have said since that it is through, and have ended
		p.Ring.Told(name, true)
	}
	p.paced(name, said.Pace)
}

// paced is Ring.Heard, with a word to the user.
func (p *peering) paced(name string, pace peers.Pace) {
	if p.Ring.Heard(name, pace, time.Now()) {
		p.set.log.Info("a machine gets files much slower than the others; it is asked last while it says so", "peer", name)
	}
}

// ownPlaces is how many prefetch flights may be under way from one origin: all machines
// together are to have as many as one alone.
func (p *Peers) ownPlaces(maxPerHost int) int {
	if p == nil {
		return maxPerHost
	}
	return max(1, maxPerHost/p.Ring.Len())
}

// isOwn reports whether the extent at off is to be asked of the origin by this machine. The
// caller holds file.mu.
func (fi *fill) isOwn(off int64) bool {
	x := fi.extents
	if x.isForsaken(off) {
		return true
	}
	rank := x.peering.Ring.Rank(x.key(off, fi.noRanges), x.isUnfit, time.Now())
	return len(rank) == 0 || rank[0] == x.peering.Ring.Self()
}

// source returns the mirror of a reader's flight over [off, end), and where that flight is
// to end. The caller holds file.mu.
func (fi *fill) source(off, end int64) (*mirror, int64) {
	if fi.extents == nil {
		return fi.file.mirrorsLocked().hopeful(), end
	}
	_, border := peers.Extent(off)
	if !fi.isOwn(off) {
		return fi.extents.mirror, min(end, border)
	}
	return fi.file.mirrorsLocked().hopeful(), min(end, border)
}

// speculative is source for read-ahead and prefetch: the mirror is nil if it has no place
// free.
func (fi *fill) speculative(c hosts.Class, off, end int64) (*mirror, int64) {
	if fi.extents == nil {
		return fi.file.mirrorsLocked().free(c), end
	}
	_, border := peers.Extent(off)
	end = min(end, border)
	switch m := fi.extents.mirror; {
	case fi.isOwn(off) && fi.single && len(fi.flights) > 0:
		return nil, end
	case fi.isOwn(off):
		return fi.file.mirrorsLocked().free(c), end
	case m.host.Free(c) && !fi.extents.isPutOff(off):
		return m, end
	}
	return nil, end
}

// nextExtent returns what prefetch is to fetch next of a fill whose set has peers, and from
// which mirror: the next extent of its own, else one of those of the others, at random, so
// that machines that work on the same file do not all ask for the same. m is nil if there
// is nothing to fetch or no place. The caller holds file.mu.
func (fi *fill) nextExtent() (m *mirror, off, end int64) {
	seen, candidates := 0, 0
	size := fi.blob.Version().Size
	for at := int64(0); at < size && seen < extentWindow; {
		run, n := fi.unassigned(at, size)
		if n == 0 {
			break
		}
		seen++
		from, upTo := fi.speculative(hosts.Bulk, run, run+n)
		_, at = peers.Extent(run)
		switch {
		case from == nil:
		case from != fi.extents.mirror:
			return from, run, upTo
		default:
			if candidates++; rand.IntN(candidates) == 0 { // each with the same probability
				m, off, end = from, run, upTo
			}
		}
	}
	return m, off, end
}

// launchPeered is launch for a set with peers: fi is the fill of f, nil before first contact.
// The caller holds f.mu.
func (p *prefetcher) launchPeered(f *File, fi *fill) {
	if fi == nil {
		p.set.peering.contactLocked(f)
		return
	}
	m, off, end := fi.nextExtent()
	if m == nil || !m.host.Try(hosts.Bulk) {
		return
	}
	if !p.set.begin() {
		m.host.Put(hosts.Bulk)
		return
	}
	fi.launchLocked(m, hosts.Bulk, off, end).holds++
}

// contactLocked begins first contact of a file that is fetched for prefetch, if there is a place
// for it: at the origin if the first extent is this machine's own, else at the peers. The peers
// are asked first in any case. The caller holds f.mu.
func (p *peering) contactLocked(f *File) {
	var m *mirror
	host := p.host
	if f.mu.conduct.changes > 0 || f.mu.conduct.peersLie || p.owns(f.name) {
		if m = f.mirrorsLocked().free(hosts.Bulk); m == nil {
			return
		}
		host = m.host
	}
	if host.Try(hosts.Bulk) {
		p.contactFromLocked(f, m, host)
	}
}

// contactFromLocked begins first contact of a file with a prefetch place of host, which it gives
// back: at m, or at the peers if m is nil. It reports false if the set is closing. The caller holds
// f.mu.
func (p *peering) contactFromLocked(f *File, m *mirror, host *hosts.Host) bool {
	begun := f.contactLocked(func(c *contact) {
		switch {
		case m != nil && !c.fetchFromPeers(m, host):
			c.fetch(m, hosts.Bulk)
		case m == nil && !c.fetchFromPeers(nil, host):
			c.probe(false)
			host.Put(hosts.Bulk)
		}
	})
	if begun == nil {
		host.Put(hosts.Bulk)
	}
	return begun != nil
}

// contactOwned begins first contact of a file whose first extent is this machine's own, because
// prefetch of another machine wants it: one request asks the origin for the version and the
// extent. It waits for a place at the host, until ctx ends.
func (p *peering) contactOwned(ctx context.Context, f *File) error {
	f.mu.Lock()
	m := f.mirrorsLocked().hopeful()
	f.mu.Unlock()
	if err := m.host.Take(ctx, hosts.Bulk); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.contact != nil || f.mu.cur != nil { // begun meanwhile
		m.host.Put(hosts.Bulk)
		return nil
	}
	if !p.contactFromLocked(f, m, m.host) {
		return errClosing
	}
	return nil
}

// holdUp reports whether nothing comes of a file because other machines are being asked
// for its version, or the owner of what is missing next is busy. Other files are fetched
// meanwhile.
func (p *peering) holdUp(f *File) bool {
	if p == nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	fi := f.fill()
	if fi == nil {
		return f.mu.contact != nil && f.mu.contact.asking.Load()
	}
	off, n := fi.unassigned(0, fi.blob.Version().Size)
	return len(fi.flights) == 0 && n > 0 && fi.extents.isPutOff(off)
}

// owns reports whether the first extent of a file is this machine's own.
func (p *peering) owns(name string) bool {
	rank := p.Ring.Rank(peers.KeyOf(name, 0), nil, time.Now())
	return len(rank) == 0 || rank[0] == p.Ring.Self()
}
