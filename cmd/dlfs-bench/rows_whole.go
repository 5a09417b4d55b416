package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// wholeRows are about what a whole job takes.
func wholeRows(z sizes) []row {
	return []row{fetchMemoryRow(z.one), prefetchMemoryRow(z.prefetch, z.prefetched), trafficRow(z.threaded, z.threadReads), sentRow(), sentRow("--limit-rate=12M")}
}

func fetchMemoryRow(l load) row {
	return row{
		name:  fmt.Sprintf("memory of a fetch of %v to disk", l),
		needs: []need{needNginx},
		goals: []goal{{metric: peak, bound: atMost(64e6)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			base, err := s.serve(ctx, l)
			return []contestant{s.dlfsFetch(l, base, s.disk)}, err
		},
	}
}

// prefetchMemoryRow fetches as fast as it goes for a time, or up to most bytes.
func prefetchMemoryRow(d time.Duration, most int64) row {
	l := load{1000, tenGiB}
	return row{
		name:  fmt.Sprintf("memory of a mount of %v, prefetching for %v or %s", l, d, sizeText(most)),
		needs: []need{needFuse},
		goals: []goal{{metric: peak, bound: atMost(128e6)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				return fresh(s.disk, func(home string) (sample, error) {
					return s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
						return m.prefetching(ctx, d, most)
					})
				})
			}}}, nil
		},
	}
}

// prefetching lets prefetch run for d, or until so many bytes are there.
func (m *mounted) prefetching(ctx context.Context, d time.Duration, most int64) (sample, error) {
	start := time.Now()
	var present int64
	err := poll(ctx, 500*time.Millisecond, d+mountLimit, "prefetch", func() (_ bool, err error) {
		_, present, err = m.progress()
		return present >= most || time.Since(start) >= d, err
	})
	if err != nil {
		return nil, err
	}
	took := time.Since(start).Seconds()
	memory, err := procMemory(m.cmd.Process.Pid)
	return sample{peak: float64(memory), wall: took, speed: float64(present) / took}, err
}

// trafficRow counts what is sent while prefetch and readers want the same.
func trafficRow(l load, reads int) row {
	const readers = 8
	return row{
		name:  fmt.Sprintf("traffic of %v with %d random readers, at 20 MB/s a connection", l, readers),
		needs: []need{needFuse},
		goals: []goal{{metric: traffic, bound: atMost(1.01)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}, Rate: pacedRate}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, round int) (sample, error) {
				return fresh(s.mem, func(home string) (sample, error) {
					before, err := o.counts()
					if err != nil {
						return nil, err
					}
					if err := s.readWhileFetching(ctx, home, l, o.url, readers, reads, round); err != nil {
						return nil, err
					}
					after, err := o.counts()
					return sample{traffic: float64(after.BodyBytes-before.BodyBytes) / float64(l.bytes())}, err
				})
			}}}, nil
		},
	}
}

// sentRow counts what nginx writes: what is on its way when a connection is closed counts,
// however little of it comes.
func sentRow(flags ...string) row {
	l := load{6, 4_000_000}
	return row{
		name:  strings.Join(append([]string{fmt.Sprintf("fetch %v, as nginx counts", l)}, flags...), ", "),
		needs: []need{needNginx},
		goals: []goal{{metric: traffic, bound: atMost(1.02)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			if _, err := s.serve(ctx, l); err != nil {
				return nil, err
			}
			return []contestant{s.countedByNginx(s.dlfsFetch(l, s.web.told, s.mem, flags...), l)}, nil
		},
	}
}

// countedByNginx is a contestant that fetches a load from a counted port, with the traffic
// that this makes.
func (s *stage) countedByNginx(c contestant, l load) contestant {
	run := c.run
	c.run = func(ctx context.Context, round int) (sample, error) {
		before, err := s.web.sent(ctx)
		if err != nil {
			return nil, err
		}
		got, err := run(ctx, round)
		if err != nil {
			return nil, err
		}
		after, err := s.web.sent(ctx)
		got[traffic] = float64(after-before) / float64(l.bytes())
		return got, err
	}
	return c
}

// readWhileFetching mounts a load, reads here and there, and waits until
// everything is there.
func (s *stage) readWhileFetching(ctx context.Context, home string, l load, base string, readers, reads, round int) error {
	_, err := s.onMount(ctx, home, l, base, nil, func(m *mounted) (sample, error) {
		job := readJob{Paths: l.paths(m.point), Block: 4 << 10, Reads: reads, Threads: readers, Seed: uint64(round)}
		if _, err := read(ctx, job, nil); err != nil {
			return nil, err
		}
		return nil, poll(ctx, 20*time.Millisecond, mountLimit, "not complete", m.isComplete)
	})
	if err == nil {
		err = l.check(filepath.Join(home, "files"), l.name, round == 0)
	}
	return err
}
