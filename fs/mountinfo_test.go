//go:build linux

package fs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// kinds returns the types of what is mounted at point, the topmost last.
func kinds(point string) (types []string, err error) {
	all, err := mountsAt(point)
	for _, m := range all {
		types = append(types, m.kind)
	}
	return types, err
}

// asUser has the rig mount as an ordinary user, in directories of that user.
func (x *rig) asUser() {
	x.tb.Helper()
	hosttest.Need(x.tb, hosttest.OthersFUSE())
	x.cred = &syscall.Credential{Uid: nobody, Gid: nobody}
	base := filepath.Dir(x.config.Dir)
	must(x.tb, os.Chmod(base, 0o755))
	must(x.tb, os.Chmod(filepath.Dir(base), 0o755))
	for _, dir := range []string{base, x.config.Dir, x.config.Point} {
		must(x.tb, os.Chown(dir, nobody, nobody))
	}
}

// freeze stops the child, and returns once all its threads are.
func (x *rig) freeze() {
	x.tb.Helper()
	must(x.tb, x.child.cmd.Process.Signal(syscall.SIGSTOP))
	for x.ctx.Err() == nil {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", x.child.cmd.Process.Pid))
		must(x.tb, err)
		moving := slices.ContainsFunc(tasks, func(path string) bool {
			status, err := os.ReadFile(path)
			return err == nil && !strings.Contains(string(status), "State:\tT")
		})
		if !moving {
			return
		}
	}
	x.tb.Fatal("the child does not stop: hang")
}

// A process that is stopped answers nothing, and the next process that asks is told so
// instead of waiting with it.
func TestClearDeadDoesNotWaitForAStoppedProcess(t *testing.T) {
	for name, user := range map[string]bool{"root": false, "user": true} {
		t.Run(name, func(t *testing.T) {
			x := newRig(t)
			if user {
				x.asUser()
			}
			x.add("a", 10)
			x.start()
			stopped := x.child.cmd.Process
			x.freeze()
			defer stopped.Signal(syscall.SIGCONT)
			cleared, err := clearDead(x.config.Point, 100*time.Millisecond)
			if cleared || !errors.Is(err, ErrSilent) {
				t.Errorf("ClearDead = %v, %v", cleared, err)
			}
			want := x.config.Point + ` is mounted by a dlfs that does not answer; have it go on with "kill -CONT", or end it with "kill -9"`
			if err == nil || err.Error() != want {
				t.Errorf("text: %v", err)
			}
			must(t, stopped.Signal(syscall.SIGCONT))
			if cleared, err := ClearDead(x.config.Point); cleared || !errors.Is(err, ErrMounted) {
				t.Errorf("once it goes on, ClearDead = %v, %v", cleared, err)
			}
			x.kill()
			if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
				t.Errorf("once it is dead, ClearDead = %v, %v", cleared, err)
			}
		})
	}
}

// Root is told nothing by the mount of an ordinary user, and finds out all the
// same.
func TestRootClearsTheDeadMountOfAUser(t *testing.T) {
	x := newRig(t)
	x.asUser()
	x.add("a", 10)
	x.start()
	for range 100 { // on threads new and old
		if cleared, err := ClearDead(x.config.Point); cleared || !errors.Is(err, ErrMounted) {
			t.Fatalf("of a live one, ClearDead = %v, %v", cleared, err)
		}
	}
	status, err := os.ReadFile("/proc/self/status") // of the first thread
	must(t, err)
	for _, id := range []string{"Uid:", "Gid:"} {
		if !strings.Contains(string(status), id+"\t0\t0\t0\t0") {
			t.Errorf("the process is no longer root: %s", status)
		}
	}
	x.kill()
	if cleared, err := ClearDead(x.config.Point); !cleared || err != nil {
		t.Errorf("of a dead one, ClearDead = %v, %v", cleared, err)
	}
	if types, err := kinds(x.config.Point); err != nil || len(types) != 0 {
		t.Errorf("left: %q, %v", types, err)
	}
	x.cred = nil
	x.config.Dir = t.TempDir() // root takes no state of another user
	x.start()                  // and root mounts in its place
	x.read(x.open("a"), "a", 0, 10)
}

// Whatever a mountpoint is called, the mount there is found, as the kernel writes it.
func TestMountsOf(t *testing.T) {
	const others = "22 1 259:2 / / rw shared:1 - ext4 /dev/root rw,discard\n" +
		"31 22 0:27 / /mnt/a\\040b rw,nosuid - overlay overlay rw,lowerdir=/x,upperdir=/y\n"
	for _, point := range []string{"/mnt", "/mnt/a b", "/mnt/a\\040b\t\n#", "/mnt/a\u00a0b", "/mnt/a\r", "/mnt/a - b", "/\xff"} {
		escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(point) // show_mountinfo, Linux 6.18
		line := fmt.Sprintf("99 22 0:65 / %s rw,nosuid,nodev,relatime shared:7 - fuse.dlfs dlfs rw,user_id=32,group_id=65,default_permissions\n", escaped)
		want := mountInfo{id: 99, parent: 22, point: point, kind: fsType, device: "0:65", uid: 32, gid: 65}
		all, err := mountsOf(strings.NewReader(others+line), func(m mountInfo) bool { return m.point == point })
		if err != nil || len(all) == 0 || all[len(all)-1] != want {
			t.Errorf("found %+v, %v, want %+v", all, err, want)
		}
	}
}

