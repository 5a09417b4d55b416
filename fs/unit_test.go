package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
)

func TestErrnoTable(t *testing.T) {
	kind := func(k origin.Kind) error { return &origin.Error{Kind: k, Err: errors.New("why")} }
	for _, tt := range []struct {
		err  error
		want syscall.Errno
	}{
		{nil, 0},
		{context.Canceled, syscall.EINTR},
		{context.DeadlineExceeded, syscall.EIO},
		{fetch.ErrStale, syscall.ESTALE},
		{cache.ErrNoSpace, syscall.EIO},
		{cache.ErrMissing, syscall.EIO},
		{iofs.ErrNotExist, syscall.ENOENT},
		{io.ErrUnexpectedEOF, syscall.EIO},
		{syscall.EDQUOT, syscall.EIO},
		{errors.New("other"), syscall.EIO},
		{fmt.Errorf("open: %w", syscall.EMFILE), syscall.EMFILE},
		{kind(origin.NotFound), syscall.ENOENT},
		{kind(origin.NeedsURL), syscall.EACCES},
		{kind(origin.Transient), syscall.EIO},
		{kind(origin.Permanent), syscall.EIO},
		{kind(origin.Changed), syscall.ESTALE},
		{kind(origin.Restart), syscall.EIO},
		{fetch.ErrMismatch, syscall.EIO},
		{kind(origin.NoRanges), syscall.EIO},
		{kind(origin.Unproven), syscall.EIO},
	} {
		for range 2 {
			if got := errno(tt.err); got != tt.want {
				t.Errorf("errno(%v) = %v, want %v", tt.err, got, tt.want)
			}
			if tt.err != nil {
				tt.err = fmt.Errorf("wrapped: %w", tt.err)
			}
		}
	}
}

func TestSplitTable(t *testing.T) {
	for _, tt := range [][3]string{{"a", "", "a"}, {"a/b", "a", "b"}, {"a/b/c", "a/b", "c"}, {"", "", ""}} {
		if dir, base := split(tt[0]); dir != tt[1] || base != tt[2] {
			t.Errorf("split(%q) = %q, %q", tt[0], dir, base)
		}
	}
}

func TestInoTable(t *testing.T) {
	seen := map[uint64]string{}
	for i := range 1000 {
		for version := range uint64(20) {
			path := fmt.Sprintf("dir/%d", i)
			n, key := ino(path, version), fmt.Sprint(path, " ", version)
			if n < 2 {
				t.Fatalf("ino(%s) = %d", key, n)
			}
			if n != ino(path, version) {
				t.Fatalf("ino(%s) changes", key)
			}
			if old, ok := seen[n]; ok {
				t.Fatalf("ino of %s and %s are both %d", old, key, n)
			}
			seen[n] = key
		}
	}
	if ino("a", 0) == ino("a/", 0) {
		t.Error("a directory and a file share a number")
	}
}

func TestUnescapeTable(t *testing.T) {
	for in, want := range map[string]string{
		`/a`: "/a", `/a\040b`: "/a b", `\134040`: `\040`, `/a\011\012`: "/a\t\n",
		`/a\0`: `/a\0`, `/a\999`: `/a\999`, `\040`: " ", ``: ``, `\`: `\`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("unescape(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzMountsOf: whatever a mountpoint is called and whatever else is mounted, the
// mount there is found, as the kernel writes it.
func FuzzMountsOf(f *testing.F) {
	const others = "22 1 259:2 / / rw shared:1 - ext4 /dev/root rw,discard\n" +
		"31 22 0:27 / /mnt/a\\040b rw,nosuid - overlay overlay rw,lowerdir=/x,upperdir=/y\n"
	for _, point := range []string{"mnt", "mnt/a b", "mnt/a\\040b\t\n#", "mnt/a\u00a0b", "mnt/a\r", "mnt/a - b", "\xff"} {
		f.Add(others, point, uint16(0))
	}
	f.Fuzz(func(t *testing.T, others, point string, id uint16) {
		point = "/" + point
		escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`, "#", `\043`).Replace(point) // show_mountinfo, Linux 6.18
		line := fmt.Sprintf("99 22 0:%d / %s rw,nosuid,nodev,relatime shared:7 - fuse.dlfs dlfs rw,user_id=%d,group_id=%[1]d,default_permissions\n",
			id, escaped, id/2)
		want := mountInfo{id: "99", parent: "22", point: point, kind: fsType, device: fmt.Sprint("0:", id), uid: int(id / 2), gid: int(id)}
		all, err := mountsOf(strings.NewReader(strings.TrimSuffix(others, "\n")+"\n"+line), func(m mountInfo) bool { return m.point == point })
		if err != nil || len(all) == 0 || all[len(all)-1] != want {
			t.Fatalf("found %+v, %v, want %+v", all, err, want)
		}
	})
}

// setOf returns a Set nobody runs, over a store of its own.
func setOf(t *testing.T, names ...string) *fetch.Set {
	t.Helper()
	store, err := cache.Open(t.TempDir(), cache.Options{})
	must(t, err)
	client := origin.New(origin.Options{})
	set := fetch.New(t.Context(), store, client, entriesOf(names...), fetch.Options{})
	t.Cleanup(func() {
		set.Close()
		client.Close()
		must(t, store.Close())
	})
	return set
}

func TestPreflightTable(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if err := preflight(file, false); err == nil || err.Error() != "mountpoint "+file+" is not a directory" {
		t.Errorf("of a file: %v", err)
	}
	none := filepath.Join(dir, "none")
	if err := preflight(none, false); !errors.Is(err, iofs.ErrNotExist) || !strings.HasPrefix(err.Error(), "mountpoint "+none+": ") {
		t.Errorf("of nothing: %v", err)
	}
	needFUSE(t)
	if err := preflight(dir, false); err != nil {
		t.Errorf("of a directory: %v", err)
	}
}

func TestNewRefusesAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o644))
	if m, err := New(setOf(t), file, Options{}); err == nil || m != nil || !strings.Contains(err.Error(), "is not a directory") {
		t.Errorf("%v, %v", m, err)
	}
}

func TestMountErrorTable(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("mount: %w", unix.EPERM),
		fmt.Errorf("mount: %w", unix.ENOSPC),
		errors.New("fusermount exited with code 256"),
	} {
		got := mountError(err)
		if u := (*UnavailableError)(nil); !errors.As(got, &u) || errors.Is(got, err) || strings.Contains(got.Error(), "\n") {
			t.Errorf("%v became %v", err, got)
		}
	}
	if err := errors.New("other"); mountError(err) != err {
		t.Error("another error was changed")
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
	if ours, err := Mounted(point); ours || err != nil {
		t.Errorf("Mounted = %v, %v", ours, err)
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
