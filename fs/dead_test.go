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
	needRoot(x.tb)
	if _, err := fusermountPath(); err != nil {
		missing(x.tb, err.Error())
	}
	must(x.tb, os.Chmod("/dev/fuse", 0o666))
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

// A process that is stopped answers nothing, and whoever comes next is told so
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
