package fetch

import (
	"math/rand/v2"
	"time"

	"dlfs/cache/lockorder"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
)

const (
	// extentForsaken is how long an extent is asked of the origin after no peer could give it.
	extentForsaken = 30 * time.Second

	// peerUnfit is how long a peer is not asked for a file that it could not give.
	peerUnfit = 30 * time.Second

	// ownerBusy is the first delay of an extent whose owner is busy, and longestBusy the
	// longest one. A random time of up to the same length is added to each delay.
	ownerBusy   = 100 * time.Millisecond
	longestBusy = time.Second
)

// extents is what is known of the extents of a fill whose set has peers. It has a lock of its
// own, because flights note there what peers answered, without File.mu.
type extents struct {
	// Constant data
	peering *peering
	name    string
	mirror  *mirror // of the peers; its counters are guarded by file.mu, as of other mirrors

	mu       lockorder.Mutex[lockorder.Leaf]
	forsaken map[int64]time.Time  // extents to ask the origin for, until then; guarded by mu
	later    map[int64]delay      // extents whose owner is busy; guarded by mu
	unfit    map[string]time.Time // peers that cannot give the file, until then; guarded by mu
}

// delay tells since when prefetch has put an extent off, and until when it leaves it alone.
type delay struct{ since, until time.Time }

// extents makes the extents of a fill, nil without peers.
func (p *peering) extents(name string) *extents {
	if p == nil {
		return nil
	}
	return &extents{peering: p, name: name, mirror: &mirror{host: p.host},
		forsaken: map[int64]time.Time{}, later: map[int64]delay{}, unfit: map[string]time.Time{}}
}

// key is the key of the extent at off. The origin of noRanges sends the file as one stream,
// so that one machine owns all of it.
func (x *extents) key(off int64, noRanges bool) peers.Key {
	index, _ := peers.Extent(off)
	if noRanges {
		index = 0
	}
	return peers.KeyOf(x.name, index)
}

// isUnfit reports whether a peer cannot give the file.
func (x *extents) isUnfit(peer string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Now().Before(x.unfit[peer])
}

// met notes what a flight met at a peer.
func (x *extents) met(peer string, o peers.Outcome) {
	if o != peers.Unfit {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unfit[peer] = time.Now().Add(peerUnfit)
}

// forsake has the extent at off be asked of the origin for a while.
func (x *extents) forsake(off int64) {
	index, _ := peers.Extent(off)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forsaken[index] = time.Now().Add(extentForsaken)
}

// isForsaken reports whether the extent at off is to be asked of the origin.
func (x *extents) isForsaken(off int64) bool {
	index, _ := peers.Extent(off)
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Now().Before(x.forsaken[index])
}

// putOff has prefetch leave the extent at off alone for a moment, and look again then. An
// extent that was put off for long, while no machine gave anything, is forsaken.
func (x *extents) putOff(off int64) {
	index, _ := peers.Extent(off)
	now := time.Now()
	x.mu.Lock()
	d := x.later[index]
	if d.since.IsZero() {
		d.since = now
	}
	wait := min(max(now.Sub(d.since)/8, ownerBusy), longestBusy)
	wait += rand.N(wait)
	inVain := now.Sub(d.since) > peersHope && x.peering.gaveLast() > peersHope
	if d.until = now.Add(wait); inVain {
		d = delay{}
	}
	x.later[index] = d
	x.mu.Unlock()
	if inVain {
		x.forsake(off)
	}
	time.AfterFunc(wait, x.peering.set.poke)
}

// came notes that a machine gives the extent at off.
func (x *extents) came(off int64) {
	index, _ := peers.Extent(off)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.later, index)
}

// isPutOff reports whether prefetch is to leave the extent at off alone.
func (x *extents) isPutOff(off int64) bool {
	index, _ := peers.Extent(off)
	x.mu.Lock()
	defer x.mu.Unlock()
	return time.Now().Before(x.later[index].until)
}

// forgive has every peer be asked again, before the origin.
func (x *extents) forgive() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.forsaken)
	clear(x.unfit)
}

// tryOthers reports whether the refusal of a file by the origin of this machine need not be
// its end: another machine may have a better URL, and is asked from now on. It is not so
// where the others were asked before.
func (x *extents) tryOthers(off int64, kind origin.Kind) bool {
	if x == nil || kind != origin.NeedsURL && kind != origin.NotFound && kind != origin.Transient {
		return false
	}
	if x.isForsaken(off) {
		x.forgive()
		return false
	}
	self := x.peering.Ring.Self()
	if x.isUnfit(self) || x.peering.Ring.Len() == 1 {
		return false
	}
	x.met(self, peers.Unfit)
	return true
}
