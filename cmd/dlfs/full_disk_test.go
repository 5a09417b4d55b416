package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// fullDisk is a small disk, a list of more than it has room for while the filler
// is there, and the list's origin.
type fullDisk struct {
	*load
	t      *testing.T
	url    string
	disk   string
	filler string
}

const fullDiskFile = 30 << 20 // bytes of each file

func newFullDisk(t *testing.T) *fullDisk {
	need(t, hosttest.Root())
	d := &fullDisk{load: &load{Origin: origintest.New(), dir: t.TempDir()}, t: t, disk: filepath.Join(t.TempDir(), "disk")}
	d.filler = filepath.Join(d.disk, "filler")
	image := filepath.Join(t.TempDir(), "image")
	t.Cleanup(func() { unmountUnder(filepath.Dir(d.disk)) })
	made, err := exec.CommandContext(t.Context(), "sh", "-ec", fmt.Sprintf("truncate -s 256M %s; mkfs.ext4 -q %[1]s; mkdir %[2]s; mount -o loop %[1]s %[2]s", image, d.disk)).CombinedOutput()
	if err != nil {
		need(t, fmt.Errorf("a small disk cannot be made: %w: %s", err, made))
	}
	d.url = d.Serve(t)
	for i := range 3 {
		d.add(t, d.url, fmt.Sprint("file", i), origintest.Content{Seed: uint64(i), Size: fullDiskFile})
	}
	write(t, d.list(), []byte(d.load.list.String()))
	return d
}

func (d *fullDisk) list() string { return filepath.Join(d.dir, "list.txt") }
func (d *fullDisk) out() string  { return filepath.Join(d.disk, "out") }

