//go:build linux

package fs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// lookEvery is the poll interval for the pending signals of a caller that was interrupted and
// still waits.
const lookEvery = 20 * time.Millisecond

// patient returns a context for a call of an application that waits for the
// network: it ends after the read timeout, or when the caller is to end.
//
// The kernel tells of any signal as an interrupt, once a call. It is obeyed for
// those that are to stop the caller, as Ctrl-C is: not even SIGKILL frees it
// before it is answered. For others the call goes on, as on any disk, since
// most programs do not expect EINTR of a stat or an open, and SA_RESTART does not help
// there. Which signals follow can be read from the caller's state alone.
// A suspend of the machine interrupts, too, without any signal, and go-fuse does
// when the mount has ended.
func (f *fileSystem) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	caller, ok := fuse.FromContext(ctx)
	if !ok || caller.Pid == 0 { // of another PID namespace
		return context.WithTimeout(ctx, f.opts.ReadTimeout)
	}
	tid := caller.Pid // ctx is go-fuse's to use again
	patient, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.opts.ReadTimeout)
	stop := context.AfterFunc(ctx, func() { // ends with patient
		defer cancel()
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		for !isToEnd(tid) && f.connected() {
			select {
			case <-tick.C:
			case <-patient.Done():
				return
			}
		}
	})
	return patient, func() {
		stop()
		cancel()
	}
}

// connected reports whether the kernel still wants answers.
func (f *fileSystem) connected() bool {
	fds := []unix.PollFd{{Fd: f.device, Events: unix.POLLIN}}
	_, err := unix.Poll(fds, 0)
	return err != nil || fds[0].Revents&(unix.POLLERR|unix.POLLNVAL) == 0
}

// device returns this process's descriptor of /dev/fuse, -1 if it has none.
func device() int32 {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	for _, fd := range fds {
		if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && to == "/dev/fuse" {
			if n, err := strconv.ParseInt(fd.Name(), 10, 32); err == nil {
				return int32(n)
			}
		}
	}
	return -1
}

// isToEnd reports whether a signal that waits for the thread is to end it, or
// may be. Who cannot be looked at may be anything.
func isToEnd(tid uint32) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", tid))
	if err != nil {
		return true
	}
	return endedBy(status)
}

// Signals that are sent to stop a program, even if it catches them; and those
// that do not end one that does not.
const (
	stops    = 1<<(syscall.SIGHUP-1) | 1<<(syscall.SIGINT-1) | 1<<(syscall.SIGQUIT-1) | 1<<(syscall.SIGTERM-1) | 1<<(syscall.SIGKILL-1)
	harmless = 1<<(syscall.SIGCHLD-1) | 1<<(syscall.SIGCONT-1) | 1<<(syscall.SIGSTOP-1) | 1<<(syscall.SIGTSTP-1) |
		1<<(syscall.SIGTTIN-1) | 1<<(syscall.SIGTTOU-1) | 1<<(syscall.SIGURG-1) | 1<<(syscall.SIGWINCH-1)
)

// endedBy reports that of a /proc/PID/status. To a thread that a signal kills,
// the kernel adds SIGKILL.
func endedBy(status []byte) bool {
	sets := map[string]uint64{}
	for sc := bufio.NewScanner(bytes.NewReader(status)); sc.Scan(); {
		key, value, _ := bytes.Cut(sc.Bytes(), []byte(":\t"))
		if set, err := strconv.ParseUint(string(value), 16, 64); err == nil {
			sets[string(key)] = set
		}
	}
	pending := (sets["SigPnd"] | sets["ShdPnd"]) &^ sets["SigBlk"] &^ sets["SigIgn"]
	return pending&(stops|^(harmless|sets["SigCgt"])) != 0
}
