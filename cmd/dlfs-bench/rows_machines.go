package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// The contestants of rows of machines.
const (
	alone       = "one machine"
	themselves  = "every machine for itself"
	cacheBefore = "nginx slice in front"
)

// machineRows are the rows of -machines.
func machineRows(short bool) []row {
	spec := longFleet
	if short {
		spec = shortFleet
	}
	return []row{togetherRow(spec), killedRow(spec), slowRow(spec), joinRow(spec), sharedReadsRow(), presentRow()}
}

// togetherRow has eight machines fetch everything.
func togetherRow(spec fleetSpec) row {
	return row{
		name:  fmt.Sprintf("%d machines fetch %v", fleetSize, spec),
		needs: []need{needLink},
		goals: []goal{
			{metric: wall, than: ideal, bound: atMost(1.15)},
			{metric: traffic, bound: atMost(1.02)},
			{metric: peak, than: alone, bound: atMostMore(32e6)},
			{of: themselves, metric: wall, than: ideal},
			{of: themselves, metric: traffic},
			{of: cacheBefore, metric: wall, than: ideal},
			{of: cacheBefore, metric: traffic},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			f, err := s.fleet(ctx, spec, fleetSize, spec.alike)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, round int) (sample, error) {
					return f.run(ctx, round, fleetSize, f.origin.url, f.peered(fleetSize)...)
				}},
				{name: alone, run: func(ctx context.Context, round int) (sample, error) {
					return f.run(ctx, round, 1, f.origin.url)
				}},
				{name: themselves, needs: []need{needTime}, run: func(ctx context.Context, round int) (sample, error) {
					return f.run(ctx, round, fleetSize, f.origin.url)
				}},
				{name: cacheBefore, needs: []need{needNginx}, run: func(ctx context.Context, round int) (sample, error) {
					return f.behindCache(ctx, round)
				}},
				idealOf(wall, spec.bound().Seconds()),
			}, nil
		},
	}
}

// needTime wants the run not to be short.
func needTime(_ context.Context, b *bench) string {
	if b.short {
		return "takes too long for a short run"
	}
	return ""
}

// run has machines 1 to n fetch everything from base, until all are complete.
func (f *fleet) run(ctx context.Context, round, n int, base string, flags ...string) (sample, error) {
	return f.measure(ctx, round, func() ([]*machine, time.Duration, error) {
		all, err := f.fetchAll(ctx, n, base, flags...)
		if err != nil {
			return all, 0, err
		}
		took, err := f.await(ctx, all)
		return all, took, err
	})
}

// measure ends the machines that play returns, which took so long, and counts what the origin
// sent meanwhile.
func (f *fleet) measure(ctx context.Context, round int, play func() ([]*machine, time.Duration, error)) (sample, error) {
	before, err := f.sent()
	if err != nil {
		return nil, err
	}
	all, took, err := play()
	if err != nil {
		return nil, errors.Join(err, kill(all...))
	}
	after, err := f.sent()
	if err != nil {
		return nil, errors.Join(err, kill(all...))
	}
	got, err := f.end(all, round == 0)
	if err != nil {
		return nil, errors.Join(err, kill(all...))
	}
	got[wall], got[traffic] = took.Seconds(), after-before
	return got, nil
}

// trialOf prepares a row of one trial, which eight machines make. The argument link is how fast
// the link of a machine is, in Mbit/s.
func trialOf(spec fleetSpec, link func(machine int) int,
	trial func(*fleet, context.Context) ([]*machine, time.Duration, error)) func(context.Context, *stage) ([]contestant, error) {
	return func(ctx context.Context, s *stage) ([]contestant, error) {
		f, err := s.fleet(ctx, spec, fleetSize, link)
		if err != nil {
			return nil, err
		}
		return []contestant{
			{name: ours, run: func(ctx context.Context, round int) (sample, error) {
				return f.measure(ctx, round, func() ([]*machine, time.Duration, error) { return trial(f, ctx) })
			}},
			idealOf(wall, spec.bound().Seconds()),
		}, nil
	}
}

// killedRow has one of eight machines die when the origin has sent half of the content, and
// come back when it has sent 70 %.
func killedRow(spec fleetSpec) row {
	return row{
		name:  fmt.Sprintf("one of %d machines is killed at half and comes back, %v", fleetSize, spec),
		needs: []need{needLink},
		goals: []goal{
			{metric: traffic, bound: atMost(1.05 + 1.0/fleetSize)},
			{metric: wall, than: ideal},
		},
		set: trialOf(spec, spec.alike, (*fleet).killOne),
	}
}