// fill takes all that is left on the disk but so many bytes; below 0, what is kept
// for root, too.
func (d *fullDisk) fill(left int64) {
	d.t.Helper()
	f, err := os.OpenFile(d.filler, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	p := make([]byte, 64<<10)
	for dropped := 0; ; {
		var st syscall.Statfs_t
		if err := syscall.Statfs(d.disk, &st); err != nil {
			d.t.Fatal(err)
		}
		if int64(st.Bavail)*st.Bsize <= left {
			return
		}
		n, err := f.Write(p)
		if errors.Is(err, syscall.ENOSPC) && n == 0 {
			if len(p) == 1<<10 {
				return
			}
			p = p[:1<<10] // a block, which may be less than a page
		}
		if errors.Is(err, syscall.ENOSPC) {
			err = f.Sync() // more may have been held back than had to be written
		}
		if errors.Is(err, syscall.ENOSPC) && dropped < 100 {
			dropped++ // pages that had no room after all, which is free again
			continue
		}
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

func (d *fullDisk) check(path string, i int, p []byte, off int64) {
	d.t.Helper()
	f, err := os.Open(filepath.Join(path, fmt.Sprint("file", i)))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(p, off); err != nil {
		d.t.Fatal(err)
	}
	c := origintest.Content{Seed: uint64(i), Size: fullDiskFile}
	if err := c.Check(p, off); err != nil {
		d.t.Fatal(err)
	}
}

// says waits until the process has said something.
func (p *served) says(t *testing.T, text string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(p.said(), text) {
		select {
		case <-tick.C:
		case <-p.exited:
			t.Fatalf("the process ended (%v) and did not say %q: %s", p.cmd.ProcessState, text, p.said())
		}
	}
}

// TestMountOnAFullDisk: others fill the disk to the last byte under a mount. It
// says so once, every byte can be read, also after a new start; and when there
// is room it goes on by itself until all is there.
func TestMountOnAFullDisk(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	d := newFullDisk(t)
	mnt := filepath.Join(d.dir, "mnt")
	d.fill(100 << 20) // room for one file and a bit
	p := serveMount(t, mnt, nil, "mount", d.list(), mnt, "--dir", d.out(), "--verbose")
	p.says(t, "disk is full: prefetch pauses until there is room")
	d.fill(0)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		n := 1 + rng.Int64N(2<<20)
		d.check(mnt, rng.IntN(3), make([]byte, n), rng.Int64N(fullDiskFile-n))
	}
	for i := range 3 {
		d.check(mnt, i, make([]byte, fullDiskFile), 0)
	}
	if n := strings.Count(p.said(), "disk is full"); n != 1 {
		t.Errorf("it said so %d times: %s", n, p.said())
	}
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
	p.says(t, "there is room on the disk again")
	for i := range 3 {
		for { // until it is published: then a fresh open of the output directory finds it
			if _, err := os.Stat(filepath.Join(d.out(), fmt.Sprint("file", i))); err == nil {
				break
			}
			p.within(20 * time.Millisecond)
		}
		d.check(d.out(), i, make([]byte, fullDiskFile), 0)
	}
	umount(t, mnt)
	if code := p.wait(); code != exitOK && code != exitInterrupted {
		t.Errorf("the mount ended with %d: %s", code, p.said())
	}
}

// TestFetchOnAFullDisk: a batch job ends with a code of its own and one line
// that says what to do, and the same command goes on when there is room.
func TestFetchOnAFullDisk(t *testing.T) {
	d := newFullDisk(t)
	for _, left := range []int64{100 << 20, 0} {
		d.fill(left)
		out, err := dlfs(t, "fetch", d.list(), "--dir", d.out()).CombinedOutput()
		if exitCode(err) != exitDiskFull || strings.Count(string(out), "make room") != 1 {
			t.Errorf("fetch with %d MiB left ended with %d: %s", left>>20, exitCode(err), out)
		}
	}
	sent := d.Counts().BodyBytes
	if err := os.Remove(d.filler); err != nil {
		t.Fatal(err)
	}
	if out, err := dlfs(t, "fetch", d.list(), "--dir", d.out()).CombinedOutput(); err != nil {
		t.Fatalf("fetch: %v: %s", err, out)
	}
	for i := range 3 {
		d.check(d.out(), i, make([]byte, fullDiskFile), 0)
	}
	if sent == 0 {
		t.Error("nothing was fetched before the disk was full")
	}
}

// TestOwnFilesOnAFullDisk: a log that cannot be written ends nothing, a list of
// what is left that cannot be written is one line and leaves the old one as it
// was, and a daemon that cannot begin says why.
func TestOwnFilesOnAFullDisk(t *testing.T) {
	need(t, canMount())
	d := newFullDisk(t)
	log, left, out := filepath.Join(d.disk, "log"), filepath.Join(d.disk, "left.txt"), filepath.Join(d.dir, "out")
	write(t, left, []byte("old"))
	d.fill(-1)
	gone := filepath.Join(d.dir, "gone.txt")
	write(t, gone, []byte(d.load.list.String()+"gone\t"+d.url+"/gone\n"))
	said, err := dlfs(t, "fetch", gone, out, "--verbose", "--log-file", log, "--save-failed", left).CombinedOutput()
	if want := "--save-failed: write " + d.disk; exitCode(err) != exitFailed || strings.Count(string(said), want) != 1 || !strings.Contains(string(said), "no space left on device") {
		t.Errorf("fetch ended with %v: %s", err, said)
	}
	for i := range 3 {
		d.check(out, i, make([]byte, fullDiskFile), 0)
	}
	if old, err := os.ReadFile(left); string(old) != "old" {
		t.Errorf("the old list has become %q, %v", old, err)
	}
	if files, err := filepath.Glob(filepath.Join(d.disk, ".left*")); len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	mnt := filepath.Join(d.dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	elsewhere := filepath.Join(d.dir, "log") // is opened, so that the daemon is what fails
	for _, args := range [][]string{
		{"mount", "--daemon", d.list(), mnt, "--dir", d.out()},
		{"mount", "--daemon", "--log-file", elsewhere, d.list(), mnt, "--dir", d.out()},
		{"fetch", "--daemon", "--log-file", elsewhere, d.list(), d.out()},
		{"fetch", "--daemon", "--min-free", "0", "--log-file", elsewhere, d.list(), d.out()},
	} {
		said, err = dlfs(t, args...).CombinedOutput()
		if exitCode(err) != exitDiskFull || strings.Count(string(said), "\n") != 1 || strings.Count(string(said), "make room") != 1 || !strings.Contains(string(said), d.out()) {
			t.Errorf("%q on a full disk ended with %v: %s", args, err, said)
		}
	}
	said, err = dlfs(t, "mount", "--daemon", "--verbose", d.list(), mnt, "--dir", out, "--log-file", log).CombinedOutput()
	if err != nil {
		t.Fatalf("a daemon with its log on a full disk: %v: %s", err, said)
	}
	for i := range 3 {
		d.check(mnt, i, make([]byte, 100), int64(i))
	}
	if said, err := dlfs(t, "status", mnt).CombinedOutput(); err != nil {
		t.Errorf("status: %v: %s", err, said)
	}
	umount(t, mnt)
}
