package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"
	"dlfs/cache/powercut"
	"dlfs/fetch/origintest"
)

// cluster is an output directory on a disk that many machines would have mounted. It has
// no locks, no shared mappings and no flags of renameat2(2).
type cluster struct {
	*origintest.Origin
	t    *testing.T
	dir  string // on a local disk
	out  string // the output directory
	list string
	sums strings.Builder // as SHA256SUMS
}

// newCluster has an origin serve files of these sizes.
func newCluster(t *testing.T, sizes ...int64) *cluster {
	need(t, canMount())
	c := &cluster{Origin: origintest.New(), t: t, dir: t.TempDir()}
	disk := filepath.Join(c.dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil {
		t.Fatal(err)
	}
	unmount, err := powercut.New().MountShared(disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(); err != nil {
			t.Error(err)
		}
	})
	c.out, c.list = filepath.Join(disk, "out"), filepath.Join(c.dir, "list.txt")
	url := c.Serve(t)
	var list strings.Builder
	for i, size := range sizes {
		name, content := fmt.Sprintf("d%d/f%02d", i%3, i), origintest.Content{Seed: uint64(i), Size: size}
		c.Put("/"+name, origintest.File{Content: content})
		fmt.Fprintf(&list, "%s\t%s/%s\n", name, url, name)
		fmt.Fprintf(&c.sums, "%s  %s\n", content.SHA256(), name)
	}
	write(t, c.list, []byte(list.String()))
	return c
}

// fetch starts a machine that fetches with its state in a directory of that name.
func (c *cluster) fetch(state string, args ...string) *served {
	c.t.Helper()
	return startDlfs(c.t, nil, append([]string{"fetch", "--quiet", "--state", filepath.Join(c.dir, state), c.list, c.out}, args...)...)
}

// wantWhole checks that every file of the list stands in the output directory. Another
// process looks, since this one serves the disk.
func (c *cluster) wantWhole() {
	c.t.Helper()
	sums := filepath.Join(c.dir, "SHA256SUMS")
	write(c.t, sums, []byte(c.sums.String()))
	sh(c.t, c.dir, `cd disk/out; sha256sum -c --quiet `+sums)
}

func (c *cluster) wantExit(p *served, code int) {
	c.t.Helper()
	if got := p.wait(); got != code {
		c.t.Errorf("%v: exit code %d, want %d: %s", p.cmd.Args, got, code, p.said())
	}
}

// meet has answers of a path stop in the middle until as many have been asked for as
// there are to meet.
func (c *cluster) meet(path string, n int) {
	let := make(chan struct{})
	held := origintest.HoldAfter(100_000, let).On(path).Method("GET").Times(n)
	c.Inject(held)
	c.t.Cleanup(func() { c.Clear() })
	go func() { // ends with the test at the latest
		defer close(let)
		held.Wait(c.t.Context(), n)
	}()
}

// TestShardTwice is of a scheduler that has lost sight of a machine and runs its task
// once more, while that machine goes on.
func TestShardTwice(t *testing.T) {
	c := newCluster(t, 0, 1, 300_000, 400_000, 500_000, 65_536, 65_537)
	c.meet("/*/f02", 2)
	one, two := c.fetch("one", "--split", "1"), c.fetch("two", "--split", "1")
	c.wantExit(one, exitOK)
	c.wantExit(two, exitOK)
	c.wantWhole()
	if left := sh(t, c.dir, `ls -A disk/out/.dlfs`); left != "shard-0-of-1.json\n" {
		t.Errorf("left in .dlfs: %s", left)
	}
	c.ResetCounts()
	c.wantExit(c.fetch("three"), exitOK) // which adopts what stands
	if n := c.Counts().BodyBytes; n > 7*65_536 {
		t.Errorf("%d bytes were fetched of what stands", n)
	}
}

// TestShardIsKilled runs a shard again on another machine, whose state is another.
func TestShardIsKilled(t *testing.T) {
	c := newCluster(t, 200_000, 900_000, 200_000, 200_000)
	let := make(chan struct{})
	held := origintest.HoldAfter(300_000, let).On("/*/f01").Method("GET").Times(1)
	c.Inject(held)
	killed := c.fetch("one", "--split", "1")
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := killed.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	killed.wait()
	close(let)
	c.wantExit(c.fetch("two"), exitOK)
	c.wantWhole()
	if left := sh(t, c.dir, `ls -d disk/out/.dlfs/w-* | wc -l`); left != "1\n" {
		t.Errorf("%s directories of unfinished files are left, want that of the one that was killed", left)
	}
	c.wantExit(c.fetch("one"), exitOK) // it comes back
	c.wantWhole()
	if left := sh(t, c.dir, `ls -A disk/out/.dlfs`); left != "shard-0-of-1.json\n" {
		t.Errorf("left in .dlfs: %s", left)
	}
}

