package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
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

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch"
	"dlfs/fetch/origintest"
)

var (
	soakFlag     = flag.Duration("soak", 3*time.Second, "how long TestSoak lasts; from a minute on, of four terabytes")
	soakSeedFlag = flag.Uint64("soak-seed", 0, "of TestSoak; 0 is a random one")
	soakDirFlag  = flag.String("soak-dir", "", "where TestSoak keeps its files, on a real disk; a temporary directory if empty")
)

const (
	soakReaders = 8
	soakKept    = 8  // published files that are kept for readers
	soakMost    = 24 // published files at which prefetch has to wait
	soakAhead   = 24 // unfinished files they read, too: the next of the list
)

// TestSoak mounts more than any disk has, prefetches it at full speed and reads
// it at random all the while; every byte is compared. Published files are deleted
// once no reader chooses them, which bounds the disk. What the process takes of
// the machine must not grow. The long form:
//
//	go test ./cmd/dlfs -run 'TestSoak$' -soak 60m -timeout 0 -v
func TestSoak(t *testing.T) {
	hosttest.NeedTime(t)
	need(t, canMount())
	seed := *soakSeedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("to replay: go test ./cmd/dlfs -run 'TestSoak$' -soak %v -soak-seed %d", *soakFlag, seed)
	s := newSoak(t, seed)
	s.mount(t)

	ctx, stop := context.WithTimeout(t.Context(), *soakFlag)
	defer stop()
	var work sync.WaitGroup
	for i := range soakReaders {
		work.Go(func() { s.read(ctx, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	work.Go(func() { s.makeRoom(ctx) })
	samples := s.watch(ctx)
	work.Wait()

	s.umount(t)
	s.checkLeft(t)
	s.account(t)
	checkGrowth(t, samples)
}

// soak is a mount under load.
type soak struct {
	t         *testing.T // from its readers, Errorf only
	dir, mnt  string
	seed      uint64
	files     int
	size      int64 // of each
	origin    *origintest.Origin
	faults    []*origintest.Fault
	figures   string // the file in which the process tells its own figures
	process   *served
	began     time.Time
	compared  atomic.Int64 // bytes
	ghosts    atomic.Int64 // opens of files that were deleted, and that said so
	published atomic.Int64
	pauses    atomic.Int64

	mu struct {
		sync.Mutex
		pins    map[int]int // readers of a file
		kept    []int       // published and not deleted
		done    map[int]bool
		deleted []int
		first   int // of the list that is not published
	}
}

func newSoak(t *testing.T, seed uint64) *soak {
	s := &soak{t: t, seed: seed, files: 16384, size: 256 << 20, origin: origintest.New()}
	if *soakFlag < time.Minute {
		s.files, s.size = 4096, 8<<20
	}
	base := *soakDirFlag
	if base == "" {
		base = t.TempDir()
	}
	dir, err := os.MkdirTemp(base, "soak")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s.dir, s.mnt, s.figures = filepath.Join(dir, "dir"), filepath.Join(dir, "mnt"), filepath.Join(dir, "figures")
	s.mu.pins, s.mu.done = map[int]int{}, map[int]bool{}
	url := s.origin.Serve(t)
	var list strings.Builder
	for i := range s.files {
		s.origin.Put(s.name(i), origintest.File{Content: s.content(i)})
		fmt.Fprintf(&list, "%s\t%s/%[1]s\n", s.name(i), url)
	}
	write(t, filepath.Join(dir, "list.txt"), []byte(list.String()))
	s.faults = []*origintest.Fault{
		origintest.CutAfter(300_001).Ranged().Chance(0.005, seed),
		origintest.ResetAfter(100_000).Ranged().Chance(0.002, seed+1),
	}
	s.origin.Inject(s.faults...)
	return s
}

func (s *soak) name(i int) string { return fmt.Sprintf("d%03d/f%05d", i/64, i) }

func (s *soak) content(i int) origintest.Content {
	return origintest.Content{Seed: s.seed + uint64(i), Size: s.size}
}

// mount starts the process.
func (s *soak) mount(t *testing.T) {
	list := filepath.Join(filepath.Dir(s.dir), "list.txt")
	s.began = time.Now()
	s.process = serveMount(t, s.mnt, []string{figuresEnv + "=" + s.figures}, "mount", list, s.mnt, "--dir", s.dir)
}

func (s *soak) umount(t *testing.T) {
	umount(t, s.mnt)
	if code := s.process.wait(); code != exitInterrupted && code != exitOK {
		t.Errorf("the mount ended with %d", code)
	}
}

// read reads files at random until ctx ends.
func (s *soak) read(ctx context.Context, rng *rand.Rand) {
	buf := make([]byte, 1<<20)
	for ctx.Err() == nil {
		i, gone := s.choose(rng)
		err := s.readFile(ctx, rng, i, buf)
		s.unpin(i)
		switch {
		case err == nil:
		case gone && errors.Is(err, fs.ErrNotExist):
			s.ghosts.Add(1)
		case ctx.Err() != nil && errors.Is(err, context.DeadlineExceeded):
		default:
			s.t.Errorf("%s: %v", s.name(i), err)
		}
	}
}

// choose returns a file and pins it; gone says that it was deleted.
func (s *soak) choose(rng *rand.Rand) (i int, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch k := rng.IntN(100); {
	case k < 2 && len(s.mu.deleted) > 0:
		i, gone = s.mu.deleted[rng.IntN(len(s.mu.deleted))], true
	case k < 50 && len(s.mu.kept) > 0:
		i = s.mu.kept[rng.IntN(len(s.mu.kept))]
	default:
		i = min(s.mu.first+rng.IntN(soakAhead), s.files-1)
		for s.mu.done[i] { // perhaps deleted, too
			i++
		}
	}
	s.mu.pins[i]++
	return i, gone
}

func (s *soak) unpin(i int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mu.pins[i]--; s.mu.pins[i] == 0 {
		delete(s.mu.pins, i)
	}
}

// readFile reads some of a file, in sequence or at random, by read(2).
func (s *soak) readFile(ctx context.Context, rng *rand.Rand, i int, buf []byte) error {
	f, err := os.Open(filepath.Join(s.mnt, s.name(i)))
	if err != nil {
		return err
	}
	defer f.Close()
	sequential, off := rng.IntN(2) == 0, rng.Int64N(s.size)
	for range 1 + rng.IntN(32) {
		if ctx.Err() != nil {
			return nil
		}
		if rng.IntN(8) == 0 { // the page cache must not answer everything
			unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
		}
		n, err := f.ReadAt(buf[:1+rng.IntN(len(buf))], off)
		if err != nil && !(errors.Is(err, io.EOF) && off+int64(n) == s.size) {
			return err
		}
		if err := s.content(i).Check(buf[:n], off); err != nil {
			return err
		}
		s.compared.Add(int64(n))
		if off += int64(n); !sequential || off == s.size {
			off = rng.Int64N(s.size)
		}
	}
	return nil
}

// makeRoom deletes published files, the oldest first, but for the last ones and
// those somebody reads. Where the disk is slower at that than dlfs at fetching,
// prefetch has to pause.
func (s *soak) makeRoom(ctx context.Context) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	paused := false
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		s.notePublished()
		kept := s.keptNow()
		if want := kept > soakMost || paused && kept > soakKept; want != paused {
			paused = want
			order := map[bool]string{true: "pause", false: "resume"}[paused]
			if out, err := dlfs(s.t, order, s.dir).CombinedOutput(); err != nil && ctx.Err() == nil {
				s.t.Errorf("%s: %v: %s", order, err, out)
			}
			s.pauses.Add(1)
		}
		for range soakAhead {
			i, ok := s.oldest()
			if !ok {
				break
			}
			if err := os.Remove(filepath.Join(s.dir, s.name(i))); err != nil {
				s.t.Error(err)
			}
		}
	}
}

// notePublished looks which files stand in the directory now.
func (s *soak) notePublished() {
	s.mu.Lock()
	first := s.mu.first
	s.mu.Unlock()
	for i := first; i < min(first+4*soakAhead, s.files); i++ {
		if s.mu.done[i] { // written here alone
			continue
		}
		if _, err := os.Lstat(filepath.Join(s.dir, s.name(i))); err != nil {
			continue
		}
		s.published.Add(1)
		s.mu.Lock()
		s.mu.done[i] = true
		s.mu.kept = append(s.mu.kept, i)
		s.mu.Unlock()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.mu.done[s.mu.first] {
		delete(s.mu.done, s.mu.first)
		s.mu.first++
	}
}

// keptNow is how many published files there are.
func (s *soak) keptNow() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mu.kept)
}

// oldest takes out the oldest file that may be deleted; from here on readers
// know that it is.
func (s *soak) oldest() (i int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range max(0, len(s.mu.kept)-soakKept) {
		if i := s.mu.kept[k]; s.mu.pins[i] == 0 {
			s.mu.kept = slices.Delete(s.mu.kept, k, k+1)
			s.mu.deleted = append(s.mu.deleted, i)
			return i, true
		}
	}
	return 0, false
}

// watch samples the process every second until ctx ends, and tells the figures
// after a 60th, a quarter, a half and all of the time.
func (s *soak) watch(ctx context.Context) (samples []usage) {
	marks := []time.Duration{*soakFlag / 60, *soakFlag / 4, *soakFlag / 2, *soakFlag}
	tick := time.NewTicker(min(time.Second, *soakFlag/20))
	defer tick.Stop()
	for ended := false; !ended; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			ended = true
		}
		x, err := usageOf(s.process.cmd.Process.Pid, s.figures)
		if err != nil {
			s.t.Errorf("the process is gone: %v\n%s", err, s.process.said())
			return samples
		}
		x.at = time.Since(s.began)
		samples = append(samples, x)
		if len(marks) > 0 && x.at >= marks[0] {
			marks = marks[1:]
			s.t.Logf("%8v: %v; fetched %s, read and compared %s, %d files published, %d refused as deleted, prefetch paused or resumed %d times, disk %s",
				x.at.Round(time.Second), x, bytesText(s.origin.Counts().BodyBytes), bytesText(s.compared.Load()),
				s.published.Load(), s.ghosts.Load(), s.pauses.Load(), bytesText(diskUse(s.dir)))
		}
	}
	return samples
}

