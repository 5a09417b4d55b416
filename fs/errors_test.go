package fs

import (
	"errors"
	"os"
	"strings"
	"sync"
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
	c := x.add("a", 4*bs)
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
	if _, err := f.ReadAt(make([]byte, 1), 3*bs); !errors.Is(err, syscall.EIO) {
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

func TestWhatAnOriginSaysBecomesAnErrno(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault *origintest.Fault
		want  syscall.Errno
	}{
		{"404", origintest.Status(404), syscall.ENOENT},
		{"403", origintest.Status(403), syscall.EACCES},
		{"401", origintest.Status(401), syscall.EACCES},
		{"410", origintest.Status(410), syscall.EACCES},
		{"500", origintest.Status(500), syscall.EIO},
		{"503", origintest.Status(503), syscall.EIO},
		{"reset", origintest.ResetAfter(0), syscall.EIO},
		{"page", origintest.Page(206), syscall.EIO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := newRig(t)
			x.add("unknown", 4*bs)
			x.add("known", 4*bs)
			x.start()
			f := x.open("known") // HEAD tells
			x.Inject(tt.fault)
			if _, err := f.ReadAt(make([]byte, 10), 2*bs); !errors.Is(err, tt.want) {
				t.Errorf("read: %v, want %v", err, tt.want)
			}
			if tt.name != "reset" && tt.name != "page" {
				if _, err := os.Lstat(x.path("unknown")); !errors.Is(err, tt.want) {
					t.Errorf("stat: %v, want %v", err, tt.want)
				}
				if _, err := os.Open(x.path("unknown")); !errors.Is(err, tt.want) {
					t.Errorf("open: %v, want %v", err, tt.want)
				}
			}
			if _, err := os.ReadDir(x.path("")); err != nil {
				t.Error(err)
			}
			x.Clear()
			if tt.fault.Hits() == 0 {
				t.Error("the fault was not met")
			}
		})
	}
}

func TestStalledReadGivesUp(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.add("b", 8*bs)
	x.config.ReadTimeout = time.Second
	x.start()
	f := x.open("a")
	stall := origintest.StallAfter(0).Method("GET")
	x.Inject(stall)
	read := func() time.Duration {
		t.Helper()
		begin := time.Now()
		if _, err := f.ReadAt(make([]byte, 10), 4*bs); !errors.Is(err, syscall.EIO) {
			t.Errorf("read: %v", err)
		}
		return time.Since(begin)
	}
	if d := read(); d < x.config.ReadTimeout {
		t.Errorf("gave up after %v", d)
	}
	if d := read(); d >= x.config.ReadTimeout {
		t.Errorf("the second attempt waited %v", d)
	}
	must(t, stall.Wait(x.ctx, 1))

	x.Inject(origintest.FirstByteAfter(time.Minute).Method("HEAD"))
	begin := time.Now()
	if _, err := os.Lstat(x.path("b")); !errors.Is(err, syscall.EIO) {
		t.Errorf("stat: %v", err)
	}
	if d := time.Since(begin); d < x.config.ReadTimeout {
		t.Errorf("stat gave up after %v", d)
	}
	x.Clear()
	x.read(x.open("a"), "a", 4*bs, bs) // another handle has no memory
	x.stop()
	n := 0
	for _, line := range x.seen {
		if strings.Contains(line, "read of file failed") && strings.Contains(line, "read-timeout") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("the read waited %d times", n)
	}
}

// The kernel has those who first look a file up wait in line; they give up
// together. What a read gave up for is told while attempts go on.
func TestWaitersInLineGiveUpTogether(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.add("b", 8*bs)
	x.config.ReadTimeout = time.Second
	x.start()
	f := x.open("b")
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	x.holdAnswer(release)
	const waiters = 20
	errs := make(chan error, waiters)
	for range waiters {
		go func() { // ends with the read timeout
			_, err := os.Lstat(x.path("a"))
			errs <- err
		}()
	}
	for range waiters {
		select {
		case err := <-errs:
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("stat: %v", err)
			}
		case <-x.ctx.Done():
			t.Fatal("hang")
		}
	}
	if _, err := f.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.EIO) {
		t.Errorf("read: %v", err)
	}
	if v, err := xattr(x.path("b"), xattrError); err != nil || v != "gave up after --read-timeout, 1s" {
		t.Errorf("error: %q, %v", v, err)
	}
	x.Clear()
	free()
	x.read(x.open("b"), "b", 0, 8*bs)
	if v, err := xattr(x.path("b"), xattrError); !errors.Is(err, unix.ENODATA) {
		t.Errorf("error after a read that went well: %q, %v", v, err)
	}
	for x.ctx.Err() == nil {
		if _, err := os.Lstat(x.path("a")); err == nil {
			break
		}
	}
	x.stop()
	n := 0
	for _, line := range x.seen {
		if strings.Contains(line, "stat file") {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d lookups waited", n)
	}
}

func TestChangedFileIsAnotherInode(t *testing.T) {
	x := newRig(t)
	x.add("a", 8*bs)
	x.start()
	old := x.open("a")
	must(t, unix.Fadvise(int(old.Fd()), 0, 0, unix.FADV_RANDOM))
	x.read(old, "a", 0, 100)
	before := statx(t, x.path("a"))

	c := origintest.Content{Seed: 77, Size: 9*bs + 5}
	x.Put("/a", origintest.File{Content: c})
	if _, err := old.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("read of what changed: %v", err)
	}
	f := x.open("a")
	must(t, pread(f, c, 0, 10*bs))
	after := statx(t, x.path("a"))
	if after.Ino == before.Ino || int64(after.Size) != c.Size {
		t.Errorf("%d bytes, inode %d, before %d", after.Size, after.Ino, before.Ino)
	}
	x.read(old, "a", 0, 100) // what was there stays
	if _, err := old.ReadAt(make([]byte, 10), 5*bs); !errors.Is(err, syscall.ESTALE) {
		t.Errorf("later read of what changed: %v", err)
	}
	if p, err := os.ReadFile(x.path("a")); err != nil || c.Check(p, 0) != nil || int64(len(p)) != c.Size {
		t.Errorf("%d bytes, %v", len(p), err)
	}
}
