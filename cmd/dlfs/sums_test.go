package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"dlfs/fetch"
)

// Sizes may add up to more than 2^63, and come near to it alone.
func TestSumsBeyondInt64(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{
		{0, -1, "?"}, {0, 0, "100%"}, {1, 3, "33%"}, {29, 100, "29%"}, {999, 1000, "99%"}, {7, 7, "100%"}, {9, 7, "100%"},
		{math.MaxInt64, math.MaxInt64, "100%"}, {math.MaxInt64 - 1, math.MaxInt64, "99%"},
		{math.MaxInt64 / 2, math.MaxInt64, "49%"}, {math.MaxInt64/2 + 1, math.MaxInt64, "50%"}, {-5, 10, "0%"}, {math.MinInt64, math.MaxInt64, "0%"},
	} {
		if got := percent(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %s, want %s", c.part, c.whole, got, c.want)
		}
		if bar := drawBar(c.part, c.whole, 10); len(bar) != 10 || strings.Trim(bar, "[]= ") != "" {
			t.Errorf("bar of %d of %d is %q", c.part, c.whole, bar)
		}
	}
	for _, c := range []struct{ a, b, want int64 }{
		{1, 2, 3}, {math.MaxInt64, 1, math.MaxInt64}, {1 << 62, 1 << 62, math.MaxInt64}, {math.MaxInt64, math.MaxInt64, math.MaxInt64}, {5, -1, 5},
	} {
		if got := addBytes(c.a, c.b); got != c.want {
			t.Errorf("%d and %d are %d, want %d", c.a, c.b, got, c.want)
		}
	}
	if got := timesBytes(math.MaxUint64, 1<<20); got != math.MaxInt64 {
		t.Errorf("a vast disk has %d bytes free", got)
	}
	if got := timesBytes(1000, 4096); got != 4_096_000 {
		t.Errorf("1000 blocks are %d bytes", got)
	}
	if d := timeLeft(math.MaxInt64, 1); d != 0 {
		t.Errorf("an estimate of %v", d)
	}
	if d := timeLeft(1000, 100); d != 10*time.Second {
		t.Errorf("an estimate of %v", d)
	}
	f := frame{Totals: fetch.Totals{TotalBytes: math.MaxInt64, FilesTotal: 4, FilesKnown: 4}, rate: 1, eta: timeLeft(math.MaxInt64, 1)}
	if line := f.line(); line != "0/4 files, 0 B of 8.0 EiB, 0%, 1 B/s" {
		t.Errorf("%q", line)
	}
	var out strings.Builder
	(&estimate{files: 4, bytes: math.MaxInt64, present: 7, dir: "o", free: math.MaxInt64, freeKnown: true}).print(&out)
	if want := "4 files, 8.0 EiB\n8.0 EiB to fetch, 8.0 EiB free in o\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
