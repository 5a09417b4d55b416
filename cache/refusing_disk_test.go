//go:build linux

package cache

import (
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
	"dlfs/cache/powercut"
)

var refusalsFlag = flag.Int("refusals", 10, "lives of TestDiskRefuses")

// TestDiskRefuses has a process work on a disk that refuses changes: for good,
// or some. It says what it cannot do, and does not die of it; where the disk
// takes everything again, so does the store, without a restart. What was
// promised is there afterwards, and whatever is there is right.
func TestDiskRefuses(t *testing.T) {
	hosttest.NeedTime(t)
	hosttest.Need(t, hosttest.FUSE())
	rng := random(t)
	c := newChecker(t)
	tally := newTally()
	for range *refusalsFlag {
		seed, steps := rng.Uint64(), 20+rng.IntN(60)
		f := powercut.Faults{But: saidName(1)}
		whole := powercut.New()
		whole.Refuse(f) // none, but counted the same
		live(t, whole, 1, seed, steps)
		log := whole.Log()
		replay := log.Replay(false)
		replay.To(log.Len())
		tally.add("nothing refused", checkImage(t, c, replay.Cut(powercut.Model(rng.IntN(3)), rng), promised(replay, 1), manner{}))

		f.Err = []syscall.Errno{syscall.ENOSPC, syscall.EDQUOT, syscall.EIO}[rng.IntN(3)]
		f.From = 1 + rng.IntN(whole.Asked())
		kind, tries := "for good", 1
		if rng.IntN(2) == 0 {
			f.Before = f.From + 1 + rng.IntN(4)
			kind, tries = "for a while", 100
		}
		disk := powercut.New()
		disk.Refuse(f)
		out, err := tryToLive(t, disk, 1, seed, steps, tries)
		var exit *exec.ExitError
		if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
			t.Errorf("seed %d, %d steps, %+v: %v\n%s", seed, steps, f, err, out)
		}
		if err != nil && f.Before > 0 && disk.Asked() >= f.Before {
			t.Errorf("seed %d, %d steps, %+v: the disk is well again, and the store is not: %v\n%s", seed, steps, f, err, out)
		}
		log = disk.Log()
		replay = log.Replay(false)
		replay.To(log.Len())
		v := checkImage(t, c, replay.Cut(powercut.Model(rng.IntN(3)), rng), promised(replay, 1), manner{finish: true, refused: true})
		tally.add(fmt.Sprintf("%v %s", f.Err, kind), v)
	}
	tally.log(t)
}
