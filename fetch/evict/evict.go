// Package evict chooses what goes when a mount has less room than its list.
//
// The unit is a run: some adjacent blocks of one file. The choice is S3-FIFO (Yang et al.,
// "FIFO queues are all you need for cache eviction", SOSP 2023): a run comes into a small
// queue, and from there into the main queue only if it was read again. So one pass over
// the whole list goes through the small queue, and what readers come back to stays. A
// ghost queue has the names of runs that have just gone: one that comes back soon goes to
// the main queue at once.
//
// The package knows no files and no disk. It takes about 30 bytes a run.
package evict

// Run names a run: a file by a number that the caller gives, and which run of it.
type Run struct{ File, Index uint32 }

// SmallShare is which part of all runs is in the small queue: one in so many. A run needs toMain reads after its first
// one to go from there to the main queue. More reads than most are not counted. The ghost
// queue has the names of a ghostShare-th as many runs as there are: with as many as the
// main queue has, a job that reads twice the room in a new order each time would have
// every run replaced before it is read again.
const (
	SmallShare = 20
	ghostShare = 5
	toMain     = 2
	most       = 3
)

// place is the queue a run is in.
type place uint8

const (
	ghost place = iota // the run was evicted
	small
	main
)

// state is what is known of a run.
type state struct {
	place  place
	reads  uint8 // after the first one, and since the queue was last gone through
	unread bool  // the run was prefetched, and no reader has asked for it
}

// Policy is the order in which runs go. It is for one goroutine at a time.
type Policy struct {
	state  map[Run]state
	queues [3]fifo // by place
	counts [3]int  // runs in each place: a queue may have runs that have left it
}

// New returns a policy that knows no run.
func New() *Policy { return &Policy{state: map[Run]state{}} }

// Len is how many runs are here.
func (p *Policy) Len() int { return p.counts[small] + p.counts[main] }

// Add says that blocks of r are here. The first Read of a run that came is what it came for,
// and does not count. A run that is here already stays as it is.
func (p *Policy) Add(r Run) {
	s, known := p.state[r]
	switch {
	case known && s.place != ghost:
		return
	case known:
		p.counts[ghost]--
		p.put(r, state{place: main, unread: true})
	default:
		p.put(r, state{place: small, unread: true})
	}
}

// Read says that r is being read. It reports whether r is here.
func (p *Policy) Read(r Run) bool {
	s, known := p.state[r]
	if !known || s.place == ghost {
		return false
	}
	switch {
	case s.unread:
		s.unread = false
	case s.reads < most:
		s.reads++
	default:
		return true
	}
	p.state[r] = s
	return true
}

// Remove says that r has gone for another reason than room.
func (p *Policy) Remove(r Run) {
	if s, known := p.state[r]; known {
		p.counts[s.place]--
		delete(p.state, r)
	}
}

// Next takes the least valuable run out, of those that need not stay. It reports false if
// all must stay. A run that stays goes to the end of its queue.
func (p *Policy) Next(stays func(Run) bool) (Run, bool) {
	p.settle()
	var kept [3]int
	spent := func(from place) bool { return kept[from] >= (most+1)*p.counts[from] }
	for !spent(small) || !spent(main) {
		from := main
		if p.counts[small] > p.Len()/SmallShare && !spent(small) || spent(main) {
			from = small
		}
		r, s, ok := p.pop(from)
		switch {
		case !ok:
			return Run{}, false
		case stays(r):
			kept[from]++
			p.put(r, s)
		case from == small && s.reads >= toMain:
			p.put(r, state{place: main})
		case from == main && s.reads > 0:
			s.reads--
			p.put(r, s)
		default:
			p.put(r, state{place: ghost})
			p.trim()
			return r, true
		}
	}
	return Run{}, false
}

// settle has the oldest runs be in the main queue as soon as something must go and that
// queue has nothing yet: otherwise what is read in turns, and is more than there is room
// for, would never be read from there.
func (p *Policy) settle() {
	if p.counts[main] > 0 {
		return
	}
	for p.counts[small] > p.Len()/SmallShare {
		r, s, _ := p.pop(small)
		s.place = main
		p.put(r, s)
	}
}

// trim forgets the oldest ghosts.
func (p *Policy) trim() {
	for p.counts[ghost] > p.Len()/ghostShare {
		r, _, ok := p.pop(ghost)
		if !ok {
			return
		}
		delete(p.state, r)
	}
}

// put has a run in a queue, at its end.
func (p *Policy) put(r Run, s state) {
	p.state[r] = s
	p.counts[s.place]++
	p.queues[s.place].push(r)
}

// pop takes the oldest run of a place out of its queue. The caller puts it back or
// deletes it.
func (p *Policy) pop(from place) (Run, state, bool) {
	for {
		r, ok := p.queues[from].pop()
		if !ok {
			return Run{}, state{}, false
		}
		if s, known := p.state[r]; known && s.place == from {
			p.counts[from]--
			return r, s, true
		}
	}
}

// fifo is a queue of runs in a ring.
type fifo struct {
	ring    []Run
	first   int
	waiting int
}

// push adds a run at the end. The ring doubles when it is full.
func (q *fifo) push(r Run) {
	if q.waiting == len(q.ring) {
		larger := make([]Run, max(64, 2*len(q.ring)))
		n := copy(larger, q.ring[q.first:])
		copy(larger[n:], q.ring[:q.first])
		q.ring, q.first = larger, 0
	}
	q.ring[(q.first+q.waiting)%len(q.ring)] = r
	q.waiting++
}

// pop takes the first run; false if there is none.
func (q *fifo) pop() (Run, bool) {
	if q.waiting == 0 {
		return Run{}, false
	}
	r := q.ring[q.first]
	q.first = (q.first + 1) % len(q.ring)
	q.waiting--
	return r, true
}
