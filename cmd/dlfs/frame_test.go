package main

import (
	"strings"
	"testing"
	"time"

	"github.com/mattn/go-runewidth"

	"dlfs/fetch"
)

// TestBarOfUnknownSizes: bytes that nobody knows of are not there.
func TestBarOfUnknownSizes(t *testing.T) {
	for _, c := range []struct {
		t    fetch.Totals
		want int // percent
	}{
		{fetch.Totals{FilesTotal: 8, FilesKnown: 1, FilesComplete: 1, TotalBytes: 100, PresentBytes: 100}, 12},
		{fetch.Totals{FilesTotal: 8, FilesKnown: 8, FilesComplete: 8, TotalBytes: 100, PresentBytes: 100}, 100},
		{fetch.Totals{FilesTotal: 8, FilesKnown: 8, TotalBytes: 100, PresentBytes: 99}, 99},
		{fetch.Totals{FilesTotal: 8}, 0},
		{fetch.Totals{FilesTotal: 4, FilesKnown: 2, FilesComplete: 2}, 50},
		{fetch.Totals{FilesTotal: 2, FilesKnown: 2, FilesComplete: 2}, 100},
	} {
		if got := presentOf(c.t, 100); got != c.want {
			t.Errorf("%+v: %d%%, want %d%%", c.t, got, c.want)
		}
	}
	p := &picture{frame: frame{Totals: fetch.Totals{FilesTotal: 8, FilesKnown: 1, FilesComplete: 1, FilesFailed: 7, TotalBytes: 100, PresentBytes: 100}}}
	if line := p.overall(120); !strings.Contains(line, "=    ") || !strings.Contains(line, "12%") {
		t.Errorf("%q shows all of the bar", line)
	}
}

// TestNarrowDisplay: each width has a line that fits and still tells the most important.
func TestNarrowDisplay(t *testing.T) {
	p := &picture{frame: frame{rate: 1 << 20, eta: 90 * time.Second, Totals: fetch.Totals{FilesTotal: 1200, FilesKnown: 1200, FilesComplete: 400,
		FilesFailed: 3, TotalBytes: 3 << 30, PresentBytes: 1 << 30}}}
	e := fetch.EntryStatus{Name: "d/very/long/directory/name/that/goes/on/file.tar", Size: 100, Present: 42}
	for width := 1; width < 140; width++ {
		overall, active := p.overall(width), activeLine(e, width)
		if runewidth.StringWidth(overall) > width || runewidth.StringWidth(active) > width {
			t.Errorf("%d columns: %q, %q", width, overall, active)
		}
		if width >= 30 && !(strings.Contains(overall, "400/1200") && strings.Contains(overall, "33%") && strings.Contains(overall, "3 failed")) {
			t.Errorf("%d columns: %q", width, overall)
		}
		if width >= 20 && !(strings.Contains(active, "file.tar") && strings.Contains(active, "42%")) {
			t.Errorf("%d columns: %q", width, active)
		}
	}
}
