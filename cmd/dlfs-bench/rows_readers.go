package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

const (
	readersPause = 30 * time.Millisecond // before each first byte
	megabyte     = 1_000_000
)

// pattern is a way to read files through a mount: a program of Debian, or reads one after
// the other.
type pattern struct {
	name    string
	load    load
	program string          // for sh, in the directory of the files; $F is the first of them
	job     *readJob        // instead, on the first file
	wants   map[metric]goal // what must come of it
}

// needed is how many bytes of the files are read: without a mount between, as many would
// have to come.
func (p pattern) needed() int64 {
	if p.job == nil {
		return p.load.bytes()
	}
	if p.job.Stride > 0 {
		return p.load.Size / p.job.Stride * int64(p.job.Block)
	}
	return int64(len(p.job.Offsets) * p.job.Block)
}

// patterns are the readers of -readers. What they need is counted in whole blocks of 64 KiB
// where reads are small, since that is what a read brings.
func patterns() []pattern {
	small := load{200, 100_000}
	long, wide := load{1, 100 * megabyte}, load{1, 300 * megabyte}
	quick := func(most float64) map[metric]goal {
		return map[metric]goal{
			wall:    {metric: wall, than: "rclone", bound: atMost(1)},
			traffic: {metric: traffic, bound: atMost(most)},
		}
	}
	return []pattern{
		{name: "md5sum *", load: small, program: "md5sum *", wants: quick(1.02)},
		{name: "cat * in turn", load: small, program: "for f in *; do cat $f; done", wants: quick(1.02)},
		{name: "cp -r", load: small, program: "cp -r . ../copy && rm -r ../copy", wants: quick(1.02)},
		{name: "tar c", load: small, program: "tar cf - . | cat", wants: quick(1.02)},
		{name: "grep -r", load: small, program: "grep -rc dlfs . || true", wants: quick(1.02)},
		{name: "wc -l", load: long, program: "wc -l $F", wants: quick(1.02)},
		{name: "gzip -1", load: load{1, 20 * megabyte}, program: "gzip -1c $F", wants: quick(1.02)},
		{name: "tac", load: load{1, 16 << 20}, program: "tac $F", wants: quick(1.1)},
		{name: "tail -c 1000000", load: wide, job: &readJob{Block: megabyte, Offsets: []int64{299 * megabyte}}, wants: quick(2)},
		{name: "64 KiB of each MiB", load: long, job: &readJob{Block: 64 << 10, Stride: 1 << 20}, wants: quick(1.5)},
		{name: "64 KiB backwards", load: long, job: &readJob{Block: 64 << 10, Offsets: steps(100, 90<<20, -64<<10)}, wants: quick(2.5)},
		{name: "four streams in turns", load: wide, job: &readJob{Block: 128 << 10, Offsets: turns(4, 60, 70<<20, 128<<10)}, wants: quick(2.5)},
		{name: "60 blocks at random", load: wide, job: &readJob{Block: 64 << 10, Offsets: scattered(60, 64<<10, 300*megabyte)}, wants: quick(4)},
		{name: "300 blocks at random", load: load{1, 34 * megabyte}, job: &readJob{Block: 64 << 10, Offsets: scattered(300, 64<<10, 34*megabyte)}, wants: quick(2)},
	}
}

// steps are n offsets, each by one step after the one before.
func steps(n int, from, step int64) (offs []int64) {
	for i := range int64(n) {
		offs = append(offs, from+i*step)
	}
	return offs
}

// turns are the offsets of several streams that are read in turns, so many reads of each.
func turns(streams, reads int, apart, step int64) (offs []int64) {
	for i := range int64(reads) {
		offs = append(offs, steps(streams, i*step, apart)...)
	}
	return offs
}

// scattered are n multiples of block in [0, size), in no order, the same in each run.
func scattered(n int, block, size int64) (offs []int64) {
	at := int64(1)
	for range n {
		at = at * 48271 % (1<<31 - 1) // the generator of Park and Miller
		offs = append(offs, at%(size/block)*block)
	}
	return offs
}

// readerRows are the rows of -readers.
func readerRows() (all []row) {
	for _, p := range patterns() {
		all = append(all, p.row())
	}
	return all
}

// row compares a mount of dlfs with one of rclone for one pattern, both without
// prefetch, in time and in bytes that the origin sends.
func (p pattern) row() row {
	return row{
		name:  fmt.Sprintf("%s, %v", p.name, p.load),
		needs: []need{needFuse},
		goals: []goal{p.wants[wall], p.wants[traffic]},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{p.load}, FirstByte: readersPause, Rate: pacedRate}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				{name: ours, run: func(ctx context.Context, _ int) (sample, error) {
					return p.read(ctx, s, o, p.load.name(0), func(home string) (*mounted, error) {
						return s.mountList(ctx, home, p.load, o.url, nil, "--prefetch=none")
					})
				}},
				{name: "rclone", needs: []need{needRclone}, run: func(ctx context.Context, _ int) (sample, error) {
					return p.read(ctx, s, o, strconv.Itoa(0), func(home string) (*mounted, error) {
						return s.mountRclone(ctx, home, o.url+"/"+p.load.folder()+"/")
					})
				}},
			}, nil
		},
	}
}

// read reads through a new mount, whose first file has that name, and counts what the origin
// sent.
func (p pattern) read(ctx context.Context, s *stage, o *virtual, first string, mount func(home string) (*mounted, error)) (sample, error) {
	return fresh(s.mem, func(home string) (sample, error) {
		before, err := o.counts()
		if err != nil {
			return nil, err
		}
		m, err := mount(home)
		if err != nil {
			return nil, err
		}
		got, err := m.use(func() (sample, error) {
			if _, err := os.ReadDir(m.point); err != nil {
				return nil, err
			}
			took, err := p.play(ctx, m.point, first)
			return sample{wall: took.Seconds()}, err
		})
		if err != nil {
			return nil, err
		}
		after, err := o.counts()
		got[traffic] = float64(after.BodyBytes-before.BodyBytes) / float64(p.needed())
		return got, err
	})
}

// play has the program or the reads run in a directory, and returns how long they took.
func (p pattern) play(ctx context.Context, dir, first string) (time.Duration, error) {
	if p.job != nil {
		job := *p.job
		job.Paths = []string{filepath.Join(dir, first)}
		r, err := read(ctx, job, nil)
		return time.Duration(r.Wall * float64(time.Second)), err
	}
	cmd := command(ctx, "/bin/sh", "-e", "-c", "{ "+p.program+"; } > /dev/null")
	cmd.Dir = dir
	cmd.Env = append(cmd.Env, "F="+first)
	used, err := spend(cmd)
	return used.wall, err
}