func (f *fleet) killOne(ctx context.Context) ([]*machine, time.Duration, error) {
	before, err := f.sent()
	if err != nil {
		return nil, 0, err
	}
	flags := f.peered(fleetSize)
	all, err := f.fetchAll(ctx, fleetSize, f.origin.url, flags...)
	if err != nil {
		return all, 0, err
	}
	if err := f.awaitSent(ctx, before, 0.5); err != nil {
		return all, 0, err
	}
	if err := kill(all[3]); err != nil {
		return all, 0, err
	}
	if err := f.awaitSent(ctx, before, 0.7); err != nil {
		return all, 0, err
	}
	back, err := f.fetch(ctx, all[3].number, f.origin.url, flags...)
	if err != nil {
		return all, 0, err
	}
	all[3] = back
	took, err := f.await(ctx, all)
	return all, took, err
}

// slowRow has one of eight machines behind a slow link. The others are measured.
func slowRow(spec fleetSpec) row {
	return row{
		name:  fmt.Sprintf("one of %d machines at %d Mbit/s, %v: the others", fleetSize, spec.slow, spec),
		needs: []need{needLink},
		goals: []goal{
			{metric: wall, than: ideal, bound: atMost(1.7)},
			{metric: traffic},
		},
		set: trialOf(spec, func(machine int) int {
			if machine == fleetSize {
				return spec.slow
			}
			return spec.link
		}, (*fleet).withoutLast),
	}
}

// withoutLast has all machines fetch, until all but the last one are complete. That one is
// killed.
func (f *fleet) withoutLast(ctx context.Context) ([]*machine, time.Duration, error) {
	all, err := f.fetchAll(ctx, fleetSize, f.origin.url, f.peered(fleetSize)...)
	if err != nil {
		return all, 0, err
	}
	others := all[:fleetSize-1]
	took, err := f.await(ctx, others)
	if err != nil {
		return all, 0, err
	}
	return others, took, kill(all[fleetSize-1])
}

// joinRow has a machine join when the others have everything. The origin is as fast as a link,
// so that what a machine spends can be compared.
func joinRow(spec fleetSpec) row {
	spec.origin = spec.link
	const others = fleetSize - 1
	return row{
		name:  fmt.Sprintf("a machine joins %d that have everything, %v", others, spec),
		needs: []need{needLink},
		goals: []goal{
			{metric: traffic, bound: atMost(0)},
			{metric: wall, than: alone},
			{metric: cpu, than: alone, bound: atMost(1.3)},
			{of: plainly, metric: cpu, than: alone, bound: atMost(1.3)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			f, err := s.fleet(ctx, spec, fleetSize, spec.alike)
			if err != nil {
				return nil, err
			}
			plain := []string{f.peered(fleetSize)[0], "--peer-plain"}
			return []contestant{
				{name: ours, run: func(ctx context.Context, round int) (sample, error) {
					return f.join(ctx, round, f.peered(fleetSize)...)
				}},
				{name: plainly, run: func(ctx context.Context, round int) (sample, error) {
					return f.join(ctx, round, plain...)
				}},
				{name: alone, run: func(ctx context.Context, round int) (sample, error) {
					return f.run(ctx, round, 1, f.origin.url)
				}},
			}, nil
		},
	}
}

const plainly = "--peer-plain"

// join has all machines but the last one fetch everything, and measures the last one then.
func (f *fleet) join(ctx context.Context, round int, flags ...string) (sample, error) {
	flags = append(flags, "--peers-wait=0")
	others, err := f.fetchAll(ctx, fleetSize-1, f.origin.url, flags...)
	if err == nil {
		_, err = f.await(ctx, others)
	}
	if err != nil {
		return nil, errors.Join(err, kill(others...))
	}
	got, err := f.measure(ctx, round, func() ([]*machine, time.Duration, error) {
		last, err := f.fetch(ctx, fleetSize, f.origin.url, flags...)
		if err != nil {
			return nil, 0, err
		}
		took, err := f.await(ctx, []*machine{last})
		return []*machine{last}, took, err
	})
	if err != nil {
		return nil, errors.Join(err, kill(others...))
	}
	_, err = f.end(others, false)
	return got, err
}

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

func unmount(all []*mounted) error {
	var errs []error
	for _, m := range all {
		errs = append(errs, m.stop())
	}
	return errors.Join(errs...)
}

// presentRow reads what other machines have.
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
