package hosts

import (
	"cmp"
	"maps"
	"slices"
)

// Figures are what is known of one host at one moment.
type Figures struct {
	Host      string  `json:"host"`
	Readers   int     `json:"readers"`            // flights of readers, and readers who wait for other flights
	Ahead     int     `json:"read_ahead"`         // read-ahead flights under way
	Prefetch  int     `json:"prefetch"`           // prefetch flights under way
	Resting   int     `json:"resting"`            // prefetch flights that wait before another attempt
	Rate      float64 `json:"bytes_per_second"`   // of one flight, typically; 0 while none has ended
	FirstByte float64 `json:"first_byte_seconds"` // from a request to its first byte, typically
	Stuck     bool    `json:"stuck"`              // it is asked, and has sent nothing for a while
}

// Figures returns the figures of at most n hosts, the busiest first, and how many hosts
// there are. It does not block.
func (hs *Hosts) Figures(n int) (list []Figures, all int) {
	hs.mu.Lock()
	known := maps.Clone(hs.hosts) // a host has a lock of the same rank
	hs.mu.Unlock()
	list = make([]Figures, 0, len(known))
	for name, h := range known {
		list = append(list, h.figures(name, hs.perClass))
	}
	slices.SortFunc(list, func(a, b Figures) int {
		return cmp.Or(cmp.Compare(b.busy(), a.busy()), cmp.Compare(a.Host, b.Host))
	})
	return list[:min(n, len(list))], len(list)
}

// busy is how many flights there are, under way or resting.
func (f Figures) busy() int { return f.Readers + f.Ahead + f.Prefetch + f.Resting }

// figures copies the figures of one host under its lock. perClass is how many places each
// class has.
func (h *Host) figures(name string, perClass int) Figures {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := Figures{Host: name, Readers: h.waiting, Ahead: perClass - h.ahead, Prefetch: perClass - h.bulk,
		Resting: h.resting, Rate: h.rate}
	if h.answers.Load() {
		f.FirstByte = h.ttfb.Seconds()
	}
	f.Stuck = f.busy() > 0 && h.Stuck()
	return f
}
