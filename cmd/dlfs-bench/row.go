package main

import (
	"context"
	"fmt"
)

// row is one comparison: what is measured, with whom, and what must come of it.
type row struct {
	name  string // as the table shows it
	needs []need // of the machine; without them the row is left out
	long  bool   // not for a short run

	// set lays out the stage and returns the contestants. It is called once, before the first
	// round. What it makes is taken down by stage.atEnd.
	set   func(ctx context.Context, s *stage) ([]contestant, error)
	goals []goal
}

// contestant is who is measured in a row: dlfs, a peer, or an ideal.
type contestant struct {
	name string

	// run does the work of the row once and returns the figures. Rounds count from 0; in round 0
	// every byte of the result is compared.
	run   func(ctx context.Context, round int) (sample, error)
	needs []need // of the machine; without them the row goes on without the contestant
}

// The names of contestants that rows share.
const (
	ours  = "dlfs"
	ideal = "ideal"
	plain = "the file itself"

	onDisk = "files on disk"
)

// idealOf is a contestant whose figure is computed and not measured: what the link or
// the origin allows at best.
func idealOf(m metric, v float64) contestant {
	return contestant{name: ideal, run: func(context.Context, int) (sample, error) { return sample{m: v}, nil }}
}

// goal is a bound of a figure of ours: of its ratio to another contestant's figure, of the
// difference from it, or of the figure by itself. Each goal is a line of the table.
type goal struct {
	of     string // the contestant whose figure is judged; dlfs if empty
	metric metric
	than   string // the contestant whose figure is the measure; none if empty
	bound  bound
}

// bound is the most or the least a figure may be. The zero bound is none: it
// is enough that the row works, or that the figures can be compared.
type bound struct {
	sign  string
	value float64
}

// more is the sign of a bound of how much more a figure may be than its measure.
const more = "≤ +"

// The bounds: of a figure or a ratio, and of the difference from the measure.
func atMost(v float64) bound     { return bound{"≤", v} }
func atLeast(v float64) bound    { return bound{"≥", v} }
func atMostMore(v float64) bound { return bound{more, v} }

// holds reports whether a value meets the bound. Every value meets the zero bound.
func (b bound) holds(v float64) bool {
	switch b.sign {
	case "≤", more:
		return v <= b.value
	case "≥":
		return v >= b.value
	}
	return true
}

// verdict is how a goal came out.
type verdict struct {
	measured bool // false if a tool was left out
	ours     stat
	measure  stat    // if the goal has one
	ratio    float64 // if the goal has a measure
	met      bool
}

// judge compares the median of the goal's figure, or its ratio or difference, with the
// bound. The verdict is not measured if a figure is missing, or if the measure is 0.
func (g goal) judge(all map[string]figures) (v verdict) {
	var ok bool
	if v.ours, ok = all[g.whose()].of(g.metric); !ok {
		return v
	}
	judged := v.ours.median
	if g.than != "" {
		if v.measure, ok = all[g.than].of(g.metric); !ok || v.measure.median == 0 {
			return v
		}
		v.ratio = v.ours.median / v.measure.median
		judged = v.ratio
	}
	if g.bound.sign == more {
		judged = v.ours.median - v.measure.median
	}
	v.measured, v.met = true, g.bound.holds(judged)
	return v
}

// whose is the name of the contestant that the goal is about.
func (g goal) whose() string {
	if g.of == "" {
		return ours
	}
	return g.of
}

// text returns the goal as the table shows it.
func (g goal) text() string {
	switch {
	case g.bound.sign == "" && g.than == "":
		return "works"
	case g.bound.sign == "":
		return ""
	case g.bound.sign == more:
		return more + " " + g.metric.text(g.bound.value)
	case g.than == "":
		return g.bound.sign + " " + g.metric.text(g.bound.value)
	}
	return fmt.Sprintf("%s %.4g ×", g.bound.sign, g.bound.value)
}
