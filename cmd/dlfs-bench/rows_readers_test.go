package main

import (
	"slices"
	"testing"
)

func TestOffsetsOfPatterns(t *testing.T) {
	for _, tt := range []struct {
		what      string
		got, want []int64
	}{
		{"backwards", steps(3, 100, -10), []int64{100, 90, 80}},
		{"in turns", turns(2, 3, 1000, 10), []int64{0, 1000, 10, 1010, 20, 1020}},
	} {
		if !slices.Equal(tt.got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.what, tt.got, tt.want)
		}
	}
	offs := scattered(50, 64, 6400)
	if !slices.Equal(offs, scattered(50, 64, 6400)) {
		t.Error("offsets at random differ from one call to the next")
	}
	if slices.IsSorted(offs) || slices.ContainsFunc(offs, func(off int64) bool { return off < 0 || off > 6400-64 || off%64 != 0 }) {
		t.Errorf("offsets at random are %v", offs)
	}
}

// Each pattern stays within its file, and both figures of it have a goal.
func TestPatterns(t *testing.T) {
	for _, p := range patterns() {
		if n := p.needed(); n <= 0 || n > p.load.bytes() {
			t.Errorf("%s needs %d of %d bytes", p.name, n, p.load.bytes())
		}
		if (p.program == "") == (p.job == nil) {
			t.Errorf("%s has no program or reads, or both", p.name)
		}
		for _, m := range []metric{wall, traffic} {
			if p.wants[m].metric != m {
				t.Errorf("%s has no goal for %s", p.name, m)
			}
		}
		if p.job == nil {
			continue
		}
		for _, off := range p.job.Offsets {
			if off < 0 || off+int64(p.job.Block) > p.load.Size {
				t.Errorf("%s reads at %d, outside of its file", p.name, off)
			}
		}
	}
}
