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

// zipf returns a trace of reads of blocks of a load, drawn from a Zipf distribution:
// the block of rank k is read with a probability in proportion to k^-exponent. Ranks
// are given to blocks at random, so that blocks read often do not lie side by side.
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

// beside returns a trace in which each read of the given one is followed by a read of a
// scan: the next block of the files of l, whose first one has the number first, from
// the beginning again after the last.
func beside(trace []touch, first int, l load, block int64) []touch {
	all := make([]touch, 0, 2*len(trace))
	each := l.Size / block
	for i, t := range trace {
		at := int64(i) % (each * int64(l.Count))
		all = append(all, t, touch{first + int(at/each), at % each * block})
	}
	return all
}

// policy is a simulated cache of blocks. read has it see one read, and reports whether
// the block was in the cache.
type policy interface{ read(t touch) bool }

// hitShare returns which part of the reads are hits, of those of files with numbers
// below end. The first warm reads fill the cache and are not counted.
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

// line simulates FIFO, or LRU if lru is set: then a hit moves the block to the end of
// the line. It is also the ghost queue of s3fifo.
type line struct {
	room int
	lru  bool
	tick int
	last map[touch]int // when each block came to the end
	came []arrival     // some are out of date: the block has moved since
}

// arrival notes that a block came to the end of a line at a tick.
type arrival struct {
	touch touch
	tick  int
}

// newLine returns an empty line for room blocks.
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

// newS3FIFO returns an empty S3-FIFO for room blocks; small of these blocks are for the small
// queue. Its ghost queue remembers as many blocks as the main queue holds.
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

// evict takes one step towards a free place: it moves the first block of a queue on, or
// removes it. The caller repeats it until there is room.
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
