//go:build linux

package fs

import (
	"errors"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// xattrNames lists a file's extended attributes.
func xattrNames(tb testing.TB, path string) map[string]bool {
	tb.Helper()
	buf := make([]byte, 4096)
	n, err := unix.Listxattr(path, buf)
	must(tb, err)
	set := map[string]bool{}
	for _, name := range strings.Split(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		set[name] = true
	}
	return set
}

func TestXattrs(t *testing.T) {
	x := newRig(t)
	c := x.add("a", 16*bs)
	x.Put("/a", origintest.File{Content: c, ETag: `"tag"`, ModTime: time.Date(2020, 2, 29, 12, 0, 0, 0, time.UTC)})
	x.config.Entries[0].URL = strings.Replace(x.url, "//", "//user:PASSWORD@", 1) + "/a?sig=SECRET"
	x.start()
	path := x.path("a")
	f := x.open("a")
	must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM))
	x.read(f, "a", 0, 1)

	all := ""
	for name := range xattrNames(t, path) {
		v, err := xattr(path, name)
		must(t, err)
		all += name + "=" + v + "\n"
	}
	for _, want := range []string{xattrState + "=", xattrPresent + "=", xattrURL + "=http", xattrETag + `="tag"`, xattrLastModified + "=Sat, 29 Feb 2020 12:00:00 GMT"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in:\n%s", want, all)
		}
	}
	for _, secret := range []string{"SECRET", "PASSWORD", "user:", xattrError} {
		if strings.Contains(all, secret) {
			t.Errorf("%s in:\n%s", secret, all)
		}
	}
	for name, want := range map[string]error{
		xattrError: unix.ENODATA, "user.dlfs.other": unix.ENODATA, "user.other": unix.ENODATA,
		"security.selinux": unix.EOPNOTSUPP, "system.posix_acl_access": unix.EOPNOTSUPP, // said once to ls, and not of each file
		"trusted.overlay.opaque": unix.EOPNOTSUPP,
	} {
		if v, err := xattr(path, name); !errors.Is(err, want) && (name != "trusted.overlay.opaque" || !errors.Is(err, unix.ENODATA)) {
			t.Errorf("%s: %q, %v", name, v, err)
		}
	}
	v, err := xattr(path, xattrURL)
	must(t, err)
	if n, err := unix.Getxattr(path, xattrURL, nil); n != len(v) || err != nil {
		t.Errorf("length %d, %v", n, err)
	}
	if n, err := unix.Getxattr(path, xattrURL, make([]byte, len(v))); n != len(v) || err != nil {
		t.Errorf("just enough room: %d, %v", n, err)
	}
	if _, err := unix.Getxattr(path, xattrURL, make([]byte, len(v)-1)); !errors.Is(err, unix.ERANGE) {
		t.Errorf("too little room: %v", err)
	}
	if n, err := unix.Listxattr(path, nil); n == 0 || err != nil {
		t.Errorf("length of the list %d, %v", n, err)
	}
	if _, err := unix.Listxattr(path, make([]byte, 1)); !errors.Is(err, unix.ERANGE) {
		t.Errorf("too little room for the list: %v", err)
	}

	x.Inject(origintest.Status(500))
	if _, err := f.ReadAt(make([]byte, 1), 15*bs); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	if v, err := xattr(path, xattrError); err != nil || !strings.Contains(v, "500") || strings.Contains(v, "SECRET") || strings.Contains(v, "PASSWORD") {
		t.Errorf("error: %q, %v", v, err)
	}
	if !xattrNames(t, path)[xattrError] {
		t.Error("the error is not listed")
	}
	if v, err := xattr(path, xattrState); err != nil || v != "failed" {
		t.Errorf("state: %q, %v", v, err)
	}
	if _, err := unix.Getxattr(x.path(""), "user.dlfs.state", make([]byte, 10)); !errors.Is(err, unix.ENODATA) && !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("of a directory: %v", err)
	}
	x.stop()
	for _, line := range x.seen {
		if strings.Contains(line, "SECRET") || strings.Contains(line, "PASSWORD") {
			t.Errorf("the log tells: %s", line)
		}
	}
}
