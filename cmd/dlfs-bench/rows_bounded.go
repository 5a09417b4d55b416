package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// boundedSizes are how much each row of -bounded does. Rooms are what a bound leaves for
// blocks.
type boundedSizes struct {
	crowd     load // read at random by 64 threads
	crowdRoom int64
	crowdFor  time.Duration

	skewed     load // some blocks are read more often than others
	scanned    load // beside them
	skewedRoom int64
	reads      int

	stream     load // read once, in sequence
	streamRoom int64

	shards load // read wholly in each epoch, with room for half
	epochs int
}

var longBounded = boundedSizes{
	crowd: load{64, gib}, crowdRoom: 4*gib - stateRoom, crowdFor: 10 * time.Minute,
	skewed: load{16, gib}, scanned: load{60, gib + 64*mib}, skewedRoom: 2 * gib, reads: 400_000,
	stream: load{1, 16 * gib}, streamRoom: gib - stateRoom,
	shards: load{500, 96 * mib}, epochs: 5,
}

var shortBounded = boundedSizes{
	crowd: load{16, 128 * mib}, crowdRoom: 256 * mib, crowdFor: 8 * time.Second,
	skewed: load{4, 384 * mib}, scanned: load{16, 128 * mib}, skewedRoom: 256 * mib, reads: 15_000,
	stream: load{1, gib}, streamRoom: 512*mib - stateRoom,
	shards: load{64, 12 * mib}, epochs: 4,
}

const (
	// stateRoom is what the state of a short list takes of a bound.
	stateRoom = 40 * mib

	// skewedBlock is how much a read takes.
	skewedBlock = 128 << 10

	unbounded = "unbounded"
	simulated = "simulated"
)

// boundedRows are the rows of -bounded.
func boundedRows(short bool) []row {
	z := longBounded
	if short {
		z = shortBounded
	}
	return []row{
		crowdRow(z), skewedRow(z, false), skewedRow(z, true), streamRow(z),
		besideRow(z), epochRow(z, true), epochRow(z, false),
	}
}

// crowdRow has 64 threads read at random while prefetch goes on, and looks every 10 ms
// how much is on disk. The figure is the most by which that was above the bound: a
// bound that is only held on average is no bound for a disk that is full.
func crowdRow(z boundedSizes) row {
	ls := loads{z.crowd}
	return row{
		name: fmt.Sprintf("64 readers of %v, bound %s, %v", z.crowd, sizeText(z.crowdRoom+stateRoom), z.crowdFor),
		goals: []goal{
			{metric: overrun, bound: atMost(0)},
			{of: "rclone", metric: overrun},
		},
		needs: []need{needFuse},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: ls}, nil)
			crowd := func(ctx context.Context, m *mounted, disk string, _ *virtual) (sample, error) {
				watch := watchDisk(disk)
				_, err := read(ctx, readJob{Paths: ls.paths(m.point), Block: skewedBlock, Threads: 64, For: z.crowdFor, Direct: true}, nil)
				most, err2 := watch()
				return sample{overrun: float64(max(0, most-z.crowdRoom-stateRoom))}, errors.Join(err, err2)
			}
			return []contestant{ls.reader(s, ours, o, z.crowdRoom, crowd), ls.rclone(s, o, z.crowdRoom, crowd)}, err
		},
	}
}

// skewedRow reads blocks at random, some more often than others, alone or with a scan of
// other files, and compares the hit share with the best simulated one.
func skewedRow(z boundedSizes, scan bool) row {
	ls, name := loads{z.skewed}, "alone"
	if scan {
		ls, name = append(ls, z.scanned), fmt.Sprintf("and as many of a scan of %v", z.scanned)
	}
	least := 0.97
	if scan {
		least = 0.9
	}
	return row{
		name: fmt.Sprintf("%d reads of 128 KiB (Zipf 0.9) of %v, room for %s, %s", z.reads, z.skewed, sizeText(z.skewedRoom), name),
		goals: []goal{
			{metric: hits, than: simulated, bound: atLeast(least)},
			{metric: hits, than: "rclone"},
		},
		needs: []need{needFuse},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: ls}, nil)
			trace := zipf(rand.New(rand.NewPCG(1, 2)), z.skewed, skewedBlock, z.reads, 0.9)
			if scan {
				trace = beside(trace, z.skewed.Count, z.scanned, skewedBlock)
			}
			warm := len(trace) / 3
			follow := func(ctx context.Context, m *mounted, _ string, o *virtual) (sample, error) {
				share, err := follow(ctx, ls, m, trace, warm, o)
				return sample{hits: share}, err
			}
			best := contestant{name: simulated, run: func(context.Context, int) (sample, error) {
				return sample{hits: bestShare(int(z.skewedRoom/skewedBlock), trace, warm, z.skewed.Count)}, nil
			}}
			return []contestant{
				ls.reader(s, ours, o, z.skewedRoom, follow, "--prefetch=none"), ls.rclone(s, o, z.skewedRoom, follow, needLong), best,
			}, err
		},
	}
}

// follow reads along a trace through a mount. It returns which part of the bytes read
// of the first load the origin did not have to send, counted after the first warm
// reads.
func follow(ctx context.Context, ls loads, m *mounted, trace []touch, warm int, o *virtual) (float64, error) {
	job := readJob{Paths: ls.paths(m.point), Block: skewedBlock, Direct: true, Trace: trace[:warm]}
	if _, err := read(ctx, job, nil); err != nil {
		return 0, err
	}
	before, err := o.countsOf(ls[0])
	if err != nil {
		return 0, err
	}
	job.Trace = trace[warm:]
	if _, err := read(ctx, job, nil); err != nil {
		return 0, err
	}
	after, err := o.countsOf(ls[0])
	reads := 0
	for _, t := range job.Trace {
		if t.File < ls[0].Count {
			reads++
		}
	}
	return 1 - float64(after.BodyBytes-before.BodyBytes)/float64(reads*skewedBlock), err
}

