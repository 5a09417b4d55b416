package cache

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
)

var failpointsFlag = flag.Int("failpoints", 1, "how often TestFailpoints dies at each step")

// steps are those of the package.
var steps = []string{
	"blob made", "block received", "block written", "bits on",
	"blocks claimed", "blob forced", "all blobs forced", "index written", "bits written",
	"time set", "about to rename", "renamed", "directories forced", "published",
	"blob abandoned", "blob removed",
	"stream made", "stream written", "stream cut", "stream finished", "stream removed",
	"redo: all is durable", "redo: link made", "redo: linked", "redo: bits written", "redo: recorded",
	"redo: given up", "replace: copied", "replace: recorded", "exchanged",
	"evict: bits off", "evict: bits written", "evict: holes punched",
	"withdraw: recorded", "withdraw: removed", "withdraw: finished",
	"opening", "index open", "orphan removed",
}

// TestFailpoints has a process die at every step of what must survive a crash,
// and another one that goes on at another step. Then nothing may be there that
// is not right, all that was durable must be there, and the work can be
// finished.
func TestFailpoints(t *testing.T) {
	hosttest.NeedTime(t)
	rng := random(t)
	for _, at := range steps {
		rng := rand.New(rand.NewPCG(rng.Uint64(), 0)) // the same whatever dies before
		t.Run(at, func(t *testing.T) {
			var durable, found int
			for range *failpointsFlag {
				d, f := dieAndCheck(t, rng, at)
				durable, found = durable+d, found+f
			}
			t.Logf("died %d times; of %d blocks said to be durable 0 were lost, of %d found 0 were wrong", *failpointsFlag, durable, found)
		})
	}
}

// dieAndCheck returns how many blocks were said to be durable, and how many
// were found. None is lost, and none is wrong, when it returns.
func dieAndCheck(t *testing.T, rng *rand.Rand, at string) (durable, found int) {
	t.Helper()
	dir, err := os.MkdirTemp(t.TempDir(), "")
	check(t, err)
	acked := map[string]map[int64]bool{}
	runWorker(t, dir, 1, at, 1+rng.IntN(4), rng.Uint64(), acked)
	if rng.IntN(2) == 0 {
		runWorker(t, dir, 2, steps[rng.IntN(len(steps))], 1+rng.IntN(2), rng.Uint64(), acked)
	}
	durable, found = checkWork(t, dir, acked)
	check(t, os.RemoveAll(dir))
	if t.Failed() {
		t.FailNow()
	}
	return durable, found
}

// TestStepsAreKnown: the list of steps is that of the package.
func TestStepsAreKnown(t *testing.T) {
	met := map[string]bool{}
	cmd := workerCommand(t, t.TempDir(), 1, "", 0, 1)
	out, err := cmd.Output()
	check(t, err)
	for line := range strings.Lines(string(out)) {
		if name, ok := strings.CutPrefix(line, "step: "); ok {
			met[strings.TrimSpace(name)] = true
		}
	}
	for _, name := range steps {
		if !met[name] {
			t.Errorf("the worker does not come to %q", name)
		}
		delete(met, name)
	}
	for name := range met {
		t.Errorf("%q is a step nobody dies at", name)
	}
}

func workerCommand(t *testing.T, dir string, round int, at string, nth int, seed uint64) *exec.Cmd {
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir, fmt.Sprint(round), fmt.Sprint(nth), strings.ReplaceAll(at, " ", "_"), fmt.Sprint(seed))
	cmd.Env = append(os.Environ(), role+"=mortal")
	return cmd
}

// runWorker has a process die at a step, and notes in acked which blocks it
// said to be durable and did not take back.
func runWorker(t *testing.T, dir string, round int, at string, nth int, seed uint64, acked map[string]map[int64]bool) {
	t.Helper()
	cmd := workerCommand(t, dir, round, at, nth, seed)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var name string
		var block int64
		if _, err := fmt.Sscan(lines.Text(), &name, &block); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		if acked[name] == nil {
			acked[name] = map[int64]bool{}
		}
		if block >= 0 {
			acked[name][block] = true
		} else {
			delete(acked[name], -1-block)
		}
	}
	err = errors.Join(lines.Err(), cmd.Wait())
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
		t.Fatalf("at %q, seed %d: the process ended by itself: %v, %s", at, seed, err, &complaint)
	}
}

// checkWork opens what a crash left, checks all of it, and finishes it.
func checkWork(t *testing.T, dir string, acked map[string]map[int64]bool) (durable, found int) {
	t.Helper()
	log := new(logLines)
	s := open(t, dir, Options{Log: log.logger()})
	var names []string
	check(t, s.Each(func(name string, b *Blob) error {
		names = append(names, name)
		check(t, b.Acquire())
		defer b.Release()
		if (b.Published() || b.Replaces()) != s.Occupied(name) {
			t.Errorf("%q: published %v, in the output directory %v", name, b.Published(), s.Occupied(name))
		}
		bad, err := badBlocks(b)
		for i := range b.geo.blocks() {
			has := b.Has(b.geo.extent(i, i+1))
			if has {
				found++
			}
			if acked[name][i] && (!has || bad[i]) {
				t.Errorf("%q: block %d was durable; present %v, wrong %v", name, i, has, bad[i])
			}
		}
		return err
	}))
	for name, blocks := range acked {
		durable += len(blocks)
		if len(blocks) > 0 && !slices.Contains(names, name) {
			t.Errorf("%q: nothing is known of it, %d blocks were durable", name, len(blocks))
		}
	}
	check(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if e.IsDir() && e.Name() == ".dlfs" {
			return filepath.SkipDir
		}
		if name := strings.TrimPrefix(path, dir+"/"); !e.IsDir() && !slices.Contains(names, name) {
			t.Errorf("%q stands in the output directory and nothing is known of it", name)
		}
		return err
	}))
	for line := range strings.Lines(log.String()) {
		// It was removed when it was given up, before its successor was recorded.
		if !strings.Contains(line, "unfinished file is gone") || !strings.Contains(line, "name=version") {
			t.Errorf("logged: %s", line)
		}
	}
	finishWork(t, s, names)
	return durable, found
}

// finishWork completes all blobs and publishes them.
func finishWork(t *testing.T, s *Store, names []string) {
	t.Helper()
	for _, name := range names {
		b, err := s.Lookup(name)
		check(t, errors.Join(err, b.Acquire()))
		bad, err := badBlocks(b)
		check(t, err)
		for i := range b.geo.blocks() {
			if !b.Complete() {
				off, _ := b.geo.extent(i, i+1)
				check(t, b.Put(off, rightBlock(b, i)))
			}
		}
		if len(bad) > 0 {
			var extents []Extent
			for i := range bad {
				extents = append(extents, Extent{i * BlockSize, 1})
			}
			again, err := b.Redo(t.Context(), extents)
			check(t, err)
			b.Release()
			check(t, again.Acquire())
			b = again
			for i := range bad {
				off, _ := b.geo.extent(i, i+1)
				check(t, b.Put(off, rightBlock(b, i)))
			}
		}
		check(t, publish(t, b))
		f, err := os.Open(filepath.Join(s.Path(), name))
		check(t, err)
		got, err := io.ReadAll(f)
		check(t, errors.Join(err, f.Close()))
		b.Release()
		if want := pattern(name+b.version.ETag, 0, b.version.Size); !bytes.Equal(got, want) {
			t.Errorf("%q was published with other bytes", name)
		}
	}
	s = reopen(t, s)
	wantDir(t, blobsOf(s))
	check(t, s.Close())
}
