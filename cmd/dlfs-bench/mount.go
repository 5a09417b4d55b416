package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// mountLimit is how long a mount may take to come or to go.
const mountLimit = 2 * time.Minute

// mounted is a filesystem that is mounted at point, and its process, which stays in the
// foreground. start is when the process was started; said has its last words.
type mounted struct {
	point  string
	cmd    *exec.Cmd
	start  time.Time
	said   *tail
	exited chan struct{}
}

// mountList mounts a load at home/mnt, the files kept in home/files, and waits
// until the mount is there.
func (s *stage) mountList(ctx context.Context, home string, l load, base string, as shape, flags ...string) (*mounted, error) {
	list, err := l.list(home, base)
	if err != nil {
		return nil, err
	}
	return s.mountFile(ctx, home, list, as, flags...)
}

// mountFile is mountList with a list that is in a file.
func (s *stage) mountFile(ctx context.Context, home, list string, as shape, flags ...string) (*mounted, error) {
	point := filepath.Join(home, "mnt")
	args := append([]string{"mount", list, point, "--dir=" + filepath.Join(home, "files"), "--progress=none", "--no-netrc"}, flags...)
	return startMount(ctx, point, command(ctx, s.tools.dlfs, args...), as)
}

// onMount mounts a load at home/mnt, calls f with the mount, and stops the mount also
// if f fails.
func (s *stage) onMount(ctx context.Context, home string, l load, base string, as shape, f func(*mounted) (sample, error), flags ...string) (sample, error) {
	m, err := s.mountList(ctx, home, l, base, as, flags...)
	if err != nil {
		return nil, err
	}
	return m.use(func() (sample, error) { return f(m) })
}

// mountRclone mounts an origin's directory with a full cache.
func (s *stage) mountRclone(ctx context.Context, home, url string, flags ...string) (*mounted, error) {
	point := filepath.Join(home, "mnt")
	if err := os.Mkdir(point, 0o755); err != nil {
		return nil, err
	}
	args := append([]string{"mount", ":http:", point, "--http-url=" + url, "--config=",
		"--read-only", "--vfs-cache-mode=full", "--cache-dir=" + filepath.Join(home, "cache")}, flags...)
	return startMount(ctx, point, command(ctx, s.tools.rclone, args...), nil)
}

// startMount starts a program that mounts at point, and waits until the mount is there. The caller
// calls stop. After an error nothing is left of it.
func startMount(ctx context.Context, point string, cmd *exec.Cmd, as shape) (*mounted, error) {
	m := &mounted{point: point, cmd: cmd, said: new(tail), exited: make(chan struct{})}
	as.apply(cmd)
	cmd.Stderr = m.said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // so that it unmounts
	m.start = time.Now()
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the process, which stop ends
		defer close(m.exited)
		cmd.Wait() // how it ended is asked of the process
	}()
	err := poll(ctx, 5*time.Millisecond, mountLimit, "not mounted", func() (bool, error) {
		select {
		case <-m.exited:
			return false, errors.New("it ended")
		default:
			return isMounted(point)
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w: %s", cmd, err, m.said), m.stop())
	}
	return m, nil
}

// isMounted reports whether anything is mounted at a point, whose path has no spaces.
func isMounted(point string) (bool, error) {
	mounts, err := os.ReadFile("/proc/self/mounts")
	return strings.Contains(string(mounts), " "+point+" "), err
}

// use calls f and stops the mount. An error of f has the last words of the mount's
// process with it.
func (m *mounted) use(f func() (sample, error)) (sample, error) {
	got, err := f()
	if err != nil {
		err = fmt.Errorf("%w; %s said: %s", err, m.cmd, m.said)
	}
	return got, errors.Join(err, m.stop())
}

// progress returns how many files are not complete, and how many bytes are present.
// dlfs tells both in statfs(2): free inodes are incomplete files, and used blocks are
// present bytes.
func (m *mounted) progress() (left uint64, present int64, err error) {
	var fs unix.Statfs_t
	err = unix.Statfs(m.point, &fs)
	return fs.Ffree, int64(fs.Blocks-fs.Bfree) * fs.Bsize, err
}

// isComplete reports whether every file is there.
func (m *mounted) isComplete() (bool, error) {
	left, _, err := m.progress()
	return left == 0, err
}

// stop ends the mount as a user does, and takes away what is left of it.
func (m *mounted) stop() error {
	err := m.cmd.Process.Signal(syscall.SIGTERM)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	timer := time.NewTimer(mountLimit)
	defer timer.Stop()
	select {
	case <-m.exited:
	case <-timer.C:
		err = errors.Join(err, fmt.Errorf("%s did not stop within %v: %s", m.cmd, mountLimit, m.said), m.cmd.Process.Kill())
		<-m.exited
	}
	if still, _ := isMounted(m.point); still {
		err = errors.Join(err, unix.Unmount(m.point, unix.MNT_DETACH))
	}
	return err
}