// checkLeft compares the files that are left in the directory.
func (s *soak) checkLeft(t *testing.T) {
	buf := make([]byte, 1<<20)
	for i := range s.files {
		f, err := os.Open(filepath.Join(s.dir, s.name(i)))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		for off := int64(0); off < s.size; off += int64(len(buf)) {
			n, err := f.ReadAt(buf[:min(int64(len(buf)), s.size-off)], off)
			if err == nil {
				err = s.content(i).Check(buf[:n], off)
			}
			if err != nil {
				t.Errorf("%s, published: %v", s.name(i), err)
				break
			}
		}
		f.Close()
	}
}

// account checks that there was something to check, and that nothing was
// fetched twice but what a fault cut off.
func (s *soak) account(t *testing.T) {
	if s.compared.Load() == 0 {
		t.Error("nothing was read")
	}
	status, err := wholeStatus(func(head func(*Status) error, each func(fetch.EntryStatus) error) error {
		return statusOf(t.Context(), s.dir, selection{}, newLogger(t.Output(), slog.LevelWarn), head, each)
	})
	if err != nil {
		t.Fatal(err)
	}
	// The new process does not know a deleted file, which had all its bytes.
	s.mu.Lock()
	there := status.PresentBytes + int64(len(s.mu.deleted))*s.size
	s.mu.Unlock()
	cuts := 0
	for _, f := range s.faults {
		cuts += f.Hits()
	}
	sent := s.origin.Counts().BodyBytes
	t.Logf("%s sent for %s that are there, %d answers cut", bytesText(sent), bytesText(there), cuts)
	// A cut or a flight that makes way may cost a block and what the sockets hold.
	if most := there + there/20 + int64(cuts+256)<<20; sent > most {
		t.Errorf("%d bytes were sent for %d, want at most %d", sent, there, most)
	}
}

