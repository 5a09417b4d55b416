package main

import (
	"context"
	"fmt"
	"path/filepath"
)

// catBlock is what cat reads at once.
const catBlock = 128 << 10

// coldRows read from a mount what is not there yet, from the start to the end.
func coldRows(z sizes) []row {
	var all []row
	for _, target := range []string{"tmpfs", "disk"} {
		all = append(all, coldRow(z.one, target))
	}
	return append(all, pacedColdRow(z.paced, z.pacedOne))
}

// coldRow reads one file from nginx through a new mount, which is then also compared
// with curl: curl writes the file without a filesystem between.
func coldRow(l load, target string) row {
	return row{
		name:  fmt.Sprintf("cold sequential read of %v through the mount, to %s", l, target),
		needs: []need{needFuse, needNginx},
		goals: []goal{
			{metric: speed, than: "curl", bound: atLeast(0.7)},
			{metric: speed, than: "rclone", bound: atLeast(4)},
		},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			base, err := s.serve(ctx, l)
			to := s.targets()[target]
			return []contestant{s.dlfsCold(l, base, to), s.rcloneCold(l, base, to), s.curlFetch(l, base, to)}, err
		},
	}
}

// pacedColdRow tells whether read-ahead is parallel.
func pacedColdRow(l, single load) row {
	const one = "one connection"
	return row{
		name:  fmt.Sprintf("cold sequential read of %v through the mount at 20 MB/s a connection", l),
		needs: []need{needFuse},
		goals: []goal{{metric: speed, than: one, bound: atLeast(5)}},
		set: func(ctx context.Context, s *stage) ([]contestant, error) {
			o, err := s.origin(ctx, originSpec{Loads: []load{l, single}, Rate: pacedRate}, nil)
			if err != nil {
				return nil, err
			}
			alone := s.curlFetch(single, o.url, s.mem)
			alone.name = one
			return []contestant{s.dlfsCold(l, o.url, s.mem), alone}, nil
		},
	}
}

// dlfsCold is a contestant that reads the first file of a load from a new mount of dlfs
// below target.
func (s *stage) dlfsCold(l load, base, target string) contestant {
	return firstRead(ours, l, target, func(ctx context.Context, home string) (*mounted, string, error) {
		m, err := s.mountList(ctx, home, l, base, nil, "--prefetch=none")
		return m, l.name(0), err
	})
}

// rcloneCold does the same through a mount of rclone.
func (s *stage) rcloneCold(l load, base, target string) contestant {
	c := firstRead("rclone", l, target, func(ctx context.Context, home string) (*mounted, string, error) {
		m, err := s.mountRclone(ctx, home, base+"/"+l.folder())
		return m, "0", err
	})
	c.needs = []need{needRclone}
	return c
}

// firstRead is a contestant that reads the one file of a load from a new mount. mount
// makes the mount in the directory home, and returns it with the name of the file in
// it. Each round has a directory and a mount of its own; round 0 compares every byte.
func firstRead(name string, l load, target string, mount func(ctx context.Context, home string) (m *mounted, file string, err error)) contestant {
	return contestant{name: name, run: func(ctx context.Context, round int) (sample, error) {
		return fresh(target, func(home string) (sample, error) {
			m, file, err := mount(ctx, home)
			if err != nil {
				return nil, err
			}
			return m.use(func() (sample, error) {
				path := filepath.Join(m.point, file)
				r, err := read(ctx, readJob{Paths: []string{path}, Block: catBlock, Bytes: l.Size}, nil)
				if err == nil && round == 0 {
					err = checkFile(path, l.content(0), make([]byte, catBlock))
				}
				return sample{speed: r.speed(), wall: r.Wall}, err
			})
		})
	}}
}
