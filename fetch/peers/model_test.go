package peers

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// model is machines that fetch the same extents, in slots of time. In a slot the network
// of a machine sends one extent and receives one, and the origin gives origin extents to
// all together. What is received in a slot can be sent from the next slot on. Every choice
// is a Course's.
type model struct {
	t        *testing.T
	random   *rand.Rand
	now      time.Time
	slot     int
	keys     []Key
	ranks    map[Key][]string // of all machines while none is out
	machines map[string]*machine
	names    []string

	origin  float64 // extents a slot
	budget  float64 // of this slot
	asked   int     // extents that the origin has given
	refuses bool    // busy owners name no machine
	deaths  bool    // some machine has been dead
}

type machine struct {
	ring     *Ring
	holders  Holders
	has      []int // the slot in which an extent came, 0 while it is missing
	missing  []int // extents, in order
	sent     bool  // in this slot
	received bool
	slow     int // it sends in one slot of so many; 0 for each
	dead     bool
	done     int // the slot in which the last extent came
}

func newModel(t *testing.T, machines, extents int, origin float64) *model {
	m := &model{t: t, random: rand.New(rand.NewPCG(1, 2)), now: time.Unix(1e9, 0), ranks: map[Key][]string{}, machines: map[string]*machine{}, origin: origin}
	for i := range machines {
		m.names = append(m.names, fmt.Sprintf("node%04d:3537", i))
	}
	for _, name := range m.names {
		all := make([]int, extents)
		for e := range all {
			all[e] = e
		}
		m.machines[name] = &machine{ring: NewRing(name, m.names), has: make([]int, extents), missing: all}
	}
	first := m.machines[m.names[0]].ring
	for e := range extents {
		k := KeyOf("set.tar", int64(e))
		m.keys = append(m.keys, k)
		m.ranks[k] = first.Rank(k, nil, m.now)
	}
	return m
}

// course is Ring.Course, with a rank that was computed before while all machines are the
// same to the ring.
func (m *model) course(n *machine, k Key) *Course {
	if m.deaths {
		return n.ring.Course(k, false, nil, m.now)
	}
	return &Course{ring: n.ring, rank: m.ranks[k]}
}

// run runs slots until all machines that live have everything, and returns how many slots
// that took. each is called at the beginning of each slot; it may be nil.
func (m *model) run(each func(slot int)) int {
	const window, tries, mostSlots = 64, 8, 10000
	began := m.slot
	for m.slot < began+mostSlots {
		m.slot++
		slot := m.slot
		m.now = m.now.Add(100 * time.Millisecond)
		m.budget = min(m.budget+m.origin, max(1, m.origin))
		if each != nil {
			each(slot)
		}
		for _, n := range m.machines {
			n.sent, n.received = n.slow > 0 && slot%n.slow != 0, n.slow > 0 && slot%n.slow != 0
		}
		left := 0
		for _, i := range m.random.Perm(len(m.names)) {
			name := m.names[i]
			n := m.machines[name]
			if n.dead || len(n.missing) == 0 {
				continue
			}
			m.ownFirst(name, n, slot)
			for range tries {
				if n.received || len(n.missing) == 0 {
					break
				}
				e := n.missing[m.random.IntN(min(window, len(n.missing)))]
				m.follow(name, n, e, slot)
			}
			left += len(n.missing)
		}
		if left == 0 {
			return slot - began
		}
	}
	m.t.Fatal("the machines are never complete")
	return 0
}

// ownFirst has n ask the origin for its next own extent, while the origin has time.
func (m *model) ownFirst(name string, n *machine, slot int) {
	if n.received || m.budget < 1 {
		return
	}
	for _, e := range n.missing {
		if !m.deaths && m.ranks[m.keys[e]][0] != name {
			continue
		}
		if c := m.course(n, m.keys[e]); c.Own() {
			m.follow(name, n, e, slot)
			return
		}
	}
}

