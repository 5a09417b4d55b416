//go:build linux

package fs

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
)

func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() == 0 {
		hosttest.Need(t, hosttest.OthersFUSE())
	}
	x := newRig(t)
	c := x.add("dir/a", 5*bs+7)
	if os.Geteuid() == 0 {
		x.cred = &syscall.Credential{Uid: nobody, Gid: nobody}
		base := filepath.Dir(x.config.Dir)
		must(t, os.Chmod(base, 0o755))
		must(t, os.Chmod(filepath.Dir(base), 0o755))
		for _, dir := range []string{base, x.config.Dir, x.config.Point} {
			must(t, os.Chown(dir, nobody, nobody))
		}
	}
	x.start()
	run := func(name string, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(x.ctx, name, args...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: x.cred}
		return cmd.Output()
	}
	for range 2 { // missing, then present
		p, err := run("cat", x.path("dir/a"))
		must(t, err)
		if int64(len(p)) != c.Size {
			t.Fatalf("%d bytes", len(p))
		}
		must(t, c.Check(p, 0))
	}
	if p, err := run("ls", "-A", x.path("")); err != nil || string(p) != "dir\n" {
		t.Errorf("ls: %q, %v", p, err)
	}
	if _, err := run("touch", x.path("fresh")); err == nil {
		t.Error("a file was made")
	}
	if info, err := os.ReadFile("/proc/self/mountinfo"); err != nil {
		t.Error(err)
	} else {
		for line := range strings.Lines(string(info)) {
			if strings.Contains(line, x.config.Point+" ro,nosuid,nodev") {
				info = nil
			}
		}
		if info != nil {
			t.Error("the mount is not ro,nosuid,nodev")
		}
	}
	if os.Geteuid() == 0 {
		if _, err := os.Stat(x.path("dir")); !errors.Is(err, syscall.EACCES) {
			t.Errorf("another user gets in: %v", err)
		}
	}
	if busy := x.stop(); busy != "" {
		t.Errorf("busy: %s", busy)
	}
	if ours, err := mounted(x.config.Point); ours || err != nil {
		t.Errorf("mounted = %v, %v", ours, err)
	}

	// Who was killed can be cleared away, and the place used again.
	x.start()
	x.kill()
	must(t, Detach(x.config.Point))
	x.start()
	x.stop()
}

// Files and directories belong to whom the options say, and the mask is off their modes.
func TestOwnerAndUmask(t *testing.T) {
	x := newRig(t)
	x.add("dir/known", 10)
	x.config.ControlSocket = "/nowhere/control.sock"
	x.config.Owner = &Owner{UID: 1234, GID: 56}
	mask := uint32(0o002)
	x.config.Umask = &mask
	x.start()
	f := x.open("dir/known")
	for path, want := range map[string]uint16{
		"": syscall.S_IFDIR | 0o775, "dir": syscall.S_IFDIR | 0o775, "dir/known": syscall.S_IFREG | 0o664, ".dlfs/errors": syscall.S_IFREG | 0o400,
	} {
		if st := statx(t, x.path(path)); st.Uid != 1234 || st.Gid != 56 || st.Mode != want {
			t.Errorf("%q: user %d, group %d, mode %o, want %o", path, st.Uid, st.Gid, st.Mode, want)
		}
	}
	x.read(f, "dir/known", 0, 10)
}
