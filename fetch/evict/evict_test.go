package evict

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"sort"
	"testing"
)

// cacheOf is a cache of runs for traces: it says of a read whether it was a hit.
type cacheOf interface{ read(r Run) bool }

// ours is Policy over a room of so many runs.
type ours struct {
	p    *Policy
	room int
}

func (c *ours) read(r Run) bool {
	if c.p.Read(r) {
		return true
	}
	for c.p.Len() >= c.room {
		if _, ok := c.p.Next(func(Run) bool { return false }); !ok {
			panic("nothing goes")
		}
	}
	c.p.Add(r)
	c.p.Read(r)
	return false
}

// queue is FIFO, or LRU if a hit moves the run to the end.
type queue struct {
	room int
	lru  bool
	tick int
	last map[Run]int
	line []entry
}

type entry struct {
	run  Run
	tick int
}

func (c *queue) read(r Run) bool {
	_, hit := c.last[r]
	if hit && !c.lru {
		return true
	}
	c.tick++
	c.last[r] = c.tick
	c.line = append(c.line, entry{r, c.tick})
	for len(c.last) > c.room {
		if e := c.line[0]; c.last[e.run] == e.tick {
			delete(c.last, e.run)
		}
		c.line = c.line[1:]
	}
	return hit
}

func newQueue(room int, lru bool) *queue { return &queue{room: room, lru: lru, last: map[Run]int{}} }

// share is the hit share of a trace, without its first part, which fills the cache.
func share(c cacheOf, trace []Run, from int, counts func(i int) bool) float64 {
	hits, all := 0, 0
	for i, r := range trace {
		hit := c.read(r)
		if i < from || !counts(i) {
			continue
		}
		if all++; hit {
			hits++
		}
	}
	return float64(hits) / float64(all)
}

func every(int) bool { return true }

// zipf returns n draws of one of runs, the kth as likely as k^-exponent.
func zipf(rng *rand.Rand, runs, n int, exponent float64) []Run {
	sums, sum := make([]float64, runs), 0.0
	for k := range sums {
		sum += math.Pow(float64(k+1), -exponent)
		sums[k] = sum
	}
	names := rng.Perm(runs)
	trace := make([]Run, n)
	for i := range trace {
		k := sort.SearchFloat64s(sums, rng.Float64()*sum)
		trace[i] = Run{Index: uint32(names[min(k, runs-1)])}
	}
	return trace
}

// TestSkewedReads: of random reads, some more likely than others, as many are hits as with
// the better one of LRU and FIFO, also while everything is read once beside them.
func TestSkewedReads(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const runs, room = 8000, 500
	reads := zipf(rng, runs, 100000, 0.9)
	var both []Run
	var isRead []bool
	for i, r := range reads {
		both, isRead = append(both, r, Run{Index: uint32(i % runs)}), append(isRead, true, false)
	}
	for _, test := range []struct {
		name   string
		trace  []Run
		counts func(i int) bool
	}{
		{"alone", reads, every},
		{"beside a scan", both, func(i int) bool { return isRead[i] }},
	} {
		from := len(test.trace) / 3
		got := share(&ours{New(), room}, test.trace, from, test.counts)
		lru := share(newQueue(room, true), test.trace, from, test.counts)
		fifo := share(newQueue(room, false), test.trace, from, test.counts)
		t.Logf("%s: %.3f; LRU %.3f, FIFO %.3f", test.name, got, lru, fifo)
		if got < max(lru, fifo) {
			t.Errorf("%s: hit share %.3f; LRU has %.3f, FIFO %.3f", test.name, got, lru, fifo)
		}
	}
}

// TestEpochs: with room for half of what is read once an epoch, nearly half of the reads of
// an epoch are hits, in an order that changes and in one that stays.
func TestEpochs(t *testing.T) {
	const files, perFile, epochs = 100, 40, 10
	for _, shuffled := range []bool{true, false} {
		rng := rand.New(rand.NewPCG(3, 4))
		order := make([]uint32, files)
		for i := range order {
			order[i] = uint32(i)
		}
		var trace []Run
		for range epochs {
			if shuffled {
				rng.Shuffle(files, func(i, j int) { order[i], order[j] = order[j], order[i] })
			}
			for at := 0; at < files; at += 8 { // by eight workers
				for i := range uint32(perFile) {
					for _, f := range order[at:min(at+8, files)] {
						trace = append(trace, Run{f, i})
					}
				}
			}
		}
		const room = files * perFile / 2
		from := len(trace) / 2
		got := share(&ours{New(), room}, trace, from, every)
		lru := share(newQueue(room, true), trace, from, every)
		t.Logf("shuffled %v: %.3f; LRU %.3f", shuffled, got, lru)
		if got < 0.46 {
			t.Errorf("shuffled %v: hit share of an epoch is %.3f, want 0.46", shuffled, got)
		}
	}
}

// TestNothingGoesThatStays: Next returns no run that must stay, and says so if all must.
func TestNothingGoesThatStays(t *testing.T) {
	p := New()
	for i := range uint32(100) {
		p.Add(Run{Index: i})
		for range i % 6 {
			p.Read(Run{Index: i})
		}
	}
	odd := func(r Run) bool { return r.Index%2 == 1 }
	var gone []uint32
	for {
		r, ok := p.Next(odd)
		if !ok {
			break
		}
		gone = append(gone, r.Index)
	}
	slices.Sort(gone)
	if len(gone) != 50 || gone[49] != 98 || p.Len() != 50 {
		t.Errorf("%v have gone, %d are left", gone, p.Len())
	}
}

// TestComesBack: a run that comes back soon after it went stays longer than those that were
// read once.
func TestComesBack(t *testing.T) {
	p := New()
	for i := range uint32(20) {
		p.Add(Run{Index: i})
		p.Read(Run{Index: i})
	}
	first, ok := p.Next(func(Run) bool { return false })
	if !ok || first.Index != 0 || p.Read(first) {
		t.Fatalf("%v went first, %v", first, ok)
	}
	p.Add(first)
	for i := range 10 {
		if r, ok := p.Next(func(Run) bool { return false }); !ok || r == first {
			t.Errorf("%v went, %v, after %d others: it has come back, and is worth more", r, ok, i)
		}
	}
	p.Remove(first)
	if p.Read(first) || p.Len() != 9 {
		t.Errorf("a run that was removed is here; %d runs are", p.Len())
	}
}

// TestMemory: the bookkeeping of the most runs that a mount has of large files, 4 MiB each of
// 1 TiB that is full, takes at most 32 MB, after as much has come and gone.
func TestMemory(t *testing.T) {
	const room, list = 1 << 18, 2 << 18
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	c := &ours{New(), room}
	rng := rand.New(rand.NewPCG(5, 6))
	for i := range uint32(list) {
		c.read(Run{Index: i})
		if i%4 == 0 {
			c.read(Run{Index: rng.Uint32N(i + 1)})
		}
	}
	took := heap() - before
	t.Logf("%d runs take %d bytes", c.p.Len(), took)
	if c.p.Len() != room || took > 32e6 {
		t.Errorf("%d runs take %d bytes", c.p.Len(), took)
	}
	runtime.KeepAlive(c)
}
