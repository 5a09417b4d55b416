package fetch

import (
	"testing"

	"dlfs/cache"
	"dlfs/fetch/peerhttp"
	"dlfs/fetch/peers"
)

// An owner whose disk is full says so, and is left out: what it owns is asked of others.
func TestOwnerWithFullDiskIsLeftOut(t *testing.T) {
	bubble(t, func(t *testing.T, x *fixture) {
		c := newCircle(t, 3)
		full := &fixture{t: t, dir: t.TempDir()}
		full.fillDisk()
		for i := range 3 {
			x.add(c.owned(i), 8*bs)
		}
		c.dir, x.cacheOpts.MinFree = full.dir, full.cacheOpts.MinFree
		owner := c.join(x, 2, Options{Serve: true, Prefetch: PrefetchNone})
		c.dir, x.cacheOpts.MinFree = "", 0
		check(t, owner.readOnce(c.owned(0), 0, bs)) // it meets the full disk
		if owner.store.FullSince().IsZero() {
			t.Fatal("the disk has room")
		}
		x.ResetCounts()
		y, z := c.join(x, 0, Options{}), c.join(x, 1, Options{})
		v := peerhttp.Version(owner.File(c.owned(0)).Known().(*cache.Blob).Version())
		_, err := y.opts.Peers.Client.Get(t.Context(), c.names[2], peerhttp.Question{Name: c.owned(0), N: 8 * bs}, v)
		if e, ok := err.(*peerhttp.Error); !ok || e.Outcome != peers.Full {
			t.Errorf("a machine with a full disk answers %v", err)
		}
		done := make(chan error, 1)
		go func() { done <- z.Run(t.Context()) }() // awaited below
		check(t, y.Run(t.Context()))
		check(t, <-done)
		y.materialized(x.names()...)
		z.materialized(x.names()...)
		if got, size := x.Counts().BodyBytes, int64(3*8*bs); got > size+size/20 {
			t.Errorf("the origin sent %d bytes for files of %d", got, size)
		}
	})
}
