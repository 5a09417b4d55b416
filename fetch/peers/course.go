package peers

import (
	"slices"
	"time"
)

// maxProbed is how many machines an owner asks whether they have an extent, before it asks
// the origin.
const maxProbed = 8

// maxNamed bounds how many machines are asked for an extent because others have named them.
const maxNamed = 4

// Kind is what an Ask asks.
type Kind int

// The kinds of an Ask.
const (
	Fetch  Kind = iota // the extent from one machine, which may have to get it first
	Cached             // the extent from one machine, if it has it
	Probe              // several machines at once whether they have it
	Origin             // the origin: no machine is of use
	Later              // nothing now: the owner is busy, and no machine that it named has the extent
)

// Ask is what to do next for an extent.
type Ask struct {
	Kind  Kind
	Peers []string // one, or several of a Probe, or none
}

// Outcome is how a machine answered.
type Outcome int

// The outcomes of a Fetch and a Cached.
const (
	Busy   Outcome = iota // it has too much to do, and may have named others
	Absent                // it does not have the extent, or does not give it now
	Unfit                 // it cannot give this file, or has another version of it
	Dead                  // it does not answer
	Full                  // its disk is full: it is left out for a while, as if it did not answer
)

// Course is the way of one extent from machine to machine: Next says what to ask, and
// Note or Found how it went, until the extent is there. It is for one goroutine.
type Course struct {
	ring   *Ring
	urgent bool
	rank   []string // machines that may own the extent and were not asked in vain
	named  []string // machines that may have it, to be asked first
	passed []string // slow machines that would own the extent else, and may have it
	holder bool     // the last Ask was a Cached
	busy   bool     // the owner has too much to do
	heeded int      // machines that were named
	probed bool     // it was this machine's, and others were asked whether they have it
	hoped  bool     // it was this machine's, and one that needs nothing more was asked for it, if there is one
}

// Course begins the course of an extent. unfit reports machines that cannot give this
// file; it may be nil. An urgent course does not end with Later: a reader waits.
func (r *Ring) Course(k Key, urgent bool, unfit func(name string) bool, now time.Time) *Course {
	rank, passed := r.rank(k, unfit, now)
	return &Course{ring: r, urgent: urgent, rank: rank, passed: passed}
}

// Owned begins the course of an extent that this machine is to get for another one: it is
// asked of machines that have it, and of the origin.
func (r *Ring) Owned(k Key, unfit func(name string) bool, now time.Time) *Course {
	c := r.Course(k, true, unfit, now)
	c.rank = slices.DeleteFunc(c.rank, func(name string) bool { return name == r.self })
	c.rank = slices.Insert(c.rank, 0, r.self)
	return c
}

// Own reports whether the extent is this machine's to ask the origin for.
func (c *Course) Own() bool { return len(c.rank) == 0 || c.rank[0] == c.ring.self }

// Next returns what to do.
func (c *Course) Next() Ask {
	c.holder = len(c.named) > 0
	switch {
	case c.holder:
		return Ask{Cached, c.named[:1]}
	case c.busy && !c.urgent:
		return Ask{Kind: Later}
	case len(c.rank) == 0 || c.busy:
		return Ask{Kind: Origin}
	case c.rank[0] != c.ring.self:
		return Ask{Fetch, c.rank[:1]}
	}
	others := c.others()
	if !c.hoped && !c.probed {
		c.hoped = true
		if name, ok := c.ring.complete(others); ok {
			c.holder, c.named = true, []string{name}
			return Ask{Cached, c.named}
		}
	}
	if len(others) > 0 && !c.probed {
		return Ask{Probe, others}
	}
	return Ask{Kind: Origin}
}

// others returns which machines an owner asks whether they have the extent: those of the next
// ranks, and slow ones that owned the extent before they were slow.
func (c *Course) others() []string {
	others := slices.Clone(c.rank[1:min(len(c.rank), maxProbed+1)])
	for _, name := range c.passed {
		if name != c.ring.self && !slices.Contains(others, name) {
			others = append(others, name)
		}
	}
	return others
}

// Found notes which of the machines of a Probe have the extent, and which did not answer.
func (c *Course) Found(have, dead []string, now time.Time) {
	c.probed = true
	c.named = slices.Clone(have)
	for _, name := range dead {
		c.ring.Failed(name, now)
	}
}

// Note notes how the machine of a Fetch or a Cached answered, if it did not give the
// extent. named are the machines that a busy one told of; those that are not of the ring
// are left out.
func (c *Course) Note(o Outcome, named []string, now time.Time) {
	if c.holder {
		if o == Dead || o == Full {
			c.ring.Failed(c.named[0], now)
		}
		c.named = c.named[1:]
		c.heed(named, now)
		return
	}
	if o == Busy || o == Absent {
		c.ring.Answered(c.rank[0])
		c.busy = true
		c.heed(named, now)
		return
	}
	if o == Dead || o == Full {
		c.ring.Failed(c.rank[0], now)
	}
	c.rank = c.rank[1:]
}

// heed has machines be asked that another one has named. A slow one is of no use where no
// reader waits: the extent comes sooner from another machine a moment later.
func (c *Course) heed(named []string, now time.Time) {
	for _, name := range named {
		of := c.ring.Has(name) && !c.ring.isOut(name, now) && (c.urgent || !c.ring.Slow(name, now))
		if c.heeded < maxNamed && of && !slices.Contains(c.named, name) {
			c.heeded++
			c.named = append(c.named, name)
		}
	}
}
