package main

import (
	"context"
	"errors"
	"fmt"
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

// togetherRow has eight machines fetch everything, sharing what they fetch. It is
// compared with one machine alone, with eight that do not share, and with an nginx that
// caches between them and the origin.
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

// measure calls play, which starts machines and returns them with the time that they
// took, ends these machines, and returns their figures together with what the origin
// sent meanwhile. No machine runs any more after an error.
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

// killOne has all machines fetch, kills one when the origin has sent half of the content, starts
// it anew when it has sent 70 %, and waits until all are complete. It returns all machines that
// run, also after an error, for the caller to end.
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
