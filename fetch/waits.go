package fetch

import (
	"cmp"
	"context"
	"slices"
	"time"

	"dlfs/fetch/hosts"
)

// Wait is a file that readers wait for: for blocks, or for the answer to its first contact.
type Wait struct {
	Name    string    `json:"name"`
	Readers int       `json:"readers"`
	Offset  int64     `json:"offset"` // of the first byte that has not come; 0 in a first contact
	Since   time.Time `json:"since"`  // when the oldest flight or the contact began that they wait for
}

// Waits returns the files that readers wait for, the one that has waited longest first, and at
// most n of them; and how many there are. It does not block.
func (s *Set) Waits(n int) (list []Wait, all int) {
	s.mu.Lock()
	running := make([]*flight, 0, len(s.mu.running))
	for fl := range s.mu.running {
		running = append(running, fl)
	}
	byFile := map[*File]Wait{}
	for c, readers := range s.mu.asked {
		byFile[c.file] = Wait{Name: c.file.name, Readers: readers, Since: c.began.UTC()}
	}
	s.mu.Unlock()
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

// await waits until the contact has ended, or ctx, whose error it then returns. A reader is
// one of Waits meanwhile.
func (c *contact) await(ctx context.Context, reader bool) error {
	if reader {
		c.counted(1)
		defer c.counted(-1)
	}
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// counted adds n to the readers that wait for the contact.
func (c *contact) counted(n int) {
	s := c.file.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.asked[c] += n; s.mu.asked[c] == 0 {
		delete(s.mu.asked, c)
	}
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
