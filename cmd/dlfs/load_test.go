package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

var (
	entriesFlag = flag.Int("entries", 3000, "of the list that TestLongListIsWalked walks")
	openFlag    = flag.Int("open", 200, "files that TestDescriptorsAreBounded has open at once")
	tinyFlag    = flag.Int("tiny", 1500, "files it has prefetched meanwhile")
)

// load is an origin with many files, and a list of them.
type load struct {
	*origintest.Origin
	dir   string
	names []string
	bytes int64
	list  strings.Builder
}

func (l *load) add(t *testing.T, url, name string, c origintest.Content) {
	l.Put("/"+name, origintest.File{Content: c})
	l.names, l.bytes = append(l.names, name), l.bytes+c.Size
	fmt.Fprintf(&l.list, "%s\t%s/%s\n", name, url, name)
}

// mounted mounts the list, and returns where, and by which process.
func (l *load) mounted(t *testing.T, args ...string) (mnt string, pid int) {
	t.Helper()
	write(t, filepath.Join(l.dir, "list.txt"), []byte(l.list.String()))
	mnt = mounted(t, l.dir, args...)
	s, err := askStatus(t.Context(), mnt)
	if err != nil {
		t.Fatal(err)
	}
	return mnt, s.PID
}

// descriptors counts those a process has open.
func descriptors(t *testing.T, pid int) int {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(fds)
}

// mostMemory is the most a process ever had, as /proc says it.
func mostMemory(t *testing.T, pid int) string {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if after, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(after)
		}
	}
	return "unknown"
}

// The tools that walk a directory see the whole list, with true sizes, at the
// cost of one HEAD a file however often they walk.
func TestLongListIsWalked(t *testing.T) {
	need(t, canMount())
	_, err := exec.LookPath("rsync")
	need(t, err)
	l := &load{Origin: origintest.New(), dir: t.TempDir()}
	url := l.Serve(t)
	for i := range *entriesFlag {
		l.add(t, url, fmt.Sprintf("d%03d/e%d/f%06d", i%200, i%3, i), origintest.Content{Seed: uint64(i), Size: int64(1000 + i)})
	}
	began := time.Now()
	took := func(what string) {
		t.Logf("%s after %v", what, time.Since(began).Round(time.Millisecond))
		began = time.Now()
	}
	mnt, pid := l.mounted(t, "--prefetch=none")
	took("mounted")
	if n := strings.TrimSpace(sh(t, mnt, "find . -type f | wc -l")); n != fmt.Sprint(len(l.names)) {
		t.Errorf("find sees %s files, want %d", n, len(l.names))
	}
	took("find")
	for range 2 {
		if sum := strings.Fields(sh(t, mnt, "find . -type f -print0 | du -cb --files0-from=- | tail -1"))[0]; sum != fmt.Sprint(l.bytes) {
			t.Errorf("du adds up to %s bytes, want %d", sum, l.bytes)
		}
		took("du")
	}
	out := sh(t, mnt, "rsync -rn --stats --no-human-readable . "+t.TempDir())
	if !strings.Contains(out, fmt.Sprintf("Number of regular files transferred: %d\n", len(l.names))) ||
		!strings.Contains(out, fmt.Sprintf("Total file size: %d bytes", l.bytes)) {
		t.Errorf("rsync says %s", out)
	}
	took("rsync -n")
	if c := l.Counts(); c.Heads != len(l.names) || c.Requests != c.Heads {
		t.Errorf("%d HEAD and %d requests in all for %d files", c.Heads, c.Requests, len(l.names))
	}
	t.Logf("%d entries: %d descriptors, at most %s of memory", len(l.names), descriptors(t, pid), mostMemory(t, pid))
	umount(t, mnt)
}

// A file costs a descriptor while it is open, and while it is fetched and made
// durable, which so many are at a time; not because the list has it.
func TestDescriptorsAreBounded(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	l := &load{Origin: origintest.New(), dir: t.TempDir()}
	url := l.Serve(t)
	for i := range *openFlag {
		l.add(t, url, fmt.Sprintf("open/%d", i), origintest.Content{Seed: uint64(i), Size: 300_000})
	}
	for i := range *tinyFlag {
		l.add(t, url, fmt.Sprintf("tiny/%d", i), origintest.Content{Seed: uint64(i), Size: 100})
	}
	mnt, pid := l.mounted(t)
	var opened []*os.File
	most := 0
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	complete := func() int {
		s, err := askStatus(t.Context(), mnt)
		if err != nil {
			t.Fatal(err)
		}
		return s.FilesComplete
	}
	for _, name := range l.names[:*openFlag] {
		f, err := os.Open(filepath.Join(mnt, name))
		if err != nil {
			t.Fatal(err)
		}
		opened = append(opened, f)
		most = max(most, descriptors(t, pid))
	}
	for complete() < len(l.names) {
		most = max(most, descriptors(t, pid))
		<-tick.C
	}
	t.Logf("%d files, %d of them open: at most %d descriptors and %s of memory", len(l.names), len(opened), most, mostMemory(t, pid))
	const own, unsynced = 100, 1024
	if bound := len(opened) + own + unsynced; most > bound {
		t.Errorf("%d descriptors, want at most %d", most, bound)
	}
	for _, i := range []int{0, len(opened) / 2, len(opened) - 1} {
		p := make([]byte, 300_000)
		if _, err := opened[i].ReadAt(p, 0); err != nil {
			t.Error(err)
		} else if err := (origintest.Content{Seed: uint64(i), Size: 300_000}).Check(p, 0); err != nil {
			t.Error(err)
		}
	}
	for _, f := range opened {
		f.Close()
	}
	umount(t, mnt)
}

// Whoever reads a block, it is asked for once.
func TestManyReadersOfAMountMakeOneRequest(t *testing.T) {
	need(t, canMount())
	l := &load{Origin: origintest.New(), dir: t.TempDir()}
	c := origintest.Content{Seed: 1, Size: 8 << 20}
	l.add(t, l.Serve(t), "a", c)
	release := make(chan struct{})
	hold := origintest.HoldAfter(0, release).Method("GET")
	l.Inject(hold)
	mnt, _ := l.mounted(t, "--prefetch=none")
	var readers sync.WaitGroup
	for i := range 300 {
		f, err := os.Open(filepath.Join(mnt, "a"))
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() { // awaited below
			defer f.Close()
			off := int64(5<<16 + i)
			p := make([]byte, 100)
			if _, err := f.ReadAt(p, off); err != nil {
				t.Error(err)
			} else if err := c.Check(p, off); err != nil {
				t.Error(err)
			}
		})
	}
	if err := hold.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	close(release)
	readers.Wait()
	if n := l.Counts().Gets; n != 1 {
		t.Errorf("%d requests for one block", n)
	}
	umount(t, mnt)
}
