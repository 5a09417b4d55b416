//go:build linux

package fs

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A mount is known by the device number of its filesystem, which no other
// filesystem has while this one lives, and by the number of the mount. So
// this package finds the mount again after a mount --move, and does not unmount another
// filesystem that was mounted over it or in its old place.

// detachedFor is how long a detached mount goes on serving those who hold it.
const detachedFor = 500 * time.Millisecond

// Wait blocks until the mount is gone: unmounted, by any program, or aborted.
func (m *Mount) Wait() { <-m.gone }

// WhyGone says how the mount ended, once Wait has returned.
func (m *Mount) WhyGone() string {
	if at, _, err := m.find(); err == nil && at != "" {
		return "the connection of the mount was aborted"
	}
	return "unmounted"
}

// Close unmounts. If the mount is in use, it is detached instead: it disappears from the
// tree, readers may go on for half a second,
// and then everything they ask fails; busy says who they are, as far as that
// can be seen, and where the filesystem is still to be seen by another mount of
// it. A mount that something else was mounted over cannot be reached: it stays, and
// answers with errors. The set should be closed before: nothing waits for a network
// then.
func (m *Mount) Close() (busy []string, err error) {
	m.fs.stopNotifying()
	defer m.fs.notifying.Wait()
	defer m.stopWatching()
	busy, err = m.takeAway()
	served := settleTime
	if len(busy) > 0 {
		served = detachedFor
	}
	if !m.endsWithin(served) {
		busy = append(busy, m.views()...)
		m.abort()
		m.endsWithin(settleTime)
	}
	return busy, err
}

// takeAway removes the mount from the tree. If programs use it, even after settleTime, it is detached
// (MNT_DETACH): no path leads there any more, and it ends when they have closed their files. busy
// names them. A mount that another one covers stays, with an error.
func (m *Mount) takeAway() (busy []string, err error) {
	at, covered, err := m.find()
	if err != nil || at == "" {
		return nil, err
	}
	if covered != "" {
		return nil, fmt.Errorf("mount at %s cannot be taken away, since %s was mounted over it; unmount both", at, covered)
	}
	if err := Unmount(at); err == nil {
		return nil, nil
	}
	busy = holders(at)
	if len(busy) == 0 { // no holder was found, so the use may end in a moment
		time.Sleep(settleTime)
		if at, covered, err = m.find(); err != nil || at == "" || covered != "" {
			return nil, err
		}
		if err := Unmount(at); err == nil {
			return nil, nil
		}
		busy = holders(at)
	}
	return busy, Detach(at)
}

// settleTime is how long the kernel is given for what it does at once on a machine
// that is not busy.
const settleTime = 200 * time.Millisecond

// endsWithin waits until the kernel has closed the connection, which it does at once
// unless a process uses the mount or there is another view of it.
func (m *Mount) endsWithin(most time.Duration) (ended bool) {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-m.ended:
		return true
	case <-t.C:
		return false
	}
}

// find returns where the mount is now, "" if it is nowhere in this mount namespace,
// and the type of the filesystem that was mounted over it, "" if none was.
func (m *Mount) find() (at, covered string, err error) {
	all, err := mountsThat(func(mountInfo) bool { return true })
	if err != nil {
		return m.point, "", nil // without /proc the path must do
	}
	i := slices.IndexFunc(all, m.is)
	if i < 0 {
		return "", "", nil
	}
	at = all[i].point
	for _, later := range all {
		if later.parent == all[i].id && later.point == at {
			covered = later.kind
		}
	}
	return at, covered, nil
}

// is reports whether a line of mountinfo is the mount.
func (m *Mount) is(i mountInfo) bool { return i.id == m.id && i.device == m.device }

// views returns who still sees the filesystem by another mount of it: a bind mount
// of this mount namespace, or a process of another one.
func (m *Mount) views() (list []string) {
	mine, _ := mountsThat(func(i mountInfo) bool { return i.device == m.device && !m.is(i) })
	for _, i := range mine {
		list = append(list, "another mount at "+i.point)
	}
	seen := map[string]bool{}
	if self, err := os.Readlink("/proc/self/ns/mnt"); err == nil {
		seen[self] = true
	}
	procs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is right
	for _, proc := range procs {
		ns, err := os.Readlink(proc + "/ns/mnt")
		if err != nil || seen[ns] {
			continue
		}
		seen[ns] = true
		f, err := os.Open(proc + "/mountinfo")
		if err != nil {
			continue
		}
		theirs, err := mountsOf(f, func(i mountInfo) bool { return i.device == m.device })
		f.Close()
		if comm, err2 := os.ReadFile(proc + "/comm"); err == nil && err2 == nil && len(theirs) > 0 {
			list = append(list, fmt.Sprintf("the mount namespace of %s (%s)", strings.TrimSpace(string(comm)), filepath.Base(proc)))
		}
	}
	return list
}

