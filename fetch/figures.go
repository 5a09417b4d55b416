package fetch

import (
	"sync/atomic"
	"time"

	"dlfs/fetch/hosts"
)

// Figures are what a monitor is told of a Set beyond its Totals and States.
type Figures struct {
	Flights  map[string]int // requests for parts of files, by why they were made: reader, read-ahead or prefetch; each is there
	ReadWait Durations      // durations of reads that had to wait for their bytes
	Probe    Durations      // durations of first contacts with the origin of a file, whether or not they told its version
	Read     int64          // bytes that were handed to readers
}

// Figures returns the figures as they are now. It does not block, and takes no longer for
// more files.
func (s *Set) Figures() Figures {
	fs := Figures{ReadWait: s.readWait.durations(), Probe: s.probe.durations(), Read: s.readBytes.Load(),
		Flights: map[string]int{"reader": 0, "read-ahead": 0, "prefetch": 0}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for fl := range s.mu.running {
		fs.Flights[[...]string{hosts.Demand: "reader", hosts.Ahead: "read-ahead", hosts.Bulk: "prefetch"}[fl.class]]++
	}
	return fs
}

// durationBounds are the upper bounds by which durations are counted.
var durationBounds = [...]time.Duration{
	time.Millisecond, 3 * time.Millisecond, 10 * time.Millisecond, 30 * time.Millisecond, 100 * time.Millisecond, 300 * time.Millisecond,
	time.Second, 3 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute,
}

// Durations tell how long a thing took that was done many times.
type Durations struct {
	Count uint64
	Sum   time.Duration
	Upto  map[time.Duration]uint64 // how many took as long, or less; the bounds never change
}

// histogram counts durations. The zero value is ready. It is safe for concurrent use.
type histogram struct {
	sum    atomic.Int64
	counts [len(durationBounds) + 1]atomic.Uint64 // the last of those above all bounds
}

// observe counts one duration. It takes no lock.
func (h *histogram) observe(d time.Duration) {
	i := 0
	for i < len(durationBounds) && d > durationBounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// durations returns the counts so far, added up as Prometheus has them: each bound counts what
// is at most that long. Durations that are observed meanwhile may be missing in a part of it.
func (h *histogram) durations() Durations {
	ds := Durations{Sum: time.Duration(h.sum.Load()), Upto: make(map[time.Duration]uint64, len(durationBounds))}
	for i := range h.counts {
		ds.Count += h.counts[i].Load()
		if i < len(durationBounds) {
			ds.Upto[durationBounds[i]] = ds.Count
		}
	}
	return ds
}
