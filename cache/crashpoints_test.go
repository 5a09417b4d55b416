//go:build linux

package cache

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"testing"

	"dlfs/cache/hosttest"
	"dlfs/cache/powercut"
)

var (
	crashPointsFlag = flag.Int("crashpoints", 150, "states of the disk TestCrashPoints looks at; 0 for all")
	crashUnitsFlag  = flag.Int("crashunits", 6, "up to how many units TestCrashPoints tries every set of them; above, as many sets at random")
)

// TestCrashPoints goes through a short life with a bit of everything: a block,
// a sync, a published file, a new version, a redo. After each system call, every state
// in which a power cut may leave the disk is looked at.
func TestCrashPoints(t *testing.T) {
	hosttest.Need(t, hosttest.FUSE())
	rng := random(t)
	log := live(t, powercut.New(), 0, rng.Uint64(), 0)
	for _, strict := range []bool{false, true} {
		points, all := crashPoints(log, strict, rng)
		if n := *crashPointsFlag / 2; n > 0 && n < all {
			points = sample(points, all, n, rng)
		}
		c := newChecker(t)
		tally := newTally()
		seen := map[uint64]bool{}
		replay := log.Replay(strict)
		for _, p := range points {
			replay.To(p.at)
			said := replay.Read(saidName(0))
			said = said[:bytes.LastIndexByte(said, '\n')+1]
			for _, set := range p.sets {
				image := replay.CutUnits(func(unit int) bool { return set[unit] })
				if h := image.Hash("out") ^ uint64(len(said)); seen[h] {
					continue
				} else {
					seen[h] = true
				}
				v := checkImage(t, c, image, said, manner{finish: len(seen)%8 == 0})
				if v.Aside {
					t.Errorf("set aside: %s", v.Log) // too short a life for a table
				}
				tally.add("state", v)
			}
		}
		t.Logf("strict=%v: %d system calls, %d states, %d of them different and looked at", strict, len(points), all, len(seen))
		tally.log(t)
	}
}

// crashPoint is after a step of the log, with sets of units that may be found.
type crashPoint struct {
	at   int
	sets [][]bool
}

// crashPoints returns the points after each system call, and how many states
// they have.
func crashPoints(log *powercut.Log, strict bool, rng *rand.Rand) (points []crashPoint, all int) {
	for replay := log.Replay(strict); replay.Step(); {
		p := crashPoint{at: replay.At()}
		units := replay.Units()
		for k := range 1 << min(units, *crashUnitsFlag) {
			set := make([]bool, units)
			for unit := range set {
				if units <= *crashUnitsFlag {
					set[unit] = k>>unit&1 == 1
				} else {
					set[unit] = rng.IntN(2) == 0
				}
			}
			p.sets = append(p.sets, set)
		}
		all += len(p.sets)
		points = append(points, p)
	}
	return points, all
}

// sample keeps n of all states, each as likely as another.
func sample(points []crashPoint, all, n int, rng *rand.Rand) []crashPoint {
	keep := map[int]bool{}
	for _, k := range rng.Perm(all)[:n] {
		keep[k] = true
	}
	k := 0
	for i, p := range points {
		points[i].sets = nil
		for _, set := range p.sets {
			if keep[k] {
				points[i].sets = append(points[i].sets, set)
			}
			k++
		}
	}
	return points
}
