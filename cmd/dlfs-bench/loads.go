package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
)

// loads is what a mount shows: several loads, each in a folder of its own.
type loads []load

// mount mounts the loads with room bytes for blocks; 0 is no bound. The bound of dlfs
// is larger by stateRoom, since it includes the state.
func (ls loads) mount(ctx context.Context, s *stage, home, base string, room int64, flags ...string) (*mounted, error) {
	list, err := write(home, "list.txt", func(w io.Writer) {
		for _, l := range ls {
			for i := range l.Count {
				fmt.Fprintf(w, "%s/%d\t%s\n", l.folder(), i, l.url(base, i))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	if room > 0 {
		flags = append(flags, "--max-size="+strconv.FormatInt(room+stateRoom, 10))
	}
	return s.mountFile(ctx, home, list, nil, flags...)
}

// paths are the paths of all files in a mount.
func (ls loads) paths(point string) (all []string) {
	for _, l := range ls {
		for i := range l.Count {
			all = append(all, filepath.Join(point, l.folder(), strconv.Itoa(i)))
		}
	}
	return all
}

// reader is a contestant that reads through a new mount of dlfs, with so much room, or without
// a bound. f has the mount, the directory of what is on disk, and the origin.
func (ls loads) reader(s *stage, name string, o *virtual, room int64, f useMount, flags ...string) contestant {
	return contestant{name: name, run: func(ctx context.Context, _ int) (sample, error) {
		return fresh(s.disk, func(home string) (sample, error) {
			m, err := ls.mount(ctx, s, home, o.url, room, flags...)
			if err != nil {
				return nil, err
			}
			return m.use(func() (sample, error) { return f(ctx, m, filepath.Join(home, "files"), o) })
		})
	}}
}

// useMount reads through a mount and returns the figures of that. disk is the directory
// in which the mount keeps what it has fetched, and o the origin, whose counts tell
// what was fetched again.
type useMount func(ctx context.Context, m *mounted, disk string, o *virtual) (sample, error)

// rclone is a contestant as reader makes them, with a mount of rclone that has as much
// disk as dlfs. rclone looks at the size of its cache at intervals, here every second
// instead of every minute, which favours it.
func (ls loads) rclone(s *stage, o *virtual, room int64, f useMount, more ...need) contestant {
	return contestant{name: "rclone", needs: append(more, needRclone), run: func(ctx context.Context, _ int) (sample, error) {
		return fresh(s.disk, func(home string) (sample, error) {
			m, err := s.mountRclone(ctx, home, o.url,
				"--vfs-cache-max-size="+strconv.FormatInt(room+stateRoom, 10)+"B", "--vfs-cache-poll-interval=1s")
			if err != nil {
				return nil, err
			}
			return m.use(func() (sample, error) { return f(ctx, m, filepath.Join(home, "cache"), o) })
		})
	}}
}
