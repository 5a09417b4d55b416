package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dlfs/cache"
	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

var (
	cyclesFlag     = flag.Int("cycles", 5, "of TestKill")
	cyclesSeedFlag = flag.Uint64("cycles-seed", 0, "of TestKill; 0 is a random one")
)

// seriesCycles is how often one directory is gone on with before it must become
// complete.
const seriesCycles = 25

// maxLost is what a kill may cost: what came since the last sync, 64 MiB, as much
// again while the next one goes on, and what the sockets of 16 flights held.
const maxLost = 2*64<<20 + 16*4<<20

// endTimeout is what no machine takes to end a process that was killed.
const endTimeout = 2 * time.Minute

// TestKill starts mounts and fetches on one directory, from an origin with
// faults and with readers at work, and kills them at a random moment. After
// each, whatever is there must be right, nothing that was durable may be gone,
// and what is durable is never asked for again.
func TestKill(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	need(t, hosttest.Loopback())
	first := *cyclesSeedFlag
	if first == 0 {
		first = rand.Uint64()
	}
	rng := rand.New(rand.NewPCG(first, first))
	var sum killCounts
	began := time.Now()
	for done := 0; done < *cyclesFlag && !t.Failed(); {
		seed := rng.Uint64()
		n := min(seriesCycles, *cyclesFlag-done)
		ok := t.Run("series", func(t *testing.T) {
			k := newKilling(t, seed)
			for range n {
				if k.allWhole() {
					break
				}
				k.cycle()
				done++
			}
			k.complete()
			t.Log(&k.killCounts)
			sum.add(&k.killCounts)
		})
		if !ok {
			t.Logf("to replay: go test ./cmd/dlfs -run 'TestKill$' -cycles %d -cycles-seed %d", done, first)
		}
	}
	t.Logf("seed %d: %v; %v", first, &sum, time.Since(began).Round(time.Second))
}

// killCounts is what a series came to.
type killCounts struct {
	mounts, fetches, killed, ended int
	bounds, evictions              int          // mounts with --max-size; runs of "dlfs evict"
	compared                       atomic.Int64 // bytes that readers compared
	checked                        int64        // bytes of the directory that were compared
	content, sent, lost            int64
	worst                          int64 // of lost in one cycle
	changed, looks                 int   // new versions; looks through a mount without an origin
}

func (c *killCounts) add(o *killCounts) {
	c.mounts, c.fetches, c.killed, c.ended = c.mounts+o.mounts, c.fetches+o.fetches, c.killed+o.killed, c.ended+o.ended
	c.bounds, c.evictions = c.bounds+o.bounds, c.evictions+o.evictions
	c.changed, c.looks = c.changed+o.changed, c.looks+o.looks
	c.compared.Add(o.compared.Load())
	c.checked, c.content, c.sent, c.lost = c.checked+o.checked, c.content+o.content, c.sent+o.sent, c.lost+o.lost
	c.worst = max(c.worst, o.worst)
}

func (c *killCounts) String() string {
	return fmt.Sprintf("%d mounts, %d of them with a bound and %d evictions, and %d fetches, %d killed, %d ended before, %d new versions; "+
		"%d mounts without an origin; readers compared %s, the directory was compared over %s; content %s, sent %s, lost of that to kills and faults %s, at most %s to one kill",
		c.mounts, c.bounds, c.evictions, c.fetches, c.killed, c.ended, c.changed, c.looks, bytesText(c.compared.Load()), bytesText(c.checked),
		bytesText(c.content), bytesText(c.sent), bytesText(c.lost), bytesText(c.worst))
}

// killing is a series: one directory, one list.
type killing struct {
	killCounts
	t        *testing.T
	rng      *rand.Rand
	dir, mnt string // the same for a mount in place
	list     string
	origin   *origintest.Origin
	names    []string
	versions map[string][]origintest.File // of a name, the last one is the origin's
	durable  map[string]durable           // as of the last look at the directory
	present  int64                        // bytes, then
	starts   int                          // since then
	bounded  bool                         // one of those might evict what was durable
	removes  bool                         // and finished files as well
}

func newKilling(t *testing.T, seed uint64) *killing {
	k := &killing{t: t, rng: rand.New(rand.NewPCG(seed, seed)), origin: origintest.New()}
	k.versions, k.durable = map[string][]origintest.File{}, map[string]durable{}
	base := t.TempDir()
	k.dir, k.mnt, k.list = filepath.Join(base, "dir"), filepath.Join(base, "mnt"), filepath.Join(base, "list.txt")
	if k.rng.IntN(3) == 0 {
		k.mnt = k.dir
	}
	t.Cleanup(func() { unmountUnder(base) })
	url := k.origin.Serve(t)
	var list strings.Builder
	for i := range 24 {
		name := fmt.Sprintf("d%d/f%02d", i%3, i)
		size := []int64{0, 1, cache.BlockSize, cache.BlockSize + 1, 1 << 20, 3_000_001, 7_000_000, 12_345_678}[k.rng.IntN(8)]
		k.names = append(k.names, name)
		k.newVersion(name, size)
		fmt.Fprintf(&list, "%s\t%s/%[1]s\n", name, url)
	}
	write(t, k.list, []byte(list.String()))
	return k
}

