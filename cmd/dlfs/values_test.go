package main

import (
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5": 5 * time.Second, "0.25": 250 * time.Millisecond, "1m30s": 90 * time.Second, "0": 0, " 2h ": 2 * time.Hour, "-1": -time.Second,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%q is %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "soon", "5 days", "1e30", "NaN"} {
		if got, err := parseDuration(text); err == nil {
			t.Errorf("%q is %v; want an error", text, got)
		}
	}
}

func TestParseBytes(t *testing.T) {
	for _, c := range []struct {
		text string
		unit float64
		want int64
	}{
		{"0", 1, 0}, {"7", 1, 7}, {"64", 1 << 20, 64 << 20}, {"1G", 1 << 20, 1 << 30}, {"1.5GiB", 1, 3 << 29},
		{"500kB", 1 << 20, 500 << 10}, {"10b", 1 << 20, 10}, {"0", 1 << 20, 0}, {" 2 T", 1, 2 << 40},
	} {
		if got, err := parseBytes(c.text, c.unit); err != nil || got != c.want {
			t.Errorf("%q in units of %v is %d, %v; want %d", c.text, c.unit, got, err, c.want)
		}
	}
	for _, text := range []string{"", "much", "-1", "1X", "9999999T", "NaN", "0.1b", "G"} {
		if got, err := parseBytes(text, 1); err == nil {
			t.Errorf("%q is %d; want an error", text, got)
		}
	}
}