// follow follows the course of an extent to its end, in this slot.
func (m *model) follow(name string, n *machine, e, slot int) {
	c := m.course(n, m.keys[e])
	for {
		ask := c.Next()
		switch ask.Kind {
		case Later:
			return
		case Origin:
			if m.budget >= 1 {
				m.budget--
				m.asked++
				m.give(n, e, slot)
			}
			return
		case Probe:
			var have, dead []string
			for _, other := range ask.Peers {
				switch p := m.machines[other]; {
				case p.dead:
					dead = append(dead, other)
				case p.has[e] != 0 && p.has[e] < slot:
					have = append(have, other)
				}
			}
			c.Found(have, dead, m.now)
		case Fetch, Cached:
			p := m.machines[ask.Peers[0]]
			var named []string
			if !p.dead {
				if named = p.holders.Asked(m.keys[e], name); m.refuses {
					named = nil
				}
			}
			switch {
			case p.dead:
				c.Note(Dead, nil, m.now)
			case p.has[e] == 0 || p.has[e] == slot || p.sent:
				c.Note(Busy, named, m.now)
			default:
				p.sent = true
				p.holders.Gave(m.keys[e], name)
				m.give(n, e, slot)
				return
			}
		}
	}
}

func (m *model) give(n *machine, e, slot int) {
	n.has[e], n.received = slot, true
	i := slices.Index(n.missing, e)
	n.missing = slices.Delete(n.missing, i, i+1)
	if len(n.missing) == 0 {
		n.done = slot
	}
}

// bound is the fewest slots in which it can be done.
func (m *model) bound() float64 {
	extents := float64(len(m.keys))
	return max(extents, extents/m.origin)
}

// The choice is near the bound, from a few machines to a thousand, and asks the origin for
// nothing twice. Beside it, an owner that names no other machine is not.
func TestChoiceIsNearTheBound(t *testing.T) {
	for _, c := range []struct {
		machines, extents int
		origin            float64 // over the network of a machine
		most              float64 // times the bound
	}{
		{8, 50, 0.2, 1.15},
		{10, 200, 8, 1.15},
		{64, 200, 16, 1.2},
		{1000, 128, 8, 1.25},
	} {
		m := newModel(t, c.machines, c.extents, c.origin)
		got := float64(m.run(nil)) / m.bound()
		t.Logf("%d machines, origin %v: %.2f of the bound, origin gave %d of %d extents", c.machines, c.origin, got, m.asked, c.extents)
		if got > c.most || m.asked != c.extents {
			t.Errorf("%d machines, origin %v: %.2f of the bound, want %.2f; the origin gave %d extents, want %d", c.machines, c.origin, got, c.most, m.asked, c.extents)
		}
	}
}

func TestNamingOthersSparesTheOwner(t *testing.T) {
	named, alone := newModel(t, 64, 100, 16), newModel(t, 64, 100, 16)
	alone.refuses = true
	with, without := named.run(nil), alone.run(nil)
	if with*5 > without*4 {
		t.Errorf("with holders named it takes %d slots and without %d, want a fifth less", with, without)
	}
}

// Machines that stop in the middle cost at most what they had fetched and passed to nobody.
func TestDeathsInTheMiddleCostLittle(t *testing.T) {
	const machines, extents, deaths = 20, 100, 2
	m := newModel(t, machines, extents, 4)
	m.run(func(slot int) {
		if slot == extents/2 {
			for _, name := range m.names[:deaths] {
				m.deaths, m.machines[name].dead, m.machines[name].missing = true, true, nil
			}
		}
	})
	if most := extents * (105 + 100*deaths/machines) / 100; m.asked > most {
		t.Errorf("the origin gave %d extents of %d, want %d at most", m.asked, extents, most)
	}
}

// A machine with a tenth of the network does not hold the others up for long.
func TestSlowMachinesDelayTheOthersLittle(t *testing.T) {
	m := newModel(t, 64, 200, 16)
	for _, name := range m.names[:6] {
		m.machines[name].slow = 10
	}
	m.run(nil)
	var done []int
	for _, name := range m.names[6:] {
		done = append(done, m.machines[name].done)
	}
	slices.Sort(done)
	if median := float64(done[len(done)/2]) / m.bound(); median > 1.3 {
		t.Errorf("half of the others take %.2f of the bound, want 1.3", median)
	}
}

// Who joins when all is there asks the origin for nothing.
func TestJoinerAsksTheOriginForNothing(t *testing.T) {
	m := newModel(t, 8, 50, 8)
	late := m.machines[m.names[3]]
	late.dead, m.deaths = true, true
	rest := late.missing
	late.missing = nil
	m.run(nil)
	before := m.asked
	late.dead, late.missing = false, rest
	m.now = m.now.Add(time.Hour)
	if m.run(nil); m.asked != before {
		t.Errorf("the joiner cost %d extents of the origin", m.asked-before)
	}
}
