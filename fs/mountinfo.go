//go:build linux

package fs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// answerWithin is how long a process that serves a mount may take to answer what
// it has in memory.
const answerWithin = 5 * time.Second

// ClearDead makes way for a new mount at point: mounts of this package whose
// process was killed, which answer everything with ENOTCONN, are detached. It
// reports whether there was one. One that lives is an error that wraps
// ErrMounted or ErrSilent; it takes no longer than a few seconds to tell.
func ClearDead(point string) (cleared bool, err error) { return clearDead(point, answerWithin) }

// clearDead is ClearDead with the time that a process has to answer. Dead mounts may lie one over
// the other, so it looks again after each one that it has detached.
func clearDead(point string, within time.Duration) (cleared bool, err error) {
	if point, err = resolve(point); err != nil {
		return false, err
	}
	for {
		all, err := mountsAt(point)
		if err != nil || len(all) == 0 || all[len(all)-1].kind != fsType {
			return cleared, err
		}
		err = all[len(all)-1].ask(within)
		switch {
		case errors.Is(err, ErrSilent):
			return cleared, fmt.Errorf("%s %w; have it go on with \"kill -CONT\", or end it with \"kill -9\"", point, err)
		case !errors.Is(err, syscall.ENOTCONN) && !errors.Is(err, syscall.ECONNABORTED):
			return cleared, fmt.Errorf("%s %w; stop it with \"dlfs umount %s\"", point, ErrMounted, point)
		}
		if err := Detach(point); err != nil {
			return cleared, fmt.Errorf("dead mount cannot be replaced: %w", err)
		}
		cleared = true
	}
}

// mountInfo is a line of /proc/self/mountinfo.
type mountInfo struct {
	id       int
	parent   int // id of the mount that this one is mounted on
	point    string
	kind     string // filesystem type
	device   string // "major:minor"
	uid, gid int    // of the user that serves it, if it is a FUSE mount
}

// mountsAt returns what is mounted at point, the topmost last.
func mountsAt(point string) ([]mountInfo, error) {
	return mountsThat(func(m mountInfo) bool { return m.point == point })
}

// Mounts returns where lists are mounted, by any user, in the order in which they were. It
// touches no mount, and does not tell dead ones from others.
func Mounts() (points []string, err error) {
	all, err := mountsThat(func(m mountInfo) bool { return m.kind == fsType })
	for _, m := range all {
		points = append(points, m.point)
	}
	return points, err
}

// Kind returns the type of the filesystem that dir is on, such as "virtiofs", "" if
// that cannot be told, as of btrfs, whose directories have other device numbers than
// its mount.
func Kind(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", fmt.Errorf("stat %s: %w", dir, err)
	}
	device := fmt.Sprintf("%d:%d", unix.Major(st.Dev), unix.Minor(st.Dev))
	all, err := mountsThat(func(m mountInfo) bool { return m.device == device })
	if err != nil || len(all) == 0 {
		return "", err
	}
	return all[0].kind, nil
}

// mountsThat returns the mounts for which are is true, from /proc/self/mountinfo:
// reading that touches no mount, dead or alive.
func mountsThat(are func(mountInfo) bool) (all []mountInfo, err error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountsOf(f, are)
}

// mountsOf picks mounts of a mountinfo.
func mountsOf(table io.Reader, are func(mountInfo) bool) (all []mountInfo, err error) {
	lines, err := mountinfo.GetMountsFromReader(table, nil)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		m := mountInfo{id: l.ID, parent: l.Parent, point: l.Mountpoint, kind: l.FSType, device: fmt.Sprintf("%d:%d", l.Major, l.Minor)}
		for option := range strings.SplitSeq(l.VFSOptions, ",") {
			if key, value, _ := strings.Cut(option, "="); key == "user_id" {
				m.uid, _ = strconv.Atoi(value) // a number
			} else if key == "group_id" {
				m.gid, _ = strconv.Atoi(value)
			}
		}
		if are(m) {
			all = append(all, m)
		}
	}
	return all, nil
}

// ask has the process that serves the mount answer a question. The error is that
// of statfs(2), or ErrSilent. A stat would do no good: the kernel answers that
// from what it keeps.
//
// A thread that is being killed may still take the question from the kernel, which
// fails to copy it and answers EIO itself (fuse_dev_do_read, Linux 6.18). This
// package never does, so the question is put again.
func (m mountInfo) ask(within time.Duration) error {
	fd, err := unix.Open(m.point, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	answer := make(chan error, 1)
	go func() { // ends with the answer, or with the process
		defer unix.Close(fd)
		m.onOwnThread(func(err error) {
			if err == nil {
				err = unix.Fstatfs(fd, new(unix.Statfs_t))
			}
			for start := time.Now(); err == unix.EIO && time.Since(start) < within; {
				err = unix.Fstatfs(fd, new(unix.Statfs_t))
			}
			answer <- err
		})
	}()
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case err := <-answer:
		return err
	case <-t.C:
		return ErrSilent
	}
}

// onOwnThread calls f. If the mount is another user's and this process is root's, f runs
// on a thread of its own that has become that user. The reason: the kernel forwards a
// question about a FUSE mount only for the user who mounted it, and answers others by
// itself that all is well. The thread ends with f, so the calling goroutine must do
// nothing after onOwnThread.
func (m mountInfo) onOwnThread(f func(error)) {
	if os.Geteuid() != 0 || m.uid == 0 {
		f(nil)
		return
	}
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() { // the first thread is to stay what it is
		done := make(chan struct{})
		go func() { // ends with f; it has another thread
			defer close(done)
			m.onOwnThread(f)
		}()
		<-done
		runtime.UnlockOSThread()
		return
	}
	for _, call := range [][2]uintptr{{unix.SYS_SETRESGID, uintptr(m.gid)}, {unix.SYS_SETRESUID, uintptr(m.uid)}} {
		// Not unix.Setresuid, which is of all threads.
		if _, _, errno := unix.RawSyscall(call[0], call[1], call[1], call[1]); errno != 0 {
			f(errno)
			return
		}
	}
	f(nil)
}
