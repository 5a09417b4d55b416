package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// TestMountArgs: what mount(8) hands over becomes flags, and what is others' business
// nothing.
func TestMountArgs(t *testing.T) {
	for in, want := range map[string]string{
		"/no/list /mnt":                         "mount --daemon --source=/no/list -- /no/list /mnt",
		"/no/list /mnt -o rw":                   "mount --daemon --source=/no/list -- /no/list /mnt",
		"-o rw,noexec,x-a=b,X-mount.mkdir / /m": "mount --daemon --source=/ -- / /m",
		"/no/list /mnt -o _netdev,nofail,x-systemd.automount,allow_other,jobs=3,limit_rate=1M,comment=x": "mount --daemon --source=/no/list --allow-other --jobs=3 --limit-rate=1M -- /no/list /mnt",
		`/no/list /mnt -o "header=X-A: a,b",jobs=2`:                                                      "mount --daemon --source=/no/list --header=X-A: a,b --jobs=2 -- /no/list /mnt",
		"/no/list /mnt -sv -n -ojobs=1 -o split=2 -t fuse.dlfs":                                          "mount --daemon --source=/no/list --jobs=1 --split=2 --verbose -- /no/list /mnt",
		"https://u:p@h.example/l?sig=s /mnt":                                                             "mount --daemon --source=" + shown("https://u:p@h.example/l?sig=s") + " -- https://u:p@h.example/l?sig=s /mnt",
		"/no/list /mnt -f -o jobs=3":                                                                     "",
	} {
		args := strings.Fields(in)
		if i := strings.Index(in, `"`); i >= 0 { // one argument with a blank
			args = append(strings.Fields(in[:i]), in[i:])
		}
		got, err := mountArgs(args)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	if strings.Contains(shown("https://u:p@h.example/l?sig=s"), "sig=s") {
		t.Error("the table of mounts would show a secret")
	}
	for _, in := range []string{"", "/list", "/list /mnt more", "/list /mnt -o", "/list /mnt -N 7", "/list /mnt -z", "/list /mnt -o remount,ro"} {
		if got, err := mountArgs(strings.Fields(in)); err == nil {
			t.Errorf("%q: %q", in, got)
		}
	}
	if got, err := umountArgs([]string{"/mnt", "-fl", "-t", "fuse.dlfs"}); err != nil || !slices.Equal(got, []string{"umount", "--", "/mnt"}) {
		t.Errorf("umount: %q, %v", got, err)
	}
	if got, err := umountArgs(nil); err == nil {
		t.Errorf("umount of nothing: %q", got)
	}
}

// as returns a command that runs this binary under another name.
func as(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := dlfs(t, args...)
	cmd.Args[0] = name
	return cmd
}

// TestMountHelper mounts and unmounts as mount(8) has it done.
func TestMountHelper(t *testing.T) {
	need(t, canMount())
	o := origintest.New()
	content := origintest.Content{Size: 200_000}
	o.Put("/f", origintest.File{Content: content})
	dir := t.TempDir()
	list, mnt := filepath.Join(dir, "list,with\\odd name"), filepath.Join(dir, "mnt")
	write(t, list, []byte("f\t"+o.Serve(t)+"/f\n"))
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails if it is gone already
	options := "rw,_netdev,x-systemd.automount,jobs=2,dir=" + filepath.Join(dir, "files")
	if out, err := as(t, "mount.dlfs", list, mnt, "-o", options).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(mnt, "f"))
	if err != nil || int64(len(b)) != content.Size || content.Check(b, 0) != nil {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	s, err := askStatus(t.Context(), mnt)
	if err != nil {
		t.Fatal(err)
	}
	if sid, err := unix.Getsid(s.PID); err != nil || sid != s.PID {
		t.Errorf("session %d of process %d, %v: it would end with the terminal", sid, s.PID, err)
	}
	if source := sh(t, dir, "findmnt -n -o SOURCE -M mnt | tail -1"); strings.TrimSpace(source) != strings.NewReplacer(" ", `\x20`, `\`, `\\`).Replace(list) && strings.TrimSpace(source) != list {
		t.Errorf("source is %q, want %q", source, list)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{mountFailed, []string{list, mnt, "-o", options}}, // is mounted
		{mountUsage, []string{list, mnt, "-o", "no_such_option"}},
		{mountUsage, []string{list, mnt, "-o", "remount"}},
		{mountUsage, []string{list}},
		{exitOK, []string{list, mnt, "-f"}},
	} {
		out, err := as(t, "mount.dlfs", c.args...).CombinedOutput()
		if exitCode(err) != c.code || bytes.Count(out, []byte("\n")) != min(c.code, 1) {
			t.Errorf("%q: %v, %s", c.args, err, out)
		}
	}
	if out, err := as(t, "umount.dlfs", mnt, "-t", "fuse.dlfs").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	out, err := as(t, "umount.dlfs", mnt).CombinedOutput()
	if exitCode(err) != mountFailed || bytes.Count(out, []byte("\n")) != 1 {
		t.Errorf("umount of what is not mounted: %v, %s", err, out)
	}
}
