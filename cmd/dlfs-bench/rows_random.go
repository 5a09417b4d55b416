package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// randomRows read 4 KiB here and there of what is not there yet.
func randomRows(z sizes) []row { return []row{idleRow(z.random), busyRow(z.random)} }

// wide is a file in which two random reads hardly meet.
var wide = load{1, 4 * gib}

// idleRow reads at random from a mount that does nothing else. Each read is one
// request, so that the best a read can take is that of a bare request.
func idleRow(reads int) row {
	const bareRequest = "a bare request"
	return row{
		name:  fmt.Sprintf("cold random 4 KiB reads, first byte after %v, idle", pause),
		needs: []need{needFuse},
		goals: []goal{{metric: median, than: bareRequest, bound: atMost(1.15)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{wide}, FirstByte: pause}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, round int) (sample, error) {
					return s.randomReads(ctx, wide, o.url, 0, reads, round, nil, "--prefetch=none")
				}},
				{name: bareRequest, run: func(ctx context.Context, round int) (sample, error) {
					r, err := read(ctx, randomJob(wide.url(o.url, 0), reads, round), nil)
					return r.times(), err
				}},
			}, nil
		},
	}
}

// busyRow has readers and prefetch share a link. What is read is the last of
// the list, and so far from what is prefetched.
func busyRow(reads int) row {
	const idle = "idle"
	l := load{8, tenGiB}
	return row{
		name:  fmt.Sprintf("cold random 4 KiB reads, first byte after %v, while prefetch fills a link of 200 Mbit/s", pause),
		needs: []need{needFuse, needLink},
		goals: []goal{
			{metric: median, than: idle, bound: atMost(2)},
			{metric: slowest, than: idle, bound: atMost(5)},
			{metric: filled, bound: atLeast(0.8)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			cable, err := s.link(ctx, linkRate)
			if err != nil {
				return nil, err
			}
			o, err := s.origin(ctx, originSpec{Addr: farAddr + ":8080", Loads: []load{l}, FirstByte: pause}, into(cable.far))
			if err != nil {
				return nil, err
			}
			with := func(prefetch string, full time.Duration) func(context.Context, int) (sample, error) {
				return func(ctx context.Context, round int) (sample, error) {
					before, err := o.counts()
					if err != nil {
						return nil, err
					}
					start := time.Now()
					got, err := s.randomReads(ctx, l, o.url, full, reads, round, into(cable.near), "--prefetch="+prefetch)
					if err != nil {
						return nil, err
					}
					after, err := o.counts()
					got[filled] = float64(after.BodyBytes-before.BodyBytes) * 8 / 200e6 / time.Since(start).Seconds()
					return got, err
				}
			}
			return []contestant{{name: ours, run: with("all", 2*time.Second)}, {name: idle, run: with("none", 0)}}, nil
		},
	}
}

// randomJob is a job of reads of 4 KiB at random in one file or URL. The seed is the
// round, so that all contestants of a round read the same blocks.
func randomJob(path string, reads, round int) readJob {
	return readJob{Paths: []string{path}, Block: 4 << 10, Reads: reads, Seed: uint64(round)}
}

// times returns how long reads took.
func (r readResult) times() sample { return sample{median: r.P50, slowest: r.P99} }

// randomReads mounts a load, lets it run for a while, and then reads here and
// there in its last file.
func (s *stage) randomReads(ctx context.Context, l load, base string, after time.Duration, reads, round int, as shape, flags ...string) (sample, error) {
	return fresh(s.mem, func(home string) (sample, error) {
		return s.onMount(ctx, home, l, base, as, func(m *mounted) (sample, error) {
			if err := wait(ctx, after); err != nil {
				return nil, err
			}
			r, err := read(ctx, randomJob(filepath.Join(m.point, l.name(l.Count-1)), reads, round), nil)
			return r.times(), err
		}, flags...)
	})
}
