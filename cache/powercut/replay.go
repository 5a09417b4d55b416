//go:build linux

package powercut

import (
	"math/rand/v2"
	"slices"
)

// Log is what happened to a disk.
type Log struct {
	base    tree
	changes []change
}

// Len is the number of steps: a system call has one or more.
func (l *Log) Len() int { return len(l.changes) }

// Replay goes through a log, and knows at each point what is on disk for sure
// and what is not.
type Replay struct {
	log    *Log
	strict bool
	at     int
	live   tree
	forced tree
	maybe  []change // since, in order
}

// Replay begins at the first step. A strict one forces no entry of a directory
// but by fsync of that directory.
func (l *Log) Replay(strict bool) *Replay {
	return &Replay{log: l, strict: strict, live: l.base.clone(), forced: l.base.clone()}
}

// To goes on until n steps are done.
func (r *Replay) To(n int) {
	for ; r.at < n; r.at++ {
		c := r.log.changes[r.at]
		r.live.apply(c)
		switch c.kind {
		case made: // means nothing without a name
			r.forced.apply(c)
		case synced:
			r.force(c.id)
		default:
			r.maybe = append(r.maybe, c)
		}
	}
}

// Step goes on to the end of the next system call, and reports whether there
// was one.
func (r *Replay) Step() bool {
	for r.at < r.log.Len() {
		r.To(r.at + 1)
		if r.log.changes[r.at-1].last {
			return true
		}
	}
	return false
}

// At is the number of steps done.
func (r *Replay) At() int { return r.at }

// Read returns what a file holds for those who have not lost power.
func (r *Replay) Read(name string) []byte {
	n := r.live[r.live[rootID].entries[name]]
	if n == nil {
		return nil
	}
	p := make([]byte, n.size)
	n.read(p, 0)
	return p
}

// Kill returns the disk as the next process finds it when this one died after
// the last system call and the power stayed: all is there, and what was not
// forced to disk still is not.
func (r *Replay) Kill() *Disk {
	for r.at > 0 && !r.log.changes[r.at-1].last {
		r.To(r.at + 1)
	}
	d := &Disk{base: r.log.base}
	d.mu.log = r.log.changes[:r.at:r.at]
	d.mu.live = r.live.clone()
	for id := range d.mu.live {
		d.mu.lastID = max(d.mu.lastID, id)
	}
	return d
}

// force does what an fsync of id does.
func (r *Replay) force(id int) {
	isForced := make([]bool, len(r.maybe))
	for i, c := range r.maybe {
		isForced[i] = c.owner() == id
	}
	if !r.strict {
		r.forceNames(id, isForced)
	}
	for again := true; again; {
		again = false
		for i, c := range r.maybe {
			if !isForced[i] {
				continue
			}
			if c.after && !isForced[i-1] { // the first half of a rename with its second
				isForced[i-1], again = true, true
			}
			for k := range i { // what became of a name before is decided, too
				if c.dir != 0 && !isForced[k] && r.maybe[k].dir == c.dir && r.maybe[k].name == c.name {
					isForced[k], again = true, true
				}
			}
		}
	}
	var maybe []change
	for i, c := range r.maybe {
		if isForced[i] {
			r.forced.apply(c)
			continue
		}
		c.after = c.after && !isForced[i-1]
		maybe = append(maybe, c)
	}
	r.maybe = maybe
}

// forceNames forces every entry that leads to id, and to the directories these
// are in.
func (r *Replay) forceNames(id int, isForced []bool) {
	for i, c := range r.maybe {
		if c.kind == linked && c.id == id && !isForced[i] {
			isForced[i] = true
			r.forceNames(c.dir, isForced)
		}
	}
}

// owner is the inode whose fsync forces a change.
func (c change) owner() int {
	if c.kind == linked || c.kind == unlinked {
		return c.dir
	}
	return c.id
}

// Image is a state in which a disk was found.
type Image struct{ tree tree }

// Write makes the image in a directory, which exists and is empty.
func (m Image) Write(dir string) error { return m.tree.write(dir) }

// Hash is the same for images in which the same is found under a name.
func (m Image) Hash(name string) uint64 { return m.tree.hash(m.tree[rootID].entries[name]) }

// A Model says what is found, after a power cut, of what was written and not forced to disk.
type Model uint8

const (
	Nothing    Model = iota // none of it
	Some                    // any part of it, at random: bytes by pages or sectors, sizes, times, names
	Everything              // all of it
)

func (m Model) String() string { return [...]string{"nothing", "some", "everything"}[m] }

// Cut returns a state in which the disk may be found if the power goes now.
func (r *Replay) Cut(model Model, rng *rand.Rand) Image {
	if model == Everything {
		return Image{r.live.clone()}
	}
	chance := map[kind]float64{}
	torn := 0.0
	if model == Some {
		odds := []float64{0, .1, .5, .9, 1}
		for _, k := range []kind{linked, unlinked, wrote, sized, touched} {
			chance[k] = odds[rng.IntN(len(odds))]
		}
		torn = []float64{0, .1, .5}[rng.IntN(3)]
	}
	keep := make([]bool, len(r.maybe))
	for i, c := range r.maybe {
		keep[i] = chance[c.kind] > 0 && rng.Float64() < chance[c.kind]
	}
	return r.image(keep, func() bool { return rng.Float64() < torn }, rng)
}

// image applies what is kept, and with the second half of a rename its first.
// Of a page that is torn, some sectors are as before.
func (r *Replay) image(keep []bool, torn func() bool, rng *rand.Rand) Image {
	t := r.forced.clone()
	for i, c := range r.maybe {
		if !keep[i] && !(i+1 < len(keep) && keep[i+1] && r.maybe[i+1].after) {
			continue
		}
		if c.kind == wrote && torn != nil && torn() {
			c.data = slices.Clone(c.data)
			before := make([]byte, pageSize)
			copy(before, t[c.id].pages[c.page])
			for at := 0; at < pageSize; at += sectorSize {
				if rng.IntN(2) == 0 {
					copy(c.data[at:at+sectorSize], before[at:])
				}
			}
		}
		t.apply(c)
	}
	return Image{t}
}

// Units is how many units there are at this point. A unit is what one system call did to
// one object; a state after a power cut has any part of them.
func (r *Replay) Units() int { return len(r.units()) }

// units groups what is not forced: the pages of a write go with its size and
// time. It returns the end of each unit.
func (r *Replay) units() (ends []int) {
	for i, c := range r.maybe {
		if i+1 == len(r.maybe) || c.last || c.kind == linked || c.kind == unlinked {
			ends = append(ends, i+1)
		}
	}
	return ends
}

// CutUnits returns the state that has these units of Units.
func (r *Replay) CutUnits(has func(unit int) bool) Image {
	keep := make([]bool, len(r.maybe))
	start := 0
	for unit, end := range r.units() {
		for i := start; i < end; i++ {
			keep[i] = has(unit)
		}
		start = end
	}
	return r.image(keep, nil, nil)
}
