package origin

import (
	"context"
	"time"

	"dlfs/cache/lockorder"
)

const (
	lookupTimeout = 10 * time.Second       // of one lookup
	maxLookups    = 16                     // of different hosts at once, while they are quick
	quickLookup   = 500 * time.Millisecond // a lookup that takes longer is slow
	maxSlow       = 32                     // slow lookups at once
)

// lookups bounds how many lookups run at once, since each takes a socket or two. A
// lookup is quick at first and holds one of a few places. If it takes long, its
// name server is most likely dead: it gives its place back and goes on as a slow
// one, so that a lookup that waits for a place waits for quick ones alone. When
// there are too many slow lookups, the oldest one is ended. Urgent lookups wait for
// no place.
//
// The zero value is not usable; newLookups makes one. It is safe for concurrent use.
type lookups struct {
	places chan struct{} // holds one for each quick lookup that is not urgent

	mu   lockorder.Mutex[lockorder.Leaf]
	slow []*lookup // the oldest first; guarded by mu
}

// lookup is one that runs.
type lookup struct {
	end context.CancelFunc
}

func newLookups() *lookups {
	return &lookups{places: make(chan struct{}, maxLookups)}
}

// run calls f when there is a place for one more lookup, with a context that ends
// when the lookup is to end. It returns when f does.
func (l *lookups) run(ctx context.Context, urgent bool, f func(ctx context.Context)) {
	giveBack := func() {}
	if !urgent {
		l.places <- struct{}{} // comes free soon: each quick lookup becomes slow or ends
		giveBack = func() { <-l.places }
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	own := &lookup{end: cancel}
	slow := time.AfterFunc(quickLookup, func() {
		giveBack()
		l.addSlow(own)
	})
	f(ctx)
	if slow.Stop() {
		giveBack()
	} else {
		l.removeSlow(own)
	}
}

// addSlow notes that a lookup takes long.
func (l *lookups) addSlow(own *lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.end == nil {
		return // it has ended meanwhile
	}
	if len(l.slow) == maxSlow {
		l.slow[0].end()
		l.slow = l.slow[1:]
	}
	l.slow = append(l.slow, own)
}

// removeSlow notes that a lookup has ended that may be slow.
func (l *lookups) removeSlow(own *lookup) {
	l.mu.Lock()
	defer l.mu.Unlock()
	own.end = nil
	for i, other := range l.slow {
		if other == own {
			l.slow = append(l.slow[:i:i], l.slow[i+1:]...)
			return
		}
	}
}
