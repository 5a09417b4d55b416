package main

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
)

// fetchRows measure dlfs fetch.
func fetchRows(z sizes) []row {
	var all []row
	for _, l := range []load{z.one, z.parts} {
		for _, target := range []string{"tmpfs", "disk"} {
			all = append(all, largeRow(l, target))
		}
	}
	for _, l := range []load{z.small, z.tiny} {
		for _, target := range []string{"tmpfs", "disk"} {
			all = append(all, smallRow(l, target))
		}
	}
	return append(all, pacedRow(z.paced), lateRow(z.late))
}

// largeRow fetches from nginx as fast as it can.
func largeRow(l load, target string) row {
	return row{
		name:  fmt.Sprintf("fetch %v to %s", l, target),
		needs: []need{needNginx},
		goals: []goal{
			{metric: wall, than: "aria2c", bound: atMost(0.6)},
			{metric: wall, than: "curl", bound: atMost(1)},
			{metric: cpu, than: "curl", bound: atMost(1.2)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			base, err := s.serve(ctx, l)
			to := s.targets()[target]
			return []contestant{s.dlfsFetch(l, base, to), s.aria2cFetch(l, base, to), s.curlFetch(l, base, to)}, err
		},
	}
}

// smallRow fetches many small files, where the time is that of the work for each file
// and not of its bytes.
func smallRow(l load, target string) row {
	return row{
		name:  fmt.Sprintf("fetch %v to %s", l, target),
		needs: []need{needNginx},
		goals: []goal{{metric: wall, than: "curl", bound: atMost(1.2)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			base, err := s.serve(ctx, l)
			to := s.targets()[target]
			return []contestant{s.dlfsFetch(l, base, to), s.curlFetch(l, base, to)}, err
		},
	}
}

// pacedRow fetches one file over connections of a fixed speed. At the end of the file
// only a tool that divides the rest among all connections keeps all of them at full
// speed.
func pacedRow(l load) row {
	const connections = 8
	return row{
		name:  fmt.Sprintf("fetch %v at 20 MB/s a connection, -s%d -x%d", l, connections, connections),
		goals: []goal{{metric: speed, than: ideal, bound: atLeast(0.97)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}, Rate: pacedRate}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				s.dlfsFetch(l, o.url, s.mem, fmt.Sprint("-s", connections), fmt.Sprint("-x", connections)),
				idealOf(speed, connections*pacedRate),
			}, nil
		},
	}
}

// lateRow fetches small files from an origin that pauses before each first byte. The
// time is that of the pauses, divided by the number of requests at once.
func lateRow(l load) row {
	const connections = 16
	return row{
		name:  fmt.Sprintf("fetch %v, first byte after %v, -j%d -x%d", l, pause, connections, connections),
		goals: []goal{{metric: wall, than: ideal, bound: atMost(1.15)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l}, FirstByte: pause}, nil)
			if err != nil {
				return nil, err
			}
			return []contestant{
				s.dlfsFetch(l, o.url, s.mem, fmt.Sprint("-j", connections), fmt.Sprint("-x", connections)),
				idealOf(wall, float64(l.Count)*pause.Seconds()/connections),
			}, nil
		},
	}
}

// dlfsFetch is a contestant that fetches a load with "dlfs fetch" and its defaults, and
// the flags.
func (s *stage) dlfsFetch(l load, base, target string, flags ...string) contestant {
	return fetching(ours, l, target, l.name, func(ctx context.Context, dir string) (*exec.Cmd, error) {
		list, err := l.list(dir, base)
		return s.dlfsFetchCommand(ctx, list, dir, flags...), err
	})
}

// dlfsFetchCommand returns the command that fetches a list into dir, without a display
// and without netrc.
func (s *stage) dlfsFetchCommand(ctx context.Context, list, dir string, flags ...string) *exec.Cmd {
	return command(ctx, s.tools.dlfs, append([]string{"fetch", list, dir, "--progress=none", "--no-netrc"}, flags...)...)
}

// aria2cFetch is a contestant that fetches a load with aria2c, with as many connections
// as it allows and without preallocation.
func (s *stage) aria2cFetch(l load, base, target string, flags ...string) contestant {
	c := fetching("aria2c", l, target, l.name, func(ctx context.Context, dir string) (*exec.Cmd, error) {
		list, err := write(dir, "input.txt", func(w io.Writer) {
			for i := range l.Count {
				fmt.Fprintf(w, "%s\n  out=%s\n", l.url(base, i), l.name(i))
			}
		})
		return command(ctx, s.tools.aria2c, append([]string{"--no-conf", "--quiet", "-x16", "-s16", "-j16", "-k1M",
			"--file-allocation=none", "--dir=" + dir, "--input-file=" + list}, flags...)...), err
	})
	c.needs = []need{needAria2c}
	return c
}

// curlFetch is a contestant that fetches a load with curl, several files in parallel
// (-Z).
func (s *stage) curlFetch(l load, base, target string, flags ...string) contestant {
	c := fetching("curl", l, target, strconv.Itoa, func(ctx context.Context, dir string) (*exec.Cmd, error) {
		args := append([]string{"--disable", "--fail", "--silent", "--show-error"}, flags...)
		url, out := l.url(base, 0), filepath.Join(dir, "0")
		if l.Count > 1 {
			args = append(args, "-Z")
			url, out = fmt.Sprintf("%s/%s/[0-%d]", base, l.folder(), l.Count-1), filepath.Join(dir, "#1")
		}
		return command(ctx, s.tools.curl, append(args, "--output", out, url)...), nil
	})
	c.needs = []need{needCurl}
	return c
}

// fetching is a contestant that downloads a load into an empty directory below
// target, where the files are then called what nameOf says.
func fetching(name string, l load, target string, nameOf func(int) string, of func(ctx context.Context, dir string) (*exec.Cmd, error)) contestant {
	return contestant{name: name, run: func(ctx context.Context, round int) (sample, error) {
		return fresh(target, func(dir string) (sample, error) {
			cmd, err := of(ctx, dir)
			if err != nil {
				return nil, err
			}
			took, err := spend(cmd)
			if err != nil {
				return nil, err
			}
			return took.sample(l.bytes()), l.check(dir, nameOf, round == 0)
		})
	}}
}