// abort has the kernel close the connection, so that every call on the filesystem
// fails from then on, in each view of it. Without the right to do so, the connection
// ends with the process.
func (m *Mount) abort() {
	_, minor, _ := strings.Cut(m.device, ":")
	if err := os.WriteFile("/sys/fs/fuse/connections/"+minor+"/abort", []byte("1"), 0); err != nil {
		m.fs.log.Debug("connection is not aborted; it ends with this process", "err", err)
	}
}

// identify finds out which mount of mountinfo this one is, right after it was made.
func (m *Mount) identify() {
	all, err := mountsThat(func(i mountInfo) bool { return i.point == m.point && i.kind == fsType })
	if err == nil && len(all) > 0 {
		m.id, m.device = all[len(all)-1].id, all[len(all)-1].device
	}
}

// watch closes gone when the mount has gone from this mount namespace, or the
// connection has ended, until stopWatching.
func (m *Mount) watch() {
	go func() { // ends with the connection
		m.server.Wait()
		close(m.ended)
	}()
	m.watching.Go(func() { // ends with stopWatching
		defer close(m.gone)
		m.watchTable()
	})
}

// watchTable returns when the mount has gone. poll(2) tells each change of the
// table of mounts (proc_pid_mountinfo(5)).
func (m *Mount) watchTable() {
	if m.device == "" { // there is no /proc
		<-m.ended
		return
	}
	// Not os.Open: the runtime would poll the file as well, and each change is told
	// to one poll only.
	table, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		m.fs.log.Debug("an unmount by others is not noticed", "err", err)
		<-m.ended
		return
	}
	defer unix.Close(table)
	changed := make(chan struct{})
	stop := m.pollChanges(table, changed)
	defer stop()
	for {
		if at, _, err := m.find(); err == nil && at == "" {
			return
		}
		select {
		case <-changed:
		case <-m.ended:
			return
		case <-m.unwatch:
			return
		}
	}
}

// pollChanges sends to changed after each change of the table of mounts, at most
// once each settleTime, until stop is called.
func (m *Mount) pollChanges(table int, changed chan<- struct{}) (stop func()) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		m.fs.log.Debug("an unmount by others is not noticed", "err", err)
		return func() {}
	}
	done := make(chan struct{})
	polling := make(chan struct{})
	go func() { // stop waits for it
		defer close(polling)
		for {
			fds := []unix.PollFd{{Fd: int32(table), Events: unix.POLLPRI}, {Fd: int32(wake), Events: unix.POLLIN}}
			if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
				return
			}
			if fds[1].Revents != 0 {
				return
			}
			if fds[0].Revents == 0 {
				continue
			}
			select {
			case changed <- struct{}{}:
			case <-done:
				return
			}
			t := time.NewTimer(settleTime)
			select {
			case <-t.C:
			case <-done:
				t.Stop()
				return
			}
		}
	}()
	return func() {
		close(done)
		unix.Write(wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) // which cannot fail: the counter is 0
		<-polling
		unix.Close(wake)
	}
}

// stopWatching ends watch, if the mount has not.
func (m *Mount) stopWatching() {
	m.unwatchOnce.Do(func() { close(m.unwatch) })
	m.watching.Wait()
}

// readAheadKB is how much the kernel reads ahead, in KiB. More makes every page fault fetch
// more, and a sequential reader of an incomplete file no faster, since its requests come out
// of order.
const readAheadKB = 256

// raiseReadAhead lets the kernel read ahead as much as one READ may ask for; it
// caps what INIT asks at its own default, 128 KiB. Only root may, and nothing
// depends on it. A stat of the mountpoint would ask this process itself.
func (m *Mount) raiseReadAhead() {
	if m.device == "" {
		return
	}
	knob := fmt.Sprintf("/sys/class/bdi/%s/read_ahead_kb", m.device)
	if err := os.WriteFile(knob, []byte(strconv.Itoa(readAheadKB)), 0); err != nil {
		m.fs.log.Debug("kernel read-ahead stays at its default", "err", err)
	}
}
