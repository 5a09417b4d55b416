package fetch

import (
	"fmt"
	"slices"

	"dlfs/cache/lockorder"
)

// check panics where the state of a version contradicts itself. The caller holds file.mu. It does
// nothing unless the program is built with the tag lockcheck.
//
// INVARIANT: no two flights on the table bring the same block, unless one of them streams
// the file from its start; a flight on the table is within the file and of this version;
// and a mirror counts at least the flights on the table that use it.
func (fi *fill) check() {
	if !lockorder.Checked {
		return
	}
	uses := map[*mirror]int{}
	for i, a := range fi.flights {
		uses[a.mirror]++
		if a.fill != fi || a.holds < 0 || a.pos < a.start || a.pos > a.end || a.end > fi.blob.Version().Size {
			panic(fmt.Sprintf("%s: stray flight over [%d, %d), at %d, held %d times", fi.file.name, a.start, a.end, a.pos, a.holds))
		}
		for _, b := range fi.flights[:i] {
			if !a.whole && !b.whole && max(a.pos, b.pos) < min(a.end, b.end) {
				panic(fmt.Sprintf("%s: [%d, %d) and [%d, %d) are both in flight", fi.file.name, a.pos, a.end, b.pos, b.end))
			}
		}
	}
	for m, n := range uses {
		if m.flights < n {
			panic(fmt.Sprintf("%s: a mirror counts %d flights of %d", fi.file.name, m.flights, n))
		}
	}
}

// checkListed panics where a flight that was not given up puts blocks and is not on
// the table: another flight may bring them, too. It does nothing unless the program is
// built with the tag lockcheck.
func (fl *flight) checkListed() {
	if lockorder.Checked && fl.ctx.Err() == nil && !slices.Contains(fl.fill.flights, fl) {
		panic(fmt.Sprintf("%s: a flight over [%d, %d) is not on the table", fl.fill.file.name, fl.pos, fl.end))
	}
}
