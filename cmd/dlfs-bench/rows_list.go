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
		walkRow(z.walked),
		checkRow(load{1_000_000, 64 << 10}),
	}
}

// nowhere is the base of URLs that must not be asked: nothing listens there, so a
// request would fail.
const nowhere = "http://127.0.0.1:9"

// entriesRow mounts a list of n entries, all in one directory, and lists the directory.
// The time is from the start of dlfs to the end of ls.
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

// checkRow runs "dlfs check" on a list. Its peak memory is compared with a number of
// bytes for each entry.
func checkRow(l load) row {
	return row{
		name:  fmt.Sprintf("check of a list of %d entries", l.Count),
		long:  true,
		goals: []goal{{metric: wall, bound: atMost(1)}, {metric: peak, bound: atMost(250 * float64(l.Count))}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			home, err := s.dir(s.disk)
			if err != nil {
				return nil, err
			}
			list, err := l.list(home, nowhere)
			if err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				x, err := spend(command(ctx, s.tools.dlfs, "check", list))
				return x.sample(gib), err
			}}}, nil
		},
	}
}

// listedBefore returns an origin of the files, the output directory of a mount that has
// asked it for every size and has ended, and an empty directory of the same disk.
func (s *stage) listedBefore(ctx context.Context, l load) (o *virtual, home, dir string, err error) {
	if o, err = s.origin(ctx, originSpec{Loads: []load{l}}, nil); err != nil {
		return nil, "", "", err
	}
	if home, err = s.dir(s.disk); err != nil {
		return nil, "", "", err
	}
	if _, err = s.listLong(ctx, home, l, o, 1); err != nil {
		return nil, "", "", err
	}
	dir, err = s.dir(s.disk)
	return o, home, dir, err
}

// walkRow walks over files whose sizes are known, of a mount and of a disk, once and once
// more.
func walkRow(l load) row {
	return row{
		name:  fmt.Sprintf("find -size of %d entries, second mount", l.Count),
		needs: []need{needFuse},
		long:  true,
		goals: []goal{
			{metric: wall, than: onDisk, bound: atMost(1.5)}, {metric: again, than: onDisk, bound: atMost(1.5)},
			{metric: peak, bound: atMost(64*mib + 350*float64(l.Count))},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, home, dir, err := s.listedBefore(ctx, l)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
					return s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
						got, err := walked(ctx, m.point, l)
						if err != nil {
							return nil, err
						}
						memory, err := procMemory(m.cmd.Process.Pid)
						got[peak] = float64(memory)
						return got, err
					}, "--prefetch=none")
				}},
				{name: onDisk, run: func(ctx context.Context, _ int) (sample, error) { return walked(ctx, dir, l) }},
			}, l.sparse(dir)
		},
	}
}

// walked has find ask for the size of every file of a load in dir, twice.
func walked(ctx context.Context, dir string, l load) (sample, error) {
	got := make(sample)
	for _, m := range []metric{wall, again} {
		start := time.Now()
		right, err := countLines(command(ctx, "find", dir, "-type", "f", "-size", fmt.Sprintf("%dc", l.Size)), "")
		if err != nil {
			return nil, err
		}
		if right != l.Count {
			return nil, fmt.Errorf("find finds %d files of %d", right, l.Count)
		}
		got[m] = time.Since(start).Seconds()
	}
	return got, nil
}

// unknownRow asks for the size of each file. None is known.
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
						return s.listLong(ctx, home, l, o, 1)
					})
				}},
				idealOf(wall, float64(l.Count)*pause.Seconds()/connections),
			}, nil
		},
	}
}

// listLong mounts a load and runs ls -l there, so many times. It tells how long
// the first and the last took, and how many requests all made.
func (s *stage) listLong(ctx context.Context, home string, l load, o *virtual, times int) (sample, error) {
	before, err := o.counts()
	if err != nil {
		return nil, err
	}
	return s.onMount(ctx, home, l, o.url, nil, func(m *mounted) (sample, error) {
		got, err := listed(ctx, m.point, l, times)
		if err != nil {
			return nil, err
		}
		after, err := o.counts()
		got[requests] = float64(after.Requests - before.Requests)
		return got, err
	}, "--prefetch=none")
}

// listed runs ls -l of dir, which has the files of a load.
func listed(ctx context.Context, dir string, l load, times int) (sample, error) {
	got := make(sample)
	for i := range times {
		start := time.Now()
		right, err := countLines(command(ctx, "ls", "-l", dir), fmt.Sprintf(" %d ", l.Size))
		took := time.Since(start).Seconds()
		if err != nil {
			return nil, err
		}
		if right != l.Count {
			return nil, fmt.Errorf("ls -l shows the size of %d files of %d", right, l.Count)
		}
		if i == 0 {
			got[wall] = took
		} else {
			got[again] = took
		}
	}
	return got, nil
}

// statedRow asks for the size of each file. All are known from an earlier mount, at
// once and once more. How long ls -l takes for as many files of a disk tells what
// can be had.
func statedRow(l load) row {
	return row{
		name:  fmt.Sprintf("ls -l of %d entries, second mount", l.Count),
		needs: []need{needFuse},
		goals: []goal{
			{metric: wall, bound: atMost(1)}, {metric: again, bound: atMost(1)},
			{metric: wall, than: onDisk}, {metric: again, than: onDisk},
			{metric: requests, bound: atMost(0)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, home, dir, err := s.listedBefore(ctx, l)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
					return s.listLong(ctx, home, l, o, 2)
				}},
				{name: onDisk, run: func(ctx context.Context, _ int) (sample, error) {
					return listed(ctx, dir, l, 2)
				}},
			}, l.sparse(dir)
		},
	}
}
