package main

import (
	"context"
	"fmt"
	"time"
)

// listRows are about long lists.
func listRows(z sizes) []row {
	return []row{
		entriesRow(10_000, false, atMost(0.3)),
		entriesRow(100_000, false, atMost(2)),
		entriesRow(1_000_000, true, bound{}),
		unknownRow(z.unknown),
		statedRow(z.stated),
	}
}

// nowhere is an origin that nobody is to ask.
const nowhere = "http://127.0.0.1:9"

// entriesRow mounts a list, all in one directory, and lists that.
func entriesRow(n int, long bool, limit bound) row {
	l := load{n, 64 << 10}
	return row{
		name:  fmt.Sprintf("mount of %d entries, cold, until ls has ended", n),
		needs: []need{needFuse},
		long:  long,
		goals: []goal{{metric: usable, bound: limit}},
		set: func(_ context.Context, s *stage) ([]contestant, error) {
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				return fresh(s.disk, func(home string) (sample, error) {
					return s.onMount(ctx, home, l, nowhere, nil, func(m *mounted) (sample, error) {
						return m.untilUsable(ctx, l)
					}, "--prefetch=none")
				})
			}}}, nil
		},
	}
}

// untilUsable lists the mount and tells how long that and the mounting took.
func (m *mounted) untilUsable(ctx context.Context, l load) (sample, error) {
	names, err := countLines(command(ctx, "ls", "-U", m.point), "")
	took := time.Since(m.start)
	if err == nil && names != l.Count {
		err = fmt.Errorf("ls shows %d names of %d", names, l.Count)
	}
	if err != nil {
		return nil, err
	}
	memory, err := procMemory(m.cmd.Process.Pid)
	return sample{usable: took.Seconds(), peak: float64(memory)}, err
}

// unknownRow asks for each size, of which none is known.
func unknownRow(l load) row {
	const connections = 8 // dlfs' own default
	return row{
		name:  fmt.Sprintf("ls -l of %d unprobed entries, first byte after %v", l.Count, pause),
		needs: []need{needFuse},
		goals: []goal{{metric: wall, than: ideal, bound: atMost(1.3)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}, FirstByte: pause}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
					return fresh(s.disk, func(home string) (sample, error) {
						return s.listLong(ctx, home, l, o)
					})
				}},
				idealOf(wall, float64(l.Count)*pause.Seconds()/connections),
			}, nil
		},
	}
}

// listLong mounts a load and runs ls -l there. It tells how long that took, and
// how many requests both made.
func (s *stage) listLong(ctx context.Context, home string, l load, o *virtual) (sample, error) {
	before, err := o.counts()
	if err != nil {
		return nil, err
	}
	return s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
		start := time.Now()
		right, err := countLines(command(ctx, "ls", "-l", m.point), fmt.Sprintf(" %d ", l.Size))
		took := time.Since(start)
		if err != nil {
			return nil, err
		}
		if right != l.Count {
			return nil, fmt.Errorf("ls -l shows the size of %d files of %d", right, l.Count)
		}
		after, err := o.counts()
		return sample{wall: took.Seconds(), requests: float64(after.Requests - before.Requests)}, err
	}, "--prefetch=none")
}

// statedRow asks for each size, all of which are known from an earlier mount.
func statedRow(l load) row {
	return row{
		name:  fmt.Sprintf("ls -l of %d entries, second mount", l.Count),
		needs: []need{needFuse},
		goals: []goal{{metric: wall, bound: atMost(1)}, {metric: requests, bound: atMost(0)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}}, nil)
			if err != nil {
				return nil, err
			}
			home, err := s.dir(s.disk)
			if err != nil {
				return nil, err
			}
			_, err = s.listLong(ctx, home, l, o)
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				return s.listLong(ctx, home, l, o)
			}}}, err
		},
	}
}