// streamRow reads a file once that is larger than the bound. Nothing is read twice, so
// that the row shows what evictions cost.
func streamRow(z boundedSizes) row {
	ls := loads{z.stream}
	return row{
		name: fmt.Sprintf("cold sequential read of %v, bound %s", z.stream, sizeText(z.streamRoom+stateRoom)),
		goals: []goal{
			{metric: speed, than: unbounded, bound: atLeast(0.9)},
			{metric: speed, than: "rclone"},
		},
		needs: []need{needFuse},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: ls}, nil)
			stream := func(ctx context.Context, m *mounted, _ string, _ *virtual) (sample, error) {
				r, err := read(ctx, readJob{Paths: ls.paths(m.point), Block: catBlock, Bytes: whole}, nil)
				return sample{speed: r.speed(), wall: r.Wall}, err
			}
			return []contestant{
				ls.reader(s, ours, o, z.streamRoom, stream, "--prefetch=none"),
				ls.reader(s, unbounded, o, 0, stream, "--prefetch=none"),
				ls.rclone(s, o, z.streamRoom, stream),
			}, err
		},
	}
}

// besideRow reads present blocks of an unfinished file while another is read that is larger
// than the bound, and the same without a bound.
func besideRow(z boundedSizes) row {
	hot := load{1, 64 * mib}
	ls := loads{hot, z.stream}
	return row{
		name:  fmt.Sprintf("present 64 KiB reads during a cold read of %v, bound %s", z.stream, sizeText(z.streamRoom+stateRoom)),
		goals: []goal{{metric: slowest, than: unbounded, bound: atMost(2)}},
		needs: []need{needFuse},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: ls}, nil)
			return []contestant{
				ls.reader(s, ours, o, z.streamRoom, ls.presentBeside, "--prefetch=none"),
				ls.reader(s, unbounded, o, 0, ls.presentBeside, "--prefetch=none"),
			}, err
		},
	}
}

// presentBeside reads the first half of the first file again and again while the second
// file is read, and returns the median of the 99th percentiles of these rounds. The
// second half of the first file stays missing, so that the reads go through dlfs and
// are not the kernel's alone.
func (ls loads) presentBeside(ctx context.Context, m *mounted, _ string, _ *virtual) (sample, error) {
	paths, half, block := ls.paths(m.point), ls[0].Size/2, int64(64<<10)
	job := readJob{Paths: paths[:1], Block: int(block), Direct: true, Trace: make([]touch, half/block)}
	for i := range job.Trace {
		job.Trace[i].Off = int64(i) * block
	}
	for range 4 { // they are there, and have been read again
		if _, err := read(ctx, job, nil); err != nil {
			return nil, err
		}
	}
	done := make(chan error, 1)
	go func() { // awaited below
		_, err := read(ctx, readJob{Paths: paths[1:], Block: catBlock, Bytes: whole}, nil)
		done <- err
	}()
	var times []float64
	for {
		r, err := read(ctx, job, nil)
		times = append(times, r.P99)
		select {
		case other := <-done:
			slices.Sort(times)
			return sample{slowest: percentile(times, 0.5)}, errors.Join(err, other)
		default:
			if err != nil {
				return nil, errors.Join(err, <-done)
			}
		}
	}
}

// epochRow reads all shards in each epoch by eight threads, as a training does, with
// room for half of them. An LRU would miss every read of a fixed order; about half of
// the bytes is the best that any policy can do.
func epochRow(z boundedSizes, shuffled bool) row {
	ls, order := loads{z.shards}, "one fixed order"
	if shuffled {
		order = "a new random order each"
	}
	room := z.shards.bytes() / 2
	return row{
		name: fmt.Sprintf("%d epochs of %v in %s, 8 workers, room for half", z.epochs, z.shards, order),
		goals: []goal{
			{metric: perEpoch, bound: atMost(0.55)},
			{metric: perEpoch, than: "rclone"},
		},
		needs: []need{needFuse},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: ls}, nil)
			epochs := func(ctx context.Context, m *mounted, _ string, o *virtual) (sample, error) {
				return ls.epochs(ctx, m, o, z.epochs, shuffled)
			}
			return []contestant{ls.reader(s, ours, o, room, epochs, "--prefetch=none"), ls.rclone(s, o, room, epochs, needLong)}, err
		},
	}
}

// epochs reads all files so many times, and returns what the origin sent in an epoch, on
// average after the first two.
func (ls loads) epochs(ctx context.Context, m *mounted, o *virtual, n int, shuffled bool) (sample, error) {
	rng := rand.New(rand.NewPCG(3, 4))
	paths := ls.paths(m.point)
	var from originCounts
	for epoch := range n {
		if shuffled {
			rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
		}
		if epoch == 2 {
			var err error
			if from, err = o.counts(); err != nil {
				return nil, err
			}
		}
		if _, err := read(ctx, readJob{Paths: paths, Block: skewedBlock, Bytes: whole, Threads: 8, Direct: true}, nil); err != nil {
			return nil, err
		}
	}
	to, err := o.counts()
	sent := float64(to.BodyBytes-from.BodyBytes) / float64(ls[0].bytes()) / float64(n-2)
	return sample{perEpoch: sent}, err
}
