//go:build linux

package cache

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
	"dlfs/cache/powercut"
)

var cutsFlag = flag.Int("cuts", 40, "power cuts of TestPowerCut")

// TestPowerCut has a process work on a disk that loses power, looks at what may
// be found then, and goes on from there, or from where it was if only the
// process died. What was promised is there, and whatever
// is there is right.
//
// Only a disk that is strict may cost the index: badger does not force the name
// of a new table before its manifest, so that after a cut the manifest may name
// one that is not there. Then the index is set aside, and what was published
// stays.
func TestPowerCut(t *testing.T) {
	hosttest.Need(t, hosttest.FUSE())
	rng := random(t)
	c := newChecker(t)
	tally := newTally()
	for n := 0; n < *cutsFlag; {
		strict := rng.IntN(2) == 0
		disk, said, begun := powercut.New(), []byte(nil), 0
		for life := 1; life <= 4 && n < *cutsFlag; life++ {
			log := live(t, disk, life, rng.Uint64(), 20+rng.IntN(100))
			replay := log.Replay(strict)
			sofar := func() []byte { return slices.Concat(said, promised(replay, life)) }
			var image powercut.Image
			var v verdict
			for at, cuts := begun, 4; cuts > 0; cuts-- {
				at += 1 + rng.IntN(max(1, 2*(log.Len()-at)/(cuts+1)))
				at = min(at, log.Len())
				replay.To(at)
				model := powercut.Model(rng.IntN(3))
				image = replay.Cut(model, rng)
				v = checkImage(t, c, image, sofar(), manner{finish: rng.IntN(2) == 0})
				if v.Aside && !strict {
					t.Errorf("life %d, %v: set aside: %s", life, model, v.Log)
				}
				tally.add(fmt.Sprintf("%v strict=%v", model, strict), v)
				n++
			}
			if v.Aside || v.Bad != "" {
				break // what was promised does not hold any more
			}
			if said, disk, begun = sofar(), powercut.From(image), 0; rng.IntN(3) == 0 {
				disk = replay.Kill()
				said, begun = sofar(), replay.At()
			}
		}
	}
	tally.log(t)
}

// promised is what a worker had promised in a life, in whole lines.
func promised(replay *powercut.Replay, life int) []byte {
	said, _, _ := bytes.Cut(replay.Read(saidName(life)), []byte{0}) // it grows before it is written
	return said[:bytes.LastIndexByte(said, '\n')+1]
}

func saidName(life int) string { return fmt.Sprint("said", life) }

// live has a worker live on a disk, to its end.
func live(t *testing.T, disk *powercut.Disk, life int, seed uint64, steps int) *powercut.Log {
	t.Helper()
	if out, err := tryToLive(t, disk, life, seed, steps, 0); err != nil {
		t.Fatalf("life %d, seed %d: %v\n%s", life, seed, err, out)
	}
	return disk.Log()
}

// tryToLive has a worker live on a disk that may fail it, and returns what it
// said and how it ended.
func tryToLive(t *testing.T, disk *powercut.Disk, life int, seed uint64, steps, tries int) ([]byte, error) {
	t.Helper()
	point := t.TempDir()
	unmount, err := disk.Mount(point)
	check(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), hangs)
	defer cancel()
	worker := exec.CommandContext(ctx, os.Args[0], filepath.Join(point, "out"), filepath.Join(point, saidName(life)),
		fmt.Sprint(life), fmt.Sprint(seed), fmt.Sprint(steps), fmt.Sprint(tries))
	worker.Env = append(os.Environ(), role+"=worker")
	worker.Cancel = func() error { return worker.Process.Signal(syscall.SIGQUIT) } // it says where it hangs
	out, err := worker.CombinedOutput()
	if err2 := unmount(); err2 != nil {
		t.Error(err2)
	}
	return out, err
}

// checkImage makes an image in a directory and has it checked. If it is bad, it
// is kept.
func checkImage(t *testing.T, c *checker, image powercut.Image, said []byte, how manner) verdict {
	t.Helper()
	dir := scratch(t)
	check(t, image.Write(dir))
	check(t, os.WriteFile(filepath.Join(dir, "said"), said, 0o600))
	v := c.check(dir, how)
	check(t, os.RemoveAll(dir))
	if v.Bad == "" {
		return v
	}
	kept, err := os.MkdirTemp("", "powercut-")
	check(t, err)
	check(t, image.Write(kept))
	check(t, os.WriteFile(filepath.Join(kept, "said"), said, 0o600))
	t.Errorf("the image kept in %s: %s\n%s", kept, v.Bad, v.Log)
	return v
}

// scratch returns an empty directory, in memory where this user may write to such a place. It
// is removed at the end of the test.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "dlfs-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// tally counts verdicts.
type tally struct {
	kinds []string
	of    map[string]*count
}

type count struct{ images, bad, aside, restarts, warned, blocks, published, missing int }

func newTally() *tally { return &tally{of: map[string]*count{}} }

func (y *tally) add(kind string, v verdict) {
	n := y.of[kind]
	if n == nil {
		n = &count{}
		y.of[kind], y.kinds = n, append(y.kinds, kind)
	}
	n.images++
	n.blocks, n.published, n.missing = n.blocks+v.Blocks, n.published+v.Published, n.missing+v.Missing
	n.restarts += v.starts - 1
	if v.Bad != "" {
		n.bad++
	}
	if v.Aside {
		n.aside++
	}
	if v.Warns > 0 {
		n.warned++
	}
}

// log tells the counts. Of all states, some must have blocks and files.
func (y *tally) log(t *testing.T) {
	blocks, published := 0, 0
	for _, kind := range y.kinds {
		n := y.of[kind]
		t.Logf("%s: %+v", kind, *n)
		blocks, published = blocks+n.blocks, published+n.published
	}
	if blocks == 0 || published == 0 {
		t.Errorf("%d blocks and %d published files were met", blocks, published)
	}
}
