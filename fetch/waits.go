package fetch

import (
	"cmp"
	"slices"
	"time"

	"dlfs/fetch/hosts"
)

// Wait is a file that readers wait for blocks of.
type Wait struct {
	Name    string    `json:"name"`
	Readers int       `json:"readers"`
	Offset  int64     `json:"offset"` // of the first byte that has not come
	Since   time.Time `json:"since"`  // when the oldest flight was launched that they wait for
}

// Waits returns the files that readers wait for blocks of, the one that has waited longest
// first, and at most n of them; and how many there are. It does not block.
func (s *Set) Waits(n int) (list []Wait, all int) {
	s.mu.Lock()
	running := make([]*flight, 0, len(s.mu.running))
	for fl := range s.mu.running {
		running = append(running, fl)
	}
	s.mu.Unlock()
	byFile := map[*File]Wait{}
	for _, fl := range running {
		f := fl.fill.file
		if w, waits := fl.wait(); waits {
			byFile[f] = byFile[f].and(w)
		}
	}
	list = make([]Wait, 0, len(byFile)) // not nil, for JSON
	for _, w := range byFile {
		list = append(list, w)
	}
	slices.SortFunc(list, func(a, b Wait) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(n, len(list))], len(list)
}

// wait tells of the readers who wait for the flight; waits is false if there are none.
func (fl *flight) wait() (w Wait, waits bool) {
	f := fl.fill.file
	f.mu.Lock()
	defer f.mu.Unlock()
	return Wait{Name: f.name, Readers: len(fl.seats), Offset: fl.pos, Since: fl.launch.UTC()}, len(fl.seats) > 0
}

// and adds the readers of another flight of the same file. The zero value has none.
func (w Wait) and(o Wait) Wait {
	if w.Readers == 0 || o.Since.Before(w.Since) {
		w, o = o, w
	}
	w.Readers += o.Readers
	return w
}

// HostStatus is one host, with its flights under way.
type HostStatus = hosts.Figures

// Hosts returns the figures of at most n hosts, the busiest first, and how many hosts
// there are. It does not block.
func (s *Set) Hosts(n int) ([]HostStatus, int) { return s.hosts.Figures(n) }
