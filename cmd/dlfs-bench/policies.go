package main

import (
	"math"
	"math/rand/v2"
	"sort"
)

// touch is one read of a trace: which file, and where.
type touch struct {
	File int
	Off  int64
}

// zipf are so many reads of blocks of a load, the kth block as likely as k to the power of
// -exponent. Which block is the kth is drawn, too.
func zipf(rng *rand.Rand, l load, block int64, reads int, exponent float64) []touch {
	each := l.Size / block
	blocks := int(each) * l.Count
	sums, sum := make([]float64, blocks), 0.0
	for k := range sums {
		sum += math.Pow(float64(k+1), -exponent)
		sums[k] = sum
	}
	names := rng.Perm(blocks)
	trace := make([]touch, reads)
	for i := range trace {
		k := sort.SearchFloat64s(sums, rng.Float64()*sum)
		at := int64(names[min(k, blocks-1)])
		trace[i] = touch{int(at / each), at % each * block}
	}
	return trace
}

// beside has a read of a scan, the next block of files that begin with number first, after
// each read of a trace.
func beside(trace []touch, first int, l load, block int64) []touch {
	all := make([]touch, 0, 2*len(trace))
	each := l.Size / block
	for i, t := range trace {
		at := int64(i) % (each * int64(l.Count))
		all = append(all, t, touch{first + int(at/each), at % each * block})
	}
	return all
}

// policy is a simulated cache of blocks: it says of a read whether it was a hit.
type policy interface{ read(t touch) bool }

// hitShare is the part of the reads of files below end that are hits, after the first ones.
func hitShare(p policy, trace []touch, warm, end int) float64 {
	hits, all := 0, 0
	for i, t := range trace {
		hit := p.read(t)
		if i < warm || t.File >= end {
			continue
		}
		if all++; hit {
			hits++
		}
	}
	return float64(hits) / float64(all)
}

// bestShare is the best hit share that a simulated policy of so many blocks has: LRU, FIFO,
// or S3-FIFO with the small queue that is best for the trace.
func bestShare(room int, trace []touch, warm, end int) float64 {
	best := max(hitShare(newLine(room, true), trace, warm, end), hitShare(newLine(room, false), trace, warm, end))
	for _, percent := range []int{1, 2, 5, 10, 20, 40} {
		best = max(best, hitShare(newS3FIFO(room, max(1, room*percent/100)), trace, warm, end))
	}
	return best
}

// line is FIFO, or LRU if a hit moves the block to the end.
type line struct {
	room int
	lru  bool
	tick int
	last map[touch]int // when each block came to the end
	came []arrival     // some are out of date: the block has moved since
}

type arrival struct {
	touch touch
	tick  int
}

func newLine(room int, lru bool) *line { return &line{room: room, lru: lru, last: map[touch]int{}} }

func (c *line) read(t touch) bool {
	_, hit := c.last[t]
	if hit && !c.lru {
		return true
	}
	c.tick++
	c.last[t] = c.tick
	c.came = append(c.came, arrival{t, c.tick})
	for len(c.last) > c.room {
		if a := c.came[0]; c.last[a.touch] == a.tick {
			delete(c.last, a.touch)
		}
		c.came = c.came[1:]
	}
	return hit
}

// s3fifo is S3-FIFO as published (Yang et al., SOSP 2023, algorithm 1): a block that is read
// again in the small queue goes on to the main queue, and one that comes back while the ghost
// queue has its name goes there at once.
type s3fifo struct {
	room, most int // of all blocks, of the small queue
	reads      map[touch]int
	small      []touch
	main       []touch
	ghosts     *line
}

func newS3FIFO(room, small int) *s3fifo {
	return &s3fifo{room: room, most: small, reads: map[touch]int{}, ghosts: newLine(room-small, false)}
}

func (c *s3fifo) read(t touch) bool {
	if n, hit := c.reads[t]; hit {
		c.reads[t] = min(n+1, 3)
		return true
	}
	for len(c.small)+len(c.main) >= c.room {
		c.evict()
	}
	c.reads[t] = 0
	if _, back := c.ghosts.last[t]; back {
		delete(c.ghosts.last, t)
		c.main = append(c.main, t)
	} else {
		c.small = append(c.small, t)
	}
	return false
}

// evict takes one step towards a free place.
func (c *s3fifo) evict() {
	if len(c.small) >= c.most || len(c.main) == 0 {
		t := c.small[0]
		c.small = c.small[1:]
		if c.reads[t] > 1 {
			c.reads[t] = 0
			c.main = append(c.main, t)
			return
		}
		delete(c.reads, t)
		c.ghosts.read(t)
		return
	}
	t := c.main[0]
	c.main = c.main[1:]
	if c.reads[t] == 0 {
		delete(c.reads, t)
		return
	}
	c.reads[t]--
	c.main = append(c.main, t)
}
