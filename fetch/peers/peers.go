// Package peers chooses which of several machines is asked for a part of a file. All of
// them have the same list, and each serves what it has to the others.
//
// The bytes of a file are divided into extents of ExtentSize. Every machine ranks all
// machines for each extent by the same hash (rendezvous hashing), so that without a word
// between them they agree on the first rank, the owner, which alone asks the origin. An
// owner that has too much to do names other machines that asked for the extent before. A
// machine that does not answer is left out for a while, and the next rank is the owner. One
// that is much slower than the others is asked last (Ring.Paced, Ring.Took).
//
// The package makes the choice and nothing else: it knows no HTTP, no disk and no clock,
// so that a test can drive it with a thousand machines. A wrong choice costs traffic, never
// a wrong byte: what a peer answers is examined as an origin's answer is.
package peers

import (
	"slices"
	"time"

	"dlfs/cache/lockorder"
)

// ExtentSize is how many bytes of a file have the same owner.
const ExtentSize = 16 << 20

// Extent returns which extent the byte at off is in, and where that extent ends.
func Extent(off int64) (index, end int64) {
	index = off / ExtentSize
	return index, (index + 1) * ExtentSize
}

// Ring is the machines that share a list, each known by its name. It is safe for
// concurrent use.
type Ring struct {
	self string

	mu    lockorder.Mutex[lockorder.Leaf]
	peers map[string]*peer // without self; guarded by mu
	all   []candidate      // with self; guarded by mu, replaced and not changed

	me     peer  // this machine: its pace, and whether it is slow; guarded by mu
	origin speed // as this machine has it; guarded by mu
}

// peer is what is known of another machine.
type peer struct {
	breaker
	speed
	slowness
	pace    pace
	through bool // it needs nothing more
}

// NewRing returns a ring of the names. One of the names is self.
func NewRing(self string, names []string) *Ring {
	r := &Ring{self: self, peers: map[string]*peer{}}
	r.Replace(names)
	return r
}

// Replace has the names be the ring's. Those that stay keep what is known of them.
func (r *Ring) Replace(names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.peers
	r.peers, r.all = map[string]*peer{}, []candidate{newCandidate(r.self)}
	for _, name := range names {
		if name == r.self || r.peers[name] != nil {
			continue
		}
		p := old[name]
		if p == nil {
			p = &peer{}
		}
		r.peers[name] = p
		r.all = append(r.all, newCandidate(name))
	}
}

// Self is the name of this machine.
func (r *Ring) Self() string { return r.self }

// Len is how many machines there are, this one included.
func (r *Ring) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.all)
}

// Others returns the names of the other machines, sorted.
func (r *Ring) Others() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make([]string, 0, len(r.peers))
	for name := range r.peers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Has reports whether name is another machine of the ring.
func (r *Ring) Has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peers[name] != nil
}

// Failed notes that a machine did not answer: it is left out for a while.
func (r *Ring) Failed(name string, now time.Time) {
	r.with(name, func(p *peer) { p.fail(now) })
}

// Answered notes that a machine has answered, or has asked something: it is alive.
func (r *Ring) Answered(name string) { r.with(name, func(p *peer) { p.breaker = breaker{} }) }

// Told notes whether a machine needs nothing more, as it says.
func (r *Ring) Told(name string, through bool) {
	r.with(name, func(p *peer) { p.through = through })
}

// complete returns the first of the machines that needs nothing more, as it says: most likely it
// has everything, and need not be asked whether it does.
func (r *Ring) complete(names []string) (name string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := slices.IndexFunc(names, func(name string) bool { return r.peers[name] != nil && r.peers[name].through })
	if i < 0 {
		return "", false
	}
	return names[i], true
}

// Through reports whether no other machine needs anything more, as far as they have said.
func (r *Ring) Through() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.peers {
		if !p.through {
			return false
		}
	}
	return true
}

// with calls do for the peer of that name, with the lock held; a name that is not in the ring
// is ignored.
func (r *Ring) with(name string, do func(*peer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.peers[name]; p != nil {
		do(p)
	}
}

// State is what is known of another machine, for people.
type State struct {
	Name  string `json:"name"`
	State string `json:"state"` // "up", "out" while it is left out because it did not answer, "slow" while it is asked last, or "done" if it needs nothing more
}

// States returns the states of the other machines, by name.
func (r *Ring) States(now time.Time) []State {
	states := []State{}
	for _, name := range r.Others() {
		state := "up"
		r.with(name, func(p *peer) {
			if p.isSlow(now) {
				state = "slow"
			}
			if p.out(now) {
				state = "out"
			}
			if p.through {
				state = "done"
			}
		})
		states = append(states, State{name, state})
	}
	return states
}

// isOut reports whether a machine is left out now.
func (r *Ring) isOut(name string, now time.Time) bool {
	out, _ := r.state(name, now)
	return out
}

// state reports whether a machine is left out now, and whether it is asked last.
func (r *Ring) state(name string, now time.Time) (out, slow bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.machine(name); p != nil {
		out, slow = p.out(now), p.isSlow(now)
	}
	return out, slow
}