// checkGrowth compares the second half of the time with the first, where that is
// long enough for everything to have been as busy as it can be.
func checkGrowth(t *testing.T, samples []usage) {
	t.Helper()
	half := len(samples) / 2
	if half == 0 {
		t.Fatal("no samples")
	}
	a, b := peak(samples[:half]), peak(samples[half:])
	t.Logf("peak of the first half: %v", a)
	t.Logf("peak of the second half: %v", b)
	if b.goroutines == 0 {
		t.Error("the process did not tell its goroutines")
	}
	for _, x := range []struct {
		what          string
		before, after int64
		slack, most   int64
	}{
		{"memory", a.anon, b.anon, 64 << 20, 2 << 30},
		{"live heap", a.heap, b.heap, 32 << 20, 1 << 30},
		{"descriptors", a.fds, b.fds, 64, 512},
		{"threads", a.threads, b.threads, 32, 256},
		{"goroutines", a.goroutines, b.goroutines, 128, 2000},
	} {
		if x.after > x.most || *soakFlag >= 10*time.Minute && x.after > x.before+x.before/4+x.slack {
			t.Errorf("%s grew from %d to %d, and may never be more than %d", x.what, x.before, x.after, x.most)
		}
	}
}

// diskUse is what the files under dir take.
func diskUse(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return nil // renamed meanwhile
		}
		if info, err := e.Info(); err == nil {
			n += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return nil
	})
	return n
}