// newVersion has the origin show another version of a file.
func (k *killing) newVersion(name string, size int64) {
	seed := k.rng.Uint64()
	f := origintest.File{Content: origintest.Content{Seed: seed, Size: size}, ETag: fmt.Sprintf("%016x", seed)}
	k.origin.Put(name, f)
	k.versions[name] = append(k.versions[name], f)
}

// allWhole reports whether there is nothing left to fetch.
func (k *killing) allWhole() bool {
	for _, d := range k.durable {
		if !d.whole {
			return false
		}
	}
	return len(k.durable) == len(k.names)
}

// cycle starts a process, kills it, and looks at what it left.
func (k *killing) cycle() {
	k.origin.Clear()
	k.injectFaults()
	k.starts++
	p, bounded := k.startOne()
	k.bounded = k.bounded || bounded
	k.killSometime(p, bounded)
	k.judge(p)
	// Where no look is, the next start finds the dead mount. Three deaths in a row
	// while the index is opened would have it set aside.
	if k.dir != k.mnt || k.starts == 2 || k.rng.IntN(2) == 0 {
		k.look()
	}
	if k.rng.IntN(10) == 0 {
		k.killCounts.changed++
		name := k.names[k.rng.IntN(len(k.names))]
		size := k.versions[name][0].Content.Size
		k.newVersion(name, max(0, size+[]int64{0, 0, -1, 1, 500_000}[k.rng.IntN(5)]))
	}
}

// injectFaults makes the origin as bad as a bad day.
func (k *killing) injectFaults() {
	seed := k.rng.Uint64()
	if rate := []int64{0, 1 << 20, 4 << 20, 16 << 20}[k.rng.IntN(4)]; rate > 0 {
		k.origin.Inject(origintest.Throttle(rate))
	}
	if k.rng.IntN(4) == 0 {
		return
	}
	k.origin.Inject(
		origintest.CutAfter(k.rng.Int64N(1<<20)).Chance(0.1, seed),
		origintest.ResetAfter(k.rng.Int64N(1<<18)).Chance(0.05, seed+1),
		origintest.PauseAfter(k.rng.Int64N(1<<18), 50*time.Millisecond).Chance(0.1, seed+2),
		origintest.EndAfter(k.rng.Int64N(1<<18)).Ranged().Chance(0.05, seed+3),
		origintest.ShortRange(1+k.rng.Int64N(1<<18)).Chance(0.1, seed+4),
		origintest.Status(503).Chance(0.03, seed+5),
	)
}

// startOne starts a mount or a fetch, and reports whether it is a mount with a bound, which
// may take blocks off the disk.
func (k *killing) startOne() (p *served, bounded bool) {
	flags := []string{"--retry-wait", "20ms", "--timeout", "2s", "--tries", "50",
		"-j", fmt.Sprint(1 + k.rng.IntN(8)), "-s", fmt.Sprint(1 + k.rng.IntN(4))}
	if k.rng.IntN(2) == 0 {
		k.fetches++
		return startDlfs(k.t, nil, append([]string{"fetch", k.list, k.dir}, flags...)...), false
	}
	k.mounts++
	args := append([]string{"mount", k.list, k.mnt, "--prefetch", []string{"all", "all", "opened", "none"}[k.rng.IntN(4)]}, flags...)
	if k.dir != k.mnt {
		args = append(args, "--dir", k.dir)
	}
	if k.rng.IntN(4) == 0 {
		args = append(args, "--no-passthrough")
	}
	if bounded = k.rng.IntN(3) == 0; bounded {
		k.bounds++
		args = append(args, "--max-size", fmt.Sprint(leastBound+k.rng.IntN(40))+"M")
		if k.rng.IntN(2) == 0 {
			k.removes = true
			args = append(args, "--evict-complete")
		}
	}
	return startDlfs(k.t, nil, args...), bounded
}

// leastBound is a bound in MiB. Some 20 MiB of it are for blocks.
const leastBound = 70

