package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// readsSpec is the network of the rows in which machines read.
var readsSpec = fleetSpec{[]load{{1, 256 * mib}}, 200, 1000, 10}

// readsOfEach is how many blocks each machine reads.
const readsOfEach = 200

// sharedReadsRow has eight machines read here and there, without prefetch. They read the same
// quarter of the file, so that what they read overlaps.
func sharedReadsRow() row {
	const union metric = "origin bytes ÷ what was read by any"
	return row{
		name:  fmt.Sprintf("%d machines read %d blocks each at random, %v, no prefetch", fleetSize, readsOfEach, readsSpec),
		needs: []need{needLink, needFuse},
		goals: []goal{{metric: union, bound: atMost(1.05)}, {metric: wall}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			f, err := s.fleet(ctx, readsSpec, fleetSize, readsSpec.alike)
			if err != nil {
				return nil, err
			}
			return []contestant{{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
				got, wanted, err := f.readHereAndThere(ctx)
				if err == nil {
					got[union] = got[traffic] * float64(f.bytes()) / float64(wanted)
				}
				return got, err
			}}}, nil
		},
	}
}

// readHereAndThere has all machines read, and returns how many bytes any of them has read.
func (f *fleet) readHereAndThere(ctx context.Context) (got sample, wanted int64, err error) {
	const block = 64 << 10
	machines, err := f.mountAll(ctx, fleetSize, "--prefetch=none")
	defer func() { err = errors.Join(err, unmount(machines)) }()
	if err != nil {
		return nil, 0, err
	}
	before, err := f.sent()
	if err != nil {
		return nil, 0, err
	}
	all, union := scattered(fleetSize*readsOfEach, block, f.bytes()/4), map[int64]bool{}
	for _, off := range all {
		union[off] = true
	}
	ended := make(chan error, fleetSize)
	start := time.Now()
	for i, m := range machines {
		job := readJob{Paths: []string{filepath.Join(m.point, f.loads[0].name(0))}, Block: block, Offsets: all[i*readsOfEach : (i+1)*readsOfEach]}
		go func() { // awaited below
			_, err := read(ctx, job, nil)
			ended <- err
		}()
	}
	for range machines {
		err = errors.Join(err, <-ended)
	}
	took := time.Since(start)
	after, sentErr := f.sent()
	return sample{wall: took.Seconds(), traffic: after - before}, int64(len(union)) * block, errors.Join(err, sentErr)
}

// mountAll mounts the first load on machines 1 to n, which share it.
func (f *fleet) mountAll(ctx context.Context, n int, flags ...string) (all []*mounted, err error) {
	for i := range n {
		home, err := f.s.dir(f.home)
		if err != nil {
			return all, err
		}
		m, err := f.s.mountList(ctx, home, f.loads[0], f.origin.url, into(f.star.of(i+1)), append(f.peered(n), flags...)...)
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
	return all, nil
}

// unmount ends all mounts, and returns the errors of all.
func unmount(all []*mounted) error {
	var errs []error
	for _, m := range all {
		errs = append(errs, m.stop())
	}
	return errors.Join(errs...)
}

// presentRow reads blocks of 4 KiB on a machine that has none of them, while the others
// have all. It is compared with one bare request to the origin over the same links.
func presentRow() row {
	const bare, machines, reads = "a bare request", 3, 300
	return row{
		name:  fmt.Sprintf("4 KiB read of a block that another machine has, links %d Mbit/s", readsSpec.link),
		needs: []need{needLink, needFuse},
		goals: []goal{{metric: median, than: bare, bound: atMostMore(0.001)}, {metric: slowest, than: bare}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			spec := readsSpec
			spec.origin = spec.link
			f, err := s.fleet(ctx, spec, machines, spec.alike)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, round int) (sample, error) {
					return f.readPresent(ctx, machines, reads, round)
				}},
				{name: bare, run: func(ctx context.Context, round int) (sample, error) {
					job := randomJob(f.loads[0].url(f.origin.url, 0), reads, round)
					job.Block = 64 << 10 // what a read of 4 KiB brings
					r, err := read(ctx, job, into(f.star.of(1)))
					return r.times(), err
				}},
			}, nil
		},
	}
}

// readPresent has all machines but the last one get everything, and reads on the last one.
func (f *fleet) readPresent(ctx context.Context, machines, reads, round int) (got sample, err error) {
	all, err := f.mountAll(ctx, machines, "--prefetch=none", "--peers-wait=0")
	defer func() { err = errors.Join(err, unmount(all)) }()
	if err != nil {
		return nil, err
	}
	name := f.loads[0].name(0)
	for _, m := range all[:machines-1] {
		if _, err := read(ctx, readJob{Paths: []string{filepath.Join(m.point, name)}, Block: mib, Bytes: whole}, nil); err != nil {
			return nil, err
		}
	}
	r, err := read(ctx, randomJob(filepath.Join(all[machines-1].point, name), reads, round), nil)
	return r.times(), err
}
