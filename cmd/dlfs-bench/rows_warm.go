package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// warmRows read what is there.
func warmRows(z sizes) []row {
	return []row{warmRow(z.one, z.quick), incompleteRow(z.one, 4<<10), incompleteRow(z.one, mib), openRow(z.opened)}
}

// warmRow reads a complete file, which was opened after it was complete.
func warmRow(l load, quick time.Duration) row {
	ways := []struct {
		name  string
		as    shape
		needs []need
		flags []string
		bound bound
	}{
		{name: "as root", needs: []need{needRoot}, bound: atLeast(0.95)},
		{name: "as root, --no-passthrough", needs: []need{needRoot}, flags: []string{"--no-passthrough"}, bound: atLeast(0.9)},
		{name: "as an ordinary user", as: asNobody, needs: []need{needUser}, bound: atLeast(0.9)},
	}
	r := row{name: fmt.Sprintf("warm %v, complete", l), needs: []need{needFuse}}
	for _, w := range ways {
		for _, m := range []metric{bigReads, littleReads, randomReads, fioReads} {
			r.goals = append(r.goals, goal{of: w.name, metric: m, than: plain, bound: w.bound})
		}
	}
	r.set = func(ctx context.Context, s *stage) ([]contestant, error) {
		o, err := s.origin(ctx, originSpec{Loads: []load{l}}, nil)
		if err != nil {
			return nil, err
		}
		if why := needFio(ctx, s.bench); why != "" {
			s.leaveOut(string(fioReads) + ": " + why)
		}
		var all []contestant
		for _, w := range ways {
			if why := lacking(ctx, s.bench, w.needs); why != "" {
				s.leaveOut(w.name + ": " + why)
				continue
			}
			seen, under, err := s.warmMount(ctx, l, o.url, w.as, w.flags...)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			if len(all) == 0 {
				all = append(all, s.warmReads(plain, under, quick, w.as))
			}
			all = append(all, s.warmReads(w.name, seen, quick, w.as))
		}
		return all, nil
	}
	return r
}

// warmMount fetches a load, mounts it, and reads its file once. It returns where
// the file is seen, and where it is. The mount ends with the row.
func (s *stage) warmMount(ctx context.Context, l load, base string, as shape, flags ...string) (seen, under string, err error) {
	home, err := s.dir(s.disk)
	if err != nil {
		return "", "", err
	}
	list, err := l.list(home, base)
	if err != nil {
		return "", "", err
	}
	if as != nil && os.Geteuid() == 0 {
		if err := os.Chown(home, int(nobody.Uid), int(nobody.Gid)); err != nil {
			return "", "", err
		}
	}
	files := filepath.Join(home, "files")
	fetch := s.dlfsFetchCommand(ctx, list, files)
	as.apply(fetch)
	if _, err := spend(fetch); err != nil {
		return "", "", err
	}
	if err := l.check(files, l.name, true); err != nil {
		return "", "", err
	}
	m, err := s.mountList(ctx, home, l, base, as, flags...)
	if err != nil {
		return "", "", err
	}
	s.atEnd(m.stop)
	seen, under = filepath.Join(m.point, l.name(0)), filepath.Join(files, l.name(0))
	_, err = read(ctx, readJob{Paths: []string{seen}, Block: mib, Bytes: whole}, as)
	return seen, under, err
}

// warmReads is a contestant that reads a present file in each way: large and small
// blocks in order, small ones at random, and at random by fio. quick is how long each
// way takes at least.
func (s *stage) warmReads(name, path string, quick time.Duration, as shape) contestant {
	return contestant{name: name, run: func(ctx context.Context, round int) (sample, error) {
		got := make(sample)
		for _, x := range []struct {
			metric metric
			job    readJob
		}{
			{bigReads, readJob{Block: mib, Bytes: whole, For: quick}},
			{littleReads, readJob{Block: 4 << 10, Bytes: whole, For: quick}},
			{randomReads, readJob{Block: 4 << 10, For: quick, Threads: 2, Seed: uint64(round)}},
		} {
			x.job.Paths = []string{path}
			r, err := read(ctx, x.job, as)
			if err != nil {
				return nil, err
			}
			got[x.metric] = r.speed()
			if x.metric == randomReads {
				got[x.metric] = float64(r.Reads) / r.Wall
			}
		}
		if s.tools.fio == "" {
			return got, nil
		}
		var err error
		got[fioReads], err = s.fio(ctx, path, quick, as)
		return got, err
	}}
}