func TestMountsAtAPathWithSpaces(t *testing.T) {
	needRoot(t)
	point := filepath.Join(t.TempDir(), "a b\tc\\040")
	must(t, os.Mkdir(point, 0o755))
	if types, err := kinds(point); err != nil || len(types) != 0 {
		t.Errorf("before: %q, %v", types, err)
	}
	for _, fstype := range []string{"tmpfs", "ramfs"} {
		must(t, unix.Mount("none", point, fstype, 0, ""))
		t.Cleanup(func() { unix.Unmount(point, unix.MNT_DETACH) })
	}
	if types, err := kinds(point); err != nil || !slices.Equal(types, []string{"tmpfs", "ramfs"}) {
		t.Errorf("%q, %v", types, err)
	}
	if kind, err := Kind(point); kind != "ramfs" || err != nil {
		t.Errorf("kind %q, %v", kind, err)
	}
	if ours, err := mounted(point); ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}
	if cleared, err := ClearDead(point); cleared || err != nil {
		t.Errorf("ClearDead = %v, %v", cleared, err)
	}
	for _, err := range []error{Unmount(point), Detach(point)} { // nothing but what is of this package
		if !errors.Is(err, errNotOurs) || !strings.Contains(err.Error(), point) {
			t.Errorf("got %v, want %v", err, errNotOurs)
		}
	}
	if types, err := kinds(point); err != nil || len(types) != 2 {
		t.Errorf("%q, %v", types, err)
	}
	must(t, unix.Unmount(point, 0))
	must(t, unix.Unmount(point, 0))
	if err := Detach(point); err == nil || !strings.Contains(err.Error(), point) {
		t.Errorf("Detach of nothing: %v", err)
	}
	if err := Unmount(point); err == nil || !strings.Contains(err.Error(), point) {
		t.Errorf("Unmount of nothing: %v", err)
	}
}

func TestClearDead(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	point := x.config.Point
	want := func(wantCleared bool, wantErr error) {
		t.Helper()
		cleared, err := ClearDead(point)
		if cleared != wantCleared || !errors.Is(err, wantErr) {
			t.Errorf("ClearDead = %v, %v; want %v, %v", cleared, err, wantCleared, wantErr)
		}
		if err != nil && err.Error() != point+` is mounted by a running dlfs already; stop it with "dlfs umount `+point+`"` {
			t.Errorf("text: %v", err)
		}
	}
	mounted := func(want bool) {
		t.Helper()
		if ours, err := mounted(point); ours != want || err != nil {
			t.Errorf("mounted = %v, %v; want %v", ours, err, want)
		}
	}
	want(false, nil)
	mounted(false)
	x.start()
	want(false, ErrMounted)
	mounted(true)
	names(t, point) // alive still
	x.kill()
	mounted(true)
	want(true, nil)
	mounted(false)
	want(false, nil)

	x.start() // the same place, again
	x.read(x.open("a"), "a", 0, 8*bs)
}

// TestClearDeadBelowALiveMount: what is mounted over a dead mount is alive, and stays. Only
// root can mount so: fusermount3, which has rights of two users, may not look into the mount
// of a user without allow_other (fuse_allow_current_process, Linux).
func TestClearDeadBelowALiveMount(t *testing.T) {
	hosttest.Need(t, hosttest.Root())
	x := newRig(t)
	x.add("a", 8*bs)
	point := x.config.Point
	x.start()
	x.read(x.open("a"), "a", 0, 8*bs) // the kernel keeps the attributes of the root for a while
	x.kill()
	x.start() // over the dead one: New alone does not clear
	if types, err := kinds(point); err != nil || !slices.Equal(types, []string{fsType, fsType}) {
		t.Errorf("mounts: %q, %v", types, err)
	}
	if cleared, err := ClearDead(point); cleared || !errors.Is(err, ErrMounted) {
		t.Errorf("ClearDead = %v, %v; want %v", cleared, err, ErrMounted)
	}
}

// mounted reports whether the topmost mount at point is one of this package.
func mounted(point string) (bool, error) {
	point, err := resolve(point)
	if err != nil {
		return false, err
	}
	all, err := mountsAt(point)
	return len(all) > 0 && all[len(all)-1].kind == fsType, err
}

// TestMounts: a mount is told while it is there, also when its process is dead.
func TestMounts(t *testing.T) {
	x := newRig(t)
	x.start()
	told := func() bool {
		t.Helper()
		points, err := Mounts()
		must(t, err)
		return slices.Contains(points, x.config.Point)
	}
	if !told() {
		t.Error("a live mount is not told")
	}
	x.kill()
	if !told() {
		t.Error("a dead mount is not told")
	}
	if _, err := ClearDead(x.config.Point); err != nil {
		t.Fatal(err)
	}
	if told() {
		t.Error("a mount that was cleared away is told")
	}
}
