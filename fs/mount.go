//go:build linux

package fs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fsType is how mounts of this package show in /proc/self/mountinfo.
const fsType = "fuse.dlfs"

// Point is the mountpoint, absolute.
func (m *Mount) Point() string { return m.point }

// Detach takes the topmost mount at point out of the tree, also if it is in use. It
// must be one of this package.
func Detach(point string) error { return unmount(point, unix.MNT_DETACH, "-u", "-z") }

// Unmount unmounts the topmost mount at point if it is not in use. It must be one of
// this package.
func Unmount(point string) error { return unmount(point, 0, "-u") }

// unmount takes away what is mounted at point: by itself as root, else by
// fusermount3 with args.
func unmount(point string, flags int, args ...string) error {
	if on, err := mountsAt(point); err == nil && (len(on) == 0 || on[len(on)-1].kind != fsType) {
		return fmt.Errorf("unmount %s: %w", point, errNotOurs)
	}
	if os.Geteuid() != 0 {
		return fusermount(point, args...)
	}
	if err := unix.Unmount(point, flags|unix.UMOUNT_NOFOLLOW); err != nil {
		return fmt.Errorf("unmount %s: %w", point, err)
	}
	return nil
}

var errNotOurs = errors.New("what is mounted there is not of dlfs")

// fusermount calls fusermount3 for a mountpoint, and returns what it printed as the error.
func fusermount(point string, args ...string) error {
	bin, err := fusermountPath()
	if err != nil {
		return err
	}
	out, err := exec.Command(bin, append(args, "--", point)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unmount %s: %s", point, strings.TrimSpace(string(out)))
	}
	return nil
}

// fusermountPath finds fusermount3, or the fusermount of an older system.
func fusermountPath() (string, error) {
	for _, name := range []string{"fusermount3", "fusermount", "/bin/fusermount3", "/bin/fusermount"} {
		if bin, err := exec.LookPath(name); err == nil {
			return bin, nil
		}
	}
	return "", &UnavailableError{"fusermount3 is not installed, and only root can do without; install the package fuse3"}
}

// preflight returns an error that says in one sentence what would keep the mount from working, and
// what to do: without it the user would see what the kernel or fusermount3 says. An UnavailableError
// says that this system or user has no FUSE at all.
func preflight(point string, allowOther bool) error {
	info, err := os.Stat(point)
	if err != nil {
		return fmt.Errorf("mountpoint %s: %w", point, err)
	}
	if !info.IsDir() {
		return fmt.Errorf("mountpoint %s is not a directory; give another one", point)
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		return &UnavailableError{"this system has no /dev/fuse; load the module with \"modprobe fuse\", or use \"dlfs fetch\", which needs no FUSE"}
	}
	if unix.Access("/dev/fuse", unix.R_OK|unix.W_OK) != nil {
		return &UnavailableError{"this user may not open /dev/fuse; have root run \"chmod 666 /dev/fuse\", or use \"dlfs fetch\", which needs no FUSE"}
	}
	if os.Geteuid() != 0 {
		if _, err := fusermountPath(); err != nil {
			return err
		}
		if conf, err := os.ReadFile("/etc/fuse.conf"); allowOther && !allowsOther(conf) && !errors.Is(err, os.ErrPermission) {
			return &UnavailableError{"--allow-other is for root alone, unless /etc/fuse.conf has the line user_allow_other; have root add it, or mount without"}
		}
	}
	return nil
}

// allowsOther reports whether a fuse.conf lets an ordinary user let others in.
func allowsOther(conf []byte) bool {
	for line := range strings.Lines(string(conf)) {
		if strings.TrimSpace(line) == "user_allow_other" {
			return true
		}
	}
	return false
}

// mountError adds what to do to the errors of a mount that have a known cure.
func mountError(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return &UnavailableError{"not permitted; mounting needs root with CAP_SYS_ADMIN, or an ordinary user with fusermount3"}
	case errors.Is(err, unix.ENOSPC): // mount(2); no disk is full
		return &UnavailableError{"there are as many mounts as may be in this mount namespace; unmount some, or have root raise fs.mount-max with sysctl"}
	case strings.Contains(err.Error(), "fusermount exited"):
		return &UnavailableError{"fusermount3 refused, for the reason it printed above"}
	}
	return err
}

// resolve returns point as the kernel writes it in /proc: absolute and without
// symbolic links. It asks nothing of what is mounted there, dead or alive.
func resolve(point string) (string, error) {
	point, err := filepath.Abs(point)
	if err != nil {
		return "", err
	}
	fd, err := unix.Open(point, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return point, nil // the caller that opens it gets the reason
	}
	defer unix.Close(fd)
	return os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
}

// holders lists the processes that have something under point open or mapped, as
// "name (pid)", apart from this one. It reads /proc only, and sees what the user may.
func holders(point string) (list []string) {
	list = loops(point)
	procs, err := os.ReadDir("/proc")
	if err != nil {
		return list
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil || pid == os.Getpid() || !holds("/proc/"+p.Name(), point) {
			continue
		}
		comm, err := os.ReadFile("/proc/" + p.Name() + "/comm")
		if err != nil {
			continue // gone meanwhile
		}
		list = append(list, fmt.Sprintf("%s (%d)", strings.TrimSpace(string(comm)), pid))
	}
	return list
}

// loops returns the loop devices whose image is below point, and where they are mounted: the
// kernel holds the image, and no process does.
func loops(point string) (list []string) {
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file") // the pattern is right
	for _, file := range files {
		image, err := os.ReadFile(file)
		if err != nil || !strings.HasPrefix(string(image), point+"/") {
			continue
		}
		block := filepath.Dir(filepath.Dir(file))
		holder := "/dev/" + filepath.Base(block)
		device, _ := os.ReadFile(block + "/dev") // without it, no mount is found
		mounts, _ := mountsThat(func(i mountInfo) bool { return i.device == strings.TrimSpace(string(device)) })
		for _, m := range mounts {
			holder += ", mounted at " + m.point
		}
		list = append(list, holder)
	}
	return list
}

// holds reports whether a process, by its directory in /proc, has its working directory, its
// root, an open file or a mapping below the mountpoint.
func holds(proc, point string) bool {
	links := []string{proc + "/cwd", proc + "/root"}
	fds, err := os.ReadDir(proc + "/fd")
	if err != nil {
		return false // not ours to see
	}
	for _, fd := range fds {
		links = append(links, proc+"/fd/"+fd.Name())
	}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && (target == point || strings.HasPrefix(target, point+"/")) {
			return true
		}
	}
	maps, err := os.ReadFile(proc + "/maps")
	return err == nil && bytes.Contains(maps, []byte(" "+point+"/"))
}