// fio returns the reads a second that fio gets.
func (s *stage) fio(ctx context.Context, path string, quick time.Duration, as shape) (float64, error) {
	cmd := command(ctx, s.tools.fio, "--name=random", "--filename="+path, "--readonly", "--rw=randread", "--bs=4k",
		"--ioengine=psync", "--numjobs=2", "--thread", "--group_reporting", "--time_based",
		fmt.Sprintf("--runtime=%dms", quick.Milliseconds()), "--invalidate=0", "--output-format=json")
	cmd.Dir = "/"
	as.apply(cmd)
	text, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", cmd, err)
	}
	var out struct {
		Jobs []struct{ Read struct{ IOPS float64 } }
	}
	if err := json.Unmarshal(text, &out); err != nil || len(out.Jobs) != 1 {
		return 0, fmt.Errorf("fio told %d jobs: %w", len(out.Jobs), err)
	}
	return out.Jobs[0].Read.IOPS, nil
}

// incompleteRow reads blocks that are there of a file that is not complete. The
// first pass is the first since the mount. The file itself is one that was written
// as lately: what was read before is faster to read, in both.
func incompleteRow(l load, block int) row {
	const rest = 256 * mib // far more than is read ahead
	all := load{1, l.Size + rest}
	return row{
		name:  fmt.Sprintf("warm %v of an incomplete file, %s reads", l, sizeText(int64(block))),
		needs: []need{needFuse},
		goals: []goal{
			{metric: firstPass, than: plain, bound: atLeast(0.5)},
			{metric: nextPass, than: plain, bound: atLeast(0.9)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{all}}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, round int) (sample, error) {
					return fresh(s.disk, func(home string) (sample, error) {
						return s.passesOfIncomplete(ctx, home, all, l.Size, block, o.url)
					})
				}},
				{name: plain, run: func(ctx context.Context, round int) (sample, error) {
					return fresh(s.disk, func(home string) (sample, error) {
						if err := all.store(home); err != nil {
							return nil, err
						}
						return twice(ctx, filepath.Join(home, all.folder(), "0"), l.Size, block)
					})
				}},
			}, nil
		},
	}
}

// passesOfIncomplete fetches the first size bytes by reading them, mounts again
// and reads them twice.
func (s *stage) passesOfIncomplete(ctx context.Context, home string, l load, size int64, block int, base string) (sample, error) {
	both := func(m *mounted) (sample, error) { return twice(ctx, filepath.Join(m.point, l.name(0)), size, block) }
	if _, err := s.onMount(ctx, home, l, base, nil, both, "--prefetch=none"); err != nil {
		return nil, err
	}
	return s.onMount(ctx, home, l, base, nil, func(m *mounted) (sample, error) {
		got, err := both(m)
		if err != nil {
			return nil, err
		}
		if done, err := m.isComplete(); done || err != nil {
			return nil, fmt.Errorf("the file is complete, so that this is not what it says: %w", err)
		}
		return got, nil
	}, "--prefetch=none")
}

// twice reads the first size bytes of a file, and again.
func twice(ctx context.Context, path string, size int64, block int) (sample, error) {
	got := make(sample)
	for _, pass := range []metric{firstPass, nextPass} {
		r, err := read(ctx, readJob{Paths: []string{path}, Block: block, Bytes: size}, nil)
		if err != nil {
			return nil, err
		}
		got[pass] = r.speed()
	}
	return got, nil
}

// openRow opens and closes a complete file many times.
func openRow(times int) row {
	l := load{1, 64 << 10}
	return row{
		name:  fmt.Sprintf("%d opens of a complete file", times),
		needs: []need{needFuse},
		goals: []goal{{metric: wall, than: plain, bound: atMost(3)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}}, nil)
			if err != nil {
				return nil, err
			}
			seen, under, err := s.warmMount(ctx, l, o.url, nil)
			if err != nil {
				return nil, err
			}
			opens := func(name, path string) contestant {
				return contestant{name: name, run: func(ctx context.Context, _ int) (sample, error) {
					r, err := read(ctx, readJob{Paths: []string{path}, Opens: times}, nil)
					return sample{wall: r.Wall}, err
				}}
			}
			return []contestant{opens(ours, seen), opens(plain, under)}, nil
		},
	}
}
