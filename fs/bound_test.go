//go:build linux

package fs

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMountLargerThanItsDisk: files that are larger than what may be stored are read right,
// twice; df tells what may still be stored, and an attribute what stays.
func TestMountLargerThanItsDisk(t *testing.T) {
	x := newRig(t)
	x.config.Run = true
	x.config.MaxSize = 48 << 20 // some 16 MiB of it for blocks
	x.config.Pinned = []string{"pinned"}
	const size = 24 << 20
	x.add("large", size)
	x.add("pinned", 3*bs)
	x.start()
	x.published("pinned")
	for range 2 {
		f := x.open("large")
		for off := int64(0); off < size; off += 1 << 20 {
			x.read(f, "large", off, 1<<20)
		}
		must(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		must(t, f.Close())
	}
	x.read(x.open("pinned"), "pinned", 0, 3*bs)
	if v, err := xattr(x.path("pinned"), xattrPinned); v != "1" || err != nil {
		t.Errorf("%s is %q, %v", xattrPinned, v, err)
	}
	if v, err := xattr(x.path("large"), xattrPinned); !errors.Is(err, unix.ENODATA) {
		t.Errorf("%s of another file is %q, %v", xattrPinned, v, err)
	}
	var st unix.Statfs_t
	must(t, unix.Statfs(x.path(""), &st))
	if int64(st.Blocks)*st.Bsize < size || int64(st.Bavail)*st.Bsize > 16<<20 || st.Bavail >= st.Bfree {
		t.Errorf("%+v", st)
	}
}
