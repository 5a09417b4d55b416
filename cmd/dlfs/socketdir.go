package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Some filesystems, such as FAT and exFAT, have no sockets. A process that has its
// output directory there puts the control socket into a directory of its user, under
// a name made of the device and the inode of the state directory. So others find it
// who have the output directory alone.

// socketDirs returns where the control sockets of a user may be, the best place first.
func socketDirs(uid int) (dirs []string) {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); uid == os.Geteuid() && filepath.IsAbs(dir) {
		dirs = append(dirs, filepath.Join(dir, "dlfs"))
	}
	if uid == 0 {
		dirs = append(dirs, "/run/dlfs")
	}
	// A login makes /run/user/UID (pam_systemd(8)); a batch job may have no more than TMPDIR.
	return append(dirs, fmt.Sprintf("/run/user/%d/dlfs", uid), filepath.Join(os.TempDir(), fmt.Sprintf("dlfs-%d", uid)))
}

// privateDir reports whether dir is a directory that belongs to a user, and that no
// other user may write: no other user can have put a socket there.
func privateDir(dir string, uid int) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == uid
}

// nameOfSocket returns the name that the control socket of a state directory has in one
// of socketDirs. The device and the inode make it, so that every path to the directory
// leads to one name.
func nameOfSocket(state *os.File) (string, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(state.Fd()), &st); err != nil {
		return "", fmt.Errorf("state directory: %w", err)
	}
	return fmt.Sprintf("%x-%x.sock", st.Dev, st.Ino), nil
}

// listenElsewhere listens in one of socketDirs for those who ask for a state
// directory, and returns the socket's path.
func listenElsewhere(state *os.File) (l net.Listener, path string, err error) {
	name, err := nameOfSocket(state)
	if err != nil {
		return nil, "", err
	}
	for _, dir := range socketDirs(os.Geteuid()) {
		if err := os.Mkdir(dir, 0o700); err != nil && !os.IsExist(err) || !privateDir(dir, os.Geteuid()) {
			continue
		}
		path := filepath.Join(dir, name)
		// The caller has the lock of the state directory, so no living process listens there.
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			continue
		}
		if l, err = net.Listen("unix", path); err == nil {
			return l, path, nil
		}
	}
	return nil, "", errors.Join(errors.New("no runtime directory of this user can have one; set XDG_RUNTIME_DIR"), err)
}

// dialElsewhere connects to what listenElsewhere has made for a state directory of
// owner, whether that is this user's process, the owner's or root's.
func dialElsewhere(ctx context.Context, state *os.File, owner int) (net.Conn, error) {
	name, err := nameOfSocket(state)
	if err != nil {
		return nil, err
	}
	// A connection proves nothing: the caller checks which user answers (peer.go).
	users := []int{os.Geteuid(), owner, 0}
	for i, uid := range users {
		if slices.Contains(users[:i], uid) {
			continue
		}
		for _, dir := range socketDirs(uid) {
			if !privateDir(dir, uid) {
				continue
			}
			var d net.Dialer
			if c, err := d.DialContext(ctx, "unix", filepath.Join(dir, name)); err == nil {
				return c, nil
			}
		}
	}
	return nil, errNoProcess
}
