package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

func TestUnfitFilesystems(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0xff534d42: "SMB", 0xfe534d42: "SMB", 0x517b: "SMB", 0x65735546: "FUSE", 0x01021997: "9P",
		0x5346414f: "AFS", 0x73757245: "Coda", 0x00c36400: "Ceph",
		0x564c: "NCP", 0x7461636f: "OCFS2", 0x01161970: "GFS2", 0x0bd00bd0: "Lustre", 0x47504653: "GPFS", 0x19830326: "BeeGFS",
		unix.EXT4_SUPER_MAGIC: "", unix.XFS_SUPER_MAGIC: "", unix.BTRFS_SUPER_MAGIC: "", unix.TMPFS_MAGIC: "", unix.OVERLAYFS_SUPER_MAGIC: "",
	} {
		if got := unfit(magic); got != want {
			t.Errorf("%#x is %q, want %q", magic, got, want)
		}
	}
	if err := checkPlace(t.TempDir()); err != nil {
		t.Error(err)
	}
	if err := checkPlace(filepath.Join(t.TempDir(), "yet", "to be made")); err != nil {
		t.Error(err)
	}
}

// TestSystemsThatCannot starts dlfs where a thing of the system is missing or
// forbidden. Each says so in one line, and nothing has been mounted.
func TestSystemsThatCannot(t *testing.T) {
	need(t, canMount())
	need(t, hosttest.Root())
	for _, tool := range []string{"setpriv", "fusermount3"} {
		_, err := exec.LookPath(tool)
		need(t, err)
	}
	bin := forAnyone(t)
	self, err := os.Executable()
	need(t, err)
	sh(t, bin, "cp "+self+" dlfs; chmod 755 dlfs")
	// In a mount namespace of its own: some machines leave the device to root.
	const openToAll = `mkdir dev; mount -t tmpfs none dev; cp -a /dev/fuse dev; chmod 666 dev/fuse; mount --bind dev/fuse /dev/fuse; `
	const user = `chown 65534 mnt; HOME=/ exec setpriv --reuid=65534 --regid=65534 --clear-groups `
	for _, tt := range []struct{ name, script, want string }{
		{"read-only directory", `mount -t tmpfs -o ro none mnt; $DLFS mount list mnt`,
			"$PWD/mnt is on a read-only filesystem; give a directory that can be written"},
		{"read-only --dir", `mkdir ro; mount -t tmpfs -o ro none ro; $DLFS mount --dir ro/sub list mnt`,
			"$PWD/ro/sub is on a read-only filesystem; give a directory that can be written"},
		{"read-only directory of a daemon", `mount -t tmpfs -o ro none mnt; $DLFS mount --daemon list mnt`,
			"$PWD/mnt is on a read-only filesystem; give a directory that can be written"},
		{"read-only directory of a fetch", `mount -t tmpfs -o ro none mnt; $DLFS fetch list mnt`,
			"$PWD/mnt is on a read-only filesystem; give a directory that can be written"},
		{"vanished directory of a mount", `mkdir gone; cd gone; rmdir ../gone; $DLFS mount $TOP/list .`,
			"the current directory is gone; change to another one"},
		{"vanished directory of a fetch", `mkdir gone; cd gone; rmdir ../gone; $DLFS fetch $TOP/list .`,
			"the current directory is gone; change to another one"},
		{"no /dev/fuse", `mount -t tmpfs none /dev; $DLFS mount list mnt`,
			`this system has no /dev/fuse; load the module with "modprobe fuse", or use "dlfs fetch", which needs no FUSE`},
		{"no right to /dev/fuse", `chmod 600 dev/fuse; ` + user + `$DLFS mount list mnt`,
			`this user may not open /dev/fuse; have root run "chmod 666 /dev/fuse", or use "dlfs fetch", which needs no FUSE`},
		{"no fusermount3", `touch none; for f in $(which -a fusermount3 fusermount); do mount --bind none $f; done; ` + user + `$DLFS mount list mnt`,
			"fusermount3 is not installed, and only root can do without; install the package fuse3"},
		{"status of another user's directory", `mkdir -m 700 closed; ` + user + `$DLFS status closed`,
			"closed may not be looked into by this user; ask as the user of its dlfs, or as root"},
		{"--allow-other of a user", `echo '#user_allow_other' > conf; if [ -e /etc/fuse.conf ]; then mount --bind conf /etc/fuse.conf; fi; ` + user + `$DLFS mount --allow-other list mnt`,
			"--allow-other is for root alone, unless /etc/fuse.conf has the line user_allow_other; have root add it, or mount without"},
		{"somebody else's directory", `chown 0 mnt; HOME=/ setpriv --reuid=65534 --regid=65534 --clear-groups $DLFS mount list mnt`,
			"$PWD/mnt may not be written by this user; give another directory"},
		{"no capability", `setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin $DLFS mount list mnt`,
			"mount $PWD/mnt: not permitted; mounting needs root with CAP_SYS_ADMIN, or an ordinary user with fusermount3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := forAnyone(t)
			write(t, filepath.Join(dir, "list"), []byte("a\thttp://127.0.0.1:1/a\n"))
			if err := os.Mkdir(filepath.Join(dir, "mnt"), 0o755); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "bash", "-uc", `
				bash -euc "$SCRIPT"; code=$?
				if grep "$TOP.*fuse.dlfs" /proc/self/mountinfo; then umount -l mnt; fi
				exit $code`)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "DLFS="+filepath.Join(bin, "dlfs"), "TOP="+dir, "SCRIPT="+openToAll+tt.script)
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if code := exitCode(cmd.Run()); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			said := out.String()
			if line, rest, _ := strings.Cut(said, "\n"); strings.HasSuffix(line, "list: 1 entry, NAME<TAB>URL") {
				said = rest // how the list was read is told first, where it was
			}
			if want := "dlfs: " + strings.ReplaceAll(tt.want, "$PWD", dir) + "\n"; said != want {
				t.Errorf("said:\n%swant:\n%s", said, want)
			}
		})
	}
}

// forAnyone returns a temporary directory that other users may enter.
func forAnyone(t *testing.T) string {
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}
