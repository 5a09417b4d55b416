package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// metric names something that is measured. The text is what the table and the JSON file
// show.
type metric string

const (
	wall        metric = "wall"
	again       metric = "wall, once more"
	cpu         metric = "CPU per GiB"
	peak        metric = "peak memory"
	speed       metric = "speed"
	bigReads    metric = "speed, 1 MiB reads"
	littleReads metric = "speed, 4 KiB reads"
	firstPass   metric = "speed, first pass"
	nextPass    metric = "speed, second pass"
	randomReads metric = "random 4 KiB reads, 2 threads"
	fioReads    metric = "random 4 KiB reads, 2 threads, by fio"
	median      metric = "p50"
	slowest     metric = "p99"
	usable      metric = "until usable"
	stopping    metric = "clean stop"
	requests    metric = "requests"
	traffic     metric = "origin bytes ÷ content bytes"
	filled      metric = "share of the link in use"
	overrun     metric = "most bytes above the bound"
	hits        metric = "hit share"
	perEpoch    metric = "origin bytes an epoch ÷ content bytes"
)

// text returns a value of m as people read it. Times are in seconds, sizes in
// bytes, speeds in bytes a second.
func (m metric) text(v float64) string {
	switch m {
	case wall, again, cpu, median, slowest, usable, stopping:
		return secondsText(v)
	case speed, bigReads, littleReads, firstPass, nextPass:
		return threeDigits(v/1e6) + " MB/s"
	case peak, overrun:
		return threeDigits(v/1e6) + " MB"
	case randomReads, fioReads:
		return threeDigits(v/1e3) + " k/s"
	}
	return fmt.Sprintf("%.4g", v)
}

// secondsText returns a time in the unit that suits it.
func secondsText(v float64) string {
	switch {
	case v < 0.001:
		return threeDigits(v*1e6) + " µs"
	case v < 1:
		return threeDigits(v*1e3) + " ms"
	}
	return threeDigits(v) + " s"
}

// threeDigits returns v with two digits after the point below 10, one below 100, none
// from there on, and never with an exponent.
func threeDigits(v float64) string {
	digits := 0
	for x := v; x < 100 && digits < 2; x *= 10 {
		digits++
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// sample has the figures of one run of one contestant, each in the unit that
// metric.text says.
type sample map[metric]float64

// String returns the figures in the order of their names.
func (x sample) String() string {
	var all []string
	for _, m := range slices.Sorted(maps.Keys(x)) {
		all = append(all, string(m)+" "+m.text(x[m]))
	}
	return strings.Join(all, ", ")
}

// figures are the samples of a contestant, one a round.
type figures []sample

// stat is a metric over all rounds.
type stat struct{ median, min, max float64 }

// of returns the statistics of m; ok tells whether every sample has it.
func (f figures) of(m metric) (s stat, ok bool) {
	var values []float64
	for _, x := range f {
		v, ok := x[m]
		if !ok {
			return stat{}, false
		}
		values = append(values, v)
	}
	if len(values) == 0 {
		return stat{}, false
	}
	slices.Sort(values)
	return stat{percentile(values, 0.5), values[0], values[len(values)-1]}, true
}

// percentile returns the value below which a share p of the sorted values lies, p from
// 0 to 1, and interpolates between two values where p falls between them. sorted is not
// empty.
func percentile(sorted []float64, p float64) float64 {
	at := p * float64(len(sorted)-1)
	i := int(at)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// text returns the median, and the least and the most if they differ.
func (s stat) text(m metric) string {
	if s.min == s.max {
		return m.text(s.median)
	}
	return fmt.Sprintf("%s (%s – %s)", m.text(s.median), m.text(s.min), m.text(s.max))
}

// sizeText returns a size in the largest unit that divides it.
func sizeText(n int64) string {
	for _, unit := range []struct {
		size int64
		name string
	}{{1 << 40, "TiB"}, {1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n%unit.size == 0 && n > 0 {
			return fmt.Sprintf("%d %s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
