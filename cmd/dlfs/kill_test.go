package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache"
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
	need(t, canMount())
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
	compared                       atomic.Int64 // bytes that readers compared
	checked                        int64        // bytes of the directory that were compared
	content, sent, lost            int64
	worst                          int64 // of lost in one cycle
	changed, looks                 int   // new versions; looks through a mount without an origin
}

func (c *killCounts) add(o *killCounts) {
	c.mounts, c.fetches, c.killed, c.ended = c.mounts+o.mounts, c.fetches+o.fetches, c.killed+o.killed, c.ended+o.ended
	c.changed, c.looks = c.changed+o.changed, c.looks+o.looks
	c.compared.Add(o.compared.Load())
	c.checked, c.content, c.sent, c.lost = c.checked+o.checked, c.content+o.content, c.sent+o.sent, c.lost+o.lost
	c.worst = max(c.worst, o.worst)
}

func (c *killCounts) String() string {
	return fmt.Sprintf("%d mounts and %d fetches, %d killed, %d ended before, %d new versions; "+
		"%d mounts without an origin; readers compared %s, the directory was compared over %s; content %s, sent %s, lost of that to kills and faults %s, at most %s to one kill",
		c.mounts, c.fetches, c.killed, c.ended, c.changed, c.looks, bytesText(c.compared.Load()), bytesText(c.checked),
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
}

// durable is what a look at the directory found of a name.
type durable struct {
	gen     uint64
	version int    // index of killing.versions
	has     []bool // by block
	whole   bool   // published
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
	p := k.startOne()
	k.killSometime(p)
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

// startOne starts a mount or a fetch.
func (k *killing) startOne() *served {
	flags := []string{"--retry-wait", "20ms", "--timeout", "2s", "--tries", "50",
		"-j", fmt.Sprint(1 + k.rng.IntN(8)), "-s", fmt.Sprint(1 + k.rng.IntN(4))}
	if k.rng.IntN(2) == 0 {
		k.fetches++
		return startDlfs(k.t, nil, append([]string{"fetch", k.list, k.dir}, flags...)...)
	}
	k.mounts++
	args := append([]string{"mount", k.list, k.mnt, "--prefetch", []string{"all", "all", "opened", "none"}[k.rng.IntN(4)]}, flags...)
	if k.dir != k.mnt {
		args = append(args, "--dir", k.dir)
	}
	if k.rng.IntN(4) == 0 {
		args = append(args, "--no-passthrough")
	}
	return startDlfs(k.t, nil, args...)
}

// killSometime has readers read the mount, if there is one, and ends the
// process.
func (k *killing) killSometime(p *served) {
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

// badWords are in no line of anybody who opens the directory: a kill damages nothing.
var badWords = regexp.MustCompile(`panic:|fatal error:|DATA RACE|state database|fetched again|is not readable|may go unnoticed`)

// goneFile is a line that tells of a blob that is gone.
var goneFile = regexp.MustCompile(`unfinished file is gone.* name=(\S+)`)

// wantSound checks what somebody said who opened the directory. A version that was
// given up is removed before the next one is recorded.
func (k *killing) wantSound(who, said string) {
	k.t.Helper()
	for line := range strings.Lines(said) {
		if gone := goneFile.FindStringSubmatch(line); gone != nil && len(k.versions[gone[1]]) > 1 {
			continue
		}
		if badWords.MatchString(line) {
			k.t.Fatalf("%s said:\n%s", who, said)
		}
	}
}

// look compares what the directory has with the origin's content, and with what
// it had before.
func (k *killing) look() {
	k.t.Helper()
	if k.dir == k.mnt {
		exec.Command("umount", "-l", k.mnt).Run() // fails if it is gone already
	}
	k.checkFiles()
	k.checkAsked()
	var said bytes.Buffer
	store, err := cache.Open(k.dir, cache.Options{Owner: "TestKill", Log: slog.New(slog.NewTextHandler(&said, nil))})
	if err != nil {
		k.t.Fatal(err)
	}
	found, present := map[string]durable{}, int64(0)
	err = store.Each(func(name string, b *cache.Blob) error {
		d, err := k.checkBlob(name, b)
		found[name] = d
		present += b.Present()
		return err
	})
	if err := errors.Join(err, store.Close()); err != nil {
		k.t.Fatalf("%v\n%s", err, said.String())
	}
	k.wantSound("a look", said.String())
	k.checkKept(found)
	sent := k.origin.Counts().BodyBytes
	k.origin.ResetCounts()
	lost := max(0, sent-max(0, present-k.present))
	if most := int64(k.starts) * maxLost; lost > most {
		k.t.Errorf("%d bytes are to be fetched again, at most %d of %d starts", lost, most, k.starts)
	}
	k.starts = 0
	k.sent, k.lost, k.worst = k.sent+sent, k.lost+lost, max(k.worst, lost)
	k.durable, k.present = found, present
	if k.rng.IntN(8) == 0 {
		k.lookThroughMount()
	}
}

// lookThroughMount reads what is there through a mount, while the origin is
// dead.
func (k *killing) lookThroughMount() {
	k.t.Helper()
	k.origin.Down()
	defer k.origin.Up()
	p := startDlfs(k.t, nil, "mount", k.list, k.mnt, "--dir", k.dir, "--prefetch", "none", "--read-timeout", "5s")
	defer func() {
		p.cmd.Process.Kill()
		<-p.exited
		if k.dir == k.mnt {
			exec.Command("umount", "-l", k.mnt).Run() // fails if it is gone already
		}
	}()
	select {
	case <-p.live:
	case <-p.exited:
		k.t.Fatalf("%v: %s", p.cmd.ProcessState, p.said())
	}
	buf := make([]byte, cache.BlockSize)
	for name, d := range k.durable {
		f, err := os.Open(filepath.Join(k.mnt, name))
		if err != nil {
			k.t.Fatal(err)
		}
		// Or else the kernel's read-ahead asks for missing blocks as well.
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_RANDOM); err != nil {
			k.t.Fatal(err)
		}
		for i, has := range d.has {
			if !has {
				continue
			}
			off := int64(i) * cache.BlockSize
			n, err := f.ReadAt(buf, off)
			if err == nil || err == io.EOF {
				err = k.versions[name][d.version].Content.Check(buf[:n], off)
			}
			if err != nil {
				k.t.Fatalf("%s, block %d, which is present, in the mount: %v", name, i, err)
			}
			k.compared.Add(int64(n))
		}
		f.Close()
	}
	k.looks++
	k.wantSound("a mount without an origin", p.said())
}

// checkFiles checks the files outside the state directory, as the kill left
// them: each is the whole of one version.
func (k *killing) checkFiles() {
	k.t.Helper()
	err := filepath.WalkDir(k.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.Name() == ".dlfs":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		name := strings.TrimPrefix(path, k.dir+"/")
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		k.checked += int64(len(b))
		for _, v := range k.versions[name] {
			if int64(len(b)) == v.Content.Size && v.Content.Check(b, 0) == nil {
				return nil
			}
		}
		return fmt.Errorf("%s is published and not the whole of any version", name)
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // it may have been killed before it made one
		k.t.Fatal(err)
	}
}

// checkBlob compares every block that is present.
func (k *killing) checkBlob(name string, b *cache.Blob) (d durable, err error) {
	i := slices.IndexFunc(k.versions[name], func(v origintest.File) bool {
		return v.Content.Size == b.Version().Size && strconv.Quote(v.ETag) == b.Version().ETag
	})
	if i < 0 {
		return d, fmt.Errorf("%s: no version is %+v", name, b.Version())
	}
	if err := b.Acquire(); err != nil {
		return d, err
	}
	defer b.Release()
	d = durable{gen: b.Generation(), version: i, whole: b.Published()}
	content, buf := k.versions[name][i].Content, make([]byte, cache.BlockSize)
	for off := int64(0); off < content.Size; off += cache.BlockSize {
		has := b.Has(off, 1)
		d.has = append(d.has, has)
		if !has {
			continue
		}
		n, err := b.ReadAt(buf, off)
		if err == nil || err == io.EOF {
			err = content.Check(buf[:n], off)
		}
		if err != nil {
			return d, fmt.Errorf("%s, a block that is present: %w", name, err)
		}
		k.checked += int64(n)
	}
	return d, nil
}

// checkKept checks that nothing that was durable is gone.
func (k *killing) checkKept(found map[string]durable) {
	k.t.Helper()
	for name, was := range k.durable {
		is, ok := found[name]
		switch {
		case !ok:
			k.t.Errorf("%s: nothing is known of it any more", name)
		case is.gen != was.gen:
			if was.whole || was.version == len(k.versions[name])-1 {
				k.t.Errorf("%s: it was begun again, without a new version; it was published: %v", name, was.whole)
			}
		case was.whole && !is.whole:
			k.t.Errorf("%s: it is published no longer", name)
		default:
			for i, has := range was.has {
				if has && !is.has[i] {
					k.t.Errorf("%s: block %d was durable and is missing", name, i)
				}
			}
		}
	}
}

// checkAsked checks that the origin was asked for nothing that was durable.
func (k *killing) checkAsked() {
	k.t.Helper()
	for _, r := range k.origin.Log() {
		was, ok := k.durable[strings.TrimPrefix(r.Path, "/")]
		if !ok || r.Method != "GET" || was.version < len(k.versions[strings.TrimPrefix(r.Path, "/")])-1 {
			continue
		}
		first, last := int64(0), int64(len(was.has))*cache.BlockSize-1
		if _, err := fmt.Sscanf(r.Range, "bytes=%d-%d", &first, &last); err != nil && r.Range != "" {
			k.t.Fatalf("%v: %v", r, err)
		}
		for i := first / cache.BlockSize; i <= last/cache.BlockSize && i < int64(len(was.has)); i++ {
			if was.has[i] {
				k.t.Errorf("asked for block %d, which was durable: %v", i, r)
				break
			}
		}
	}
}

// complete has the list fetched to the end, and compares everything.
func (k *killing) complete() {
	k.t.Helper()
	k.origin.Clear()
	k.starts++
	out, err := dlfs(k.t, "fetch", "--retry-wait", "20ms", k.list, k.dir).CombinedOutput()
	if err != nil {
		k.t.Fatalf("fetch: %v\n%s", err, out)
	}
	k.wantSound("the last fetch", string(out))
	k.look()
	for _, name := range k.names {
		if d := k.durable[name]; !d.whole {
			k.t.Errorf("%s is not complete", name)
		} else {
			k.content += k.versions[name][d.version].Content.Size
		}
	}
	if left, err := os.ReadDir(filepath.Join(k.dir, ".dlfs", "blobs")); err != nil || len(left) > 0 {
		k.t.Errorf("%d blobs are left, %v", len(left), err)
	}
}
