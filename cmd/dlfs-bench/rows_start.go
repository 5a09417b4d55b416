package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"
)

// startRows are about the first and the last second.
func startRows(z sizes) []row { return []row{firstByteRow(), vastRow(z.vast)} }

// firstByteRow reads a byte of a file that was mounted just now.
func firstByteRow() row {
	l := load{1000, mib}
	return row{
		name:  fmt.Sprintf("open to first byte in %d entries just mounted, first byte after %v", l.Count, pause),
		needs: []need{needFuse},
		goals: []goal{{metric: median, bound: atMost(2*pause.Seconds() + 0.02)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}, FirstByte: pause}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, round int) (sample, error) {
				return fresh(s.disk, func(home string) (sample, error) {
					return s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
						path := filepath.Join(m.point, l.name(l.Count-1-round))
						r, err := read(ctx, readJob{Paths: []string{path}, Block: 1, Bytes: 1}, nil)
						return sample{median: r.P50}, err
					})
				})
			}}}, nil
		},
	}
}

// vastRow starts with far more in its state than a disk here could hold. Of
// each 128 MiB one block is there: a record of the index is of so much, and so
// there are as many records as if half of all blocks were.
func vastRow(l load) row {
	return row{
		name:  fmt.Sprintf("start of %v, a block of every %s present, and stop", l, sizeText(stateEvery)),
		needs: []need{needFuse},
		goals: []goal{{metric: usable, bound: atMost(1)}, {metric: stopping, bound: atMost(1)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}}, nil)
			if err != nil {
				return nil, err
			}
			home, err := s.dir(s.disk)
			if err != nil {
				return nil, err
			}
			if err := s.sprinkle(ctx, home, l, o.url); err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				var stopped time.Time
				got, err := s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
					got, err := m.untilUsable(ctx, l)
					if err == nil {
						err = wait(ctx, time.Second) // prefetch is at work
					}
					stopped = time.Now()
					return got, err
				})
				if err == nil {
					got[stopping] = time.Since(stopped).Seconds()
				}
				return got, err
			}}}, nil
		},
	}
}

// sprinkle makes the state by reading.
func (s *stage) sprinkle(ctx context.Context, home string, l load, base string) error {
	_, err := s.onMount(ctx, home, l, base, nil, func(m *mounted) (sample, error) {
		r, err := read(ctx, readJob{Paths: l.paths(m.point), Block: 1, Stride: stateEvery, Threads: 8}, nil)
		if want := l.bytes() / stateEvery; err == nil && r.Reads != want {
			err = fmt.Errorf("%d reads, not %d", r.Reads, want)
		}
		return nil, err
	}, "--prefetch=none")
	return err
}