// TestStoppedShardTellsItsEnd: what was complete when it was stopped counts.
func TestStoppedShardTellsItsEnd(t *testing.T) {
	c := newCluster(t, 200_000, 200_000, 900_000)
	let := make(chan struct{})
	held := origintest.HoldAfter(300_000, let).On("/*/f02").Method("GET")
	c.Inject(held)
	stopped := c.fetch("one", "--split", "1")
	if err := held.Wait(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := stopped.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	c.wantExit(stopped, exitInterrupted)
	close(let)
	whole := strings.Count(sh(t, c.dir, `find disk/out -path '*/d*/f*' -type f`), "\n")
	if said, want := c.said("status", c.out), fmt.Sprintf("1 shard, 1 ended: %d/3 files", whole); !strings.Contains(said, want) {
		t.Errorf("status says %s, want %s", said, want)
	}
	c.Clear()
	c.wantExit(c.fetch("one"), exitOK)
	c.wantWhole()
}

// TestVersionsOfMachinesDiffer: the file is that of the machine which was first, whole,
// and the other one says so.
func TestVersionsOfMachinesDiffer(t *testing.T) {
	for _, size := range []int64{400_000, 400_001} { // of the other version
		c := newCluster(t, 400_000)
		let := make(chan struct{})
		held := origintest.HoldAfter(100_000, let).On("/d0/f00").Method("GET").Times(1)
		c.Inject(held)
		late := c.fetch("late", "--split", "1")
		if err := held.Wait(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		other := origintest.Content{Seed: 99, Size: size}
		c.Put("/d0/f00", origintest.File{Content: other})
		c.wantExit(c.fetch("early"), exitOK)
		close(let)
		c.wantExit(late, exitFailed)
		want := "with other bytes, as of another version"
		if size != 400_000 {
			want = fmt.Sprintf("has %d bytes where the origin has 400000", size)
		}
		if !strings.Contains(late.said(), want) {
			t.Errorf("said %q, want %q", late.said(), want)
		}
		c.sums.Reset()
		fmt.Fprintf(&c.sums, "%s  d0/f00\n", other.SHA256())
		c.wantWhole()
	}
}

// TestShardsAreSummedUp runs three of four shards, one of which does not come to its end.
func TestShardsAreSummedUp(t *testing.T) {
	sizes := make([]int64, 24)
	for i := range sizes {
		sizes[i] = 1000
	}
	c := newCluster(t, sizes...)
	for i := range 2 {
		c.wantExit(c.fetch(fmt.Sprint(i), "--shard", fmt.Sprintf("%d/4", i)), exitOK)
	}
	c.Inject(origintest.Status(404))
	c.wantExit(c.fetch("2", "--shard", "2/4"), exitFailed)
	said := c.said("status", c.out)
	for _, want := range []string{"shard 0/4  complete", "shard 1/4  complete", "shard 2/4  ended", "4 shards, 2 complete, 1 ended, 1 not begun: "} {
		if !strings.Contains(said, want) {
			t.Errorf("status says %s, want %q", said, want)
		}
	}
	if n := strings.Count(c.said("status", "--json", c.out), `"shard":`); n != 3 {
		t.Errorf("%d shards in JSON, want 3", n)
	}
	for _, args := range [][]string{{"status", "--exit-code"}, {"wait"}} {
		if code := exitCode(dlfs(t, append(args, c.out)...).Run()); code != exitInterrupted {
			t.Errorf("%v ends with %d while a shard has not begun", args, code)
		}
	}
	cmd := dlfs(t, "verify", c.out, c.list)
	if out, err := cmd.CombinedOutput(); exitCode(err) != exitFailed || !strings.Contains(string(out), "give the same --state") {
		t.Errorf("verify without --state: %v: %s", err, out)
	}
	c.Clear()
	c.wantExit(c.fetch("all"), exitOK) // the list divided in another way
	if said := c.said("status", c.out); !strings.Contains(said, "1 shard, 1 complete: 24/24 files") {
		t.Errorf("status says %s", said)
	}
	c.said("status", "--exit-code", c.out)
	c.said("wait", c.out)
	c.said("ls", "-l", "--state", filepath.Join(c.dir, "all"), "--dir", c.out, c.list)
	c.said("cat", "--state", filepath.Join(c.dir, "all"), "--dir", c.out, c.list, "d0/f00")
}

// said runs dlfs and returns what it said.
func (c *cluster) said(args ...string) string {
	c.t.Helper()
	out, err := dlfs(c.t, args...).CombinedOutput()
	if err != nil {
		c.t.Errorf("%v: %v: %s", args, err, out)
	}
	return string(out)
}

// TestSilentShard: of a shard whose machine is gone, it is said.
func TestSilentShard(t *testing.T) {
	now := time.Now()
	s := shardStatus{Shard: "3/8", Told: now.Add(-silentAfter - time.Second)}
	s.FilesTotal = 1
	if got := shardsText([]shardStatus{s}, now); got != "8 shards, 1 silent, 7 not begun: " {
		t.Errorf("%q", got)
	}
	s.Told = now
	if got := s.state(now); got != "fetching" {
		t.Errorf("%q", got)
	}
}

// TestMountOfASharedDirectory mounts what a fetch has begun, with a state of its own, and
// asks the mount by that.
func TestMountOfASharedDirectory(t *testing.T) {
	need(t, hosttest.Root()) // the shared disk is a FUSE mount, into which fusermount3 may not look
	c := newCluster(t, 200_000, 300_000, 400_000)
	c.wantExit(c.fetch("one", "--include", "d0/**"), exitOK)
	c.ResetCounts()
	state := filepath.Join(c.dir, "two")
	p := serveMount(t, c.out, nil, "mount", "--state", state, "--prefetch=none", c.list, c.out)
	sh(t, c.dir, `sha256sum disk/out/d0/f00`)
	if n := c.Counts().BodyBytes; n > 65_536 {
		t.Errorf("%d bytes were fetched of a file that stands", n)
	}
	c.wantWhole()
	for _, dir := range []string{c.out, state} {
		if said := c.said("status", dir); !strings.Contains(said, fmt.Sprintf("process %d: ", p.cmd.Process.Pid)) {
			t.Errorf("status %s: %s", dir, said)
		}
	}
	for _, args := range [][]string{{"limit"}, {"reload"}, {"status"}, {"wait", "--usable"}} {
		c.said(append(args, "--state", state, c.out)...)
	}
	c.said("umount", "--state", state, c.out)
	p.wait()
	c.wantWhole()
	c.said("verify", "--state", state, c.out, c.list)
}