// evictAll has the mount evict files until it is dying.
func (k *killing) evictAll(p *served, dying *atomic.Bool) {
	select {
	case <-p.live:
	case <-p.exited:
	}
	for i := 0; !dying.Load(); i++ {
		out, err := dlfs(k.t, "evict", k.dir, fmt.Sprintf("d%d/**", i%3)).CombinedOutput()
		if err == nil {
			k.evictions++
		} else if !dying.Load() {
			k.t.Errorf("evict: %v\n%s", err, out)
			return
		}
	}
}

// killSometime has readers read the mount, if there is one, and others evict if it is
// bounded, and ends the process.
func (k *killing) killSometime(p *served, bounded bool) {
	var dying atomic.Bool
	var readers sync.WaitGroup
	ctx, stop := context.WithCancel(k.t.Context())
	for range 3 {
		seed := k.rng.Uint64()
		readers.Go(func() {
			select {
			case <-p.live:
				k.read(ctx, rand.New(rand.NewPCG(seed, seed)), &dying)
			case <-p.exited:
			case <-ctx.Done():
			}
		})
	}
	if bounded {
		readers.Go(func() { k.evictAll(p, &dying) })
	}
	upTo := func(d time.Duration) time.Duration { return time.Duration(k.rng.Int64N(int64(d))) }
	switch r := k.rng.IntN(20); {
	case r < 10:
		p.within(upTo(700 * time.Millisecond))
	case r < 13:
		k.firstBytes(p)
		p.within(upTo(300 * time.Millisecond))
	case r < 16: // when it is about to end by itself
		p.within(upTo(700 * time.Millisecond))
		dying.Store(true)
		p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		p.within(upTo(50 * time.Millisecond))
	case r < 19: // about when it syncs
		p.within(950*time.Millisecond + upTo(250*time.Millisecond))
	default:
		p.within(time.Second + upTo(2*time.Second))
	}
	dying.Store(true)
	p.cmd.Process.Kill() // it may have ended
	select {
	case <-p.exited:
	case <-time.After(endTimeout):
		k.t.Fatalf("%v was killed and does not end: it waits for itself\n%s", p.cmd.Args, p.said())
	}
	stop()
	readers.Wait()
}

// firstBytes waits until the origin has sent something.
func (k *killing) firstBytes(p *served) {
	before := k.origin.Counts().BodyBytes
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for range 250 { // there may be nothing to send
		select {
		case <-tick.C:
		case <-p.exited:
			return
		}
		if k.origin.Counts().BodyBytes > before {
			return
		}
	}
}

// read reads files of the mount at random until it is dying.
func (k *killing) read(ctx context.Context, rng *rand.Rand, dying *atomic.Bool) {
	buf := make([]byte, 256<<10)
	for ctx.Err() == nil && !dying.Load() {
		name := k.names[rng.IntN(len(k.names))]
		err := k.readSome(rng, name, buf)
		if err != nil && !dying.Load() && !(errors.Is(err, syscall.ESTALE) && len(k.versions[name]) > 1) {
			k.t.Errorf("%s: %v", name, err)
			return
		}
		var wrong *wrongBytesError
		if errors.As(err, &wrong) {
			k.t.Errorf("%s: %v", name, err)
		}
	}
}

func (k *killing) readSome(rng *rand.Rand, name string, buf []byte) error {
	f, err := os.Open(filepath.Join(k.mnt, name))
	if err != nil {
		return err
	}
	defer f.Close()
	can := slices.Clone(k.versions[name]) // the handle may be of any of them, but of one
	for range 1 + rng.IntN(6) {
		off := rng.Int64N(can[0].Content.Size + 1)
		n, err := f.ReadAt(buf[:1+rng.IntN(len(buf))], off)
		if err != nil && err != io.EOF {
			return err
		}
		before := can
		can = slices.DeleteFunc(slices.Clone(can), func(v origintest.File) bool {
			atEnd := err != io.EOF || off+int64(n) == v.Content.Size || n == 0 && off >= v.Content.Size
			return !atEnd || v.Content.Check(buf[:n], min(off, v.Content.Size)) != nil
		})
		if len(can) == 0 {
			return &wrongBytesError{before[0].Content.Check(buf[:n], off)}
		}
		k.compared.Add(int64(n))
	}
	return nil
}

// wrongBytesError is never excused.
type wrongBytesError struct{ err error }

func (e *wrongBytesError) Error() string { return fmt.Sprint("wrong bytes: ", e.err) }

// judge checks how the process ended, and what it said.
func (k *killing) judge(p *served) {
	k.t.Helper()
	said := p.said()
	k.wantSound(fmt.Sprint(p.cmd.Args), said)
	switch code := p.cmd.ProcessState.ExitCode(); code {
	case -1:
		k.killed++
	case exitOK, exitInterrupted:
		k.ended++
	default:
		k.t.Fatalf("%v ended with %d:\n%s", p.cmd.Args, code, said)
	}
}
