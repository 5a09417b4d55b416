package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/peers"
)

// What a person has to know or do has a line each, and nothing has one that is as it should be.
func TestNotesOfAStatus(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	for _, tt := range []struct {
		about string
		s     Status
		want  []string
	}{
		{"all is well", Status{}, nil},
		{"disk is full", Status{DiskFull: "no space left on the disk"}, []string{"no space left on the disk; nothing is stored until there is room"}},
		{"one reader", Status{Readers: []fetch.Wait{{Name: "a", Readers: 1, Since: at}}}, []string{"1 reader waits for a since 05:06:07"}},
		{"many readers", Status{Readers: []fetch.Wait{{Name: "a", Readers: 3, Since: at}, {Name: "b", Readers: 1}, {Name: "c", Readers: 1}}},
			[]string{"3 readers wait for a since 05:06:07, and others for 2 files more"}},
		{"other machines", Status{Totals: fetch.Totals{PeerBytes: 3 << 20, ServedBytes: 1 << 20}, Peers: []peers.State{{Name: "x:1", State: "up"}, {Name: "y:1", State: "slow"}}},
			[]string{"2 other machines: 3.0 MiB came from them, and 1.0 MiB went to them"}},
		{"machines that do not answer", Status{Peers: []peers.State{{Name: "x:1", State: "out"}, {Name: "y:1", State: "up"}, {Name: "z:1", State: "out"}}},
			[]string{"3 other machines: 0 B came from them, and 0 B went to them; 2 do not answer, x:1 among them"}},
		{"last run", Status{Totals: fetch.Totals{FilesTotal: 2, FilesComplete: 1}, LastRun: &lastRun{Ended: at, Code: 1, Why: "1 file failed"}},
			[]string{"the last run ended at 2026-03-04 05:06:07: 1 file failed"}},
		{"last run, and all has come since", Status{Totals: fetch.Totals{FilesTotal: 2, FilesComplete: 2}, LastRun: &lastRun{Ended: at, Why: "1 file failed"}}, nil},
	} {
		if got := tt.s.notes(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.about, got, tt.want)
		}
	}
}

// The first line of a status names the host that is left alone for longest, and when URLs expire.
func TestLineOfAStatus(t *testing.T) {
	until := time.Date(2026, 3, 4, 5, 6, 7, 0, time.Local)
	soon, gone := time.Now().Add(time.Hour), time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	for want, s := range map[string]Status{
		"h1 asks to be left alone until 05:06:07":                       {Waiting: []origin.Pause{{Host: "h1", Until: until}}},
		"h1 asks to be left alone until 05:06:07, and so do 2 more":     {Waiting: []origin.Pause{{Host: "h1", Until: until}, {Host: "h2"}, {Host: "h3"}}},
		"the URLs of 7 expired from 2020-01-02 03:04:05 UTC on":         {Expires: &gone, Expiring: 7},
		"the URLs of 1 expire from " + soon.UTC().Format(time.DateTime): {Expires: &soon, Expiring: 1},
		"limit 10 MiB/s": {Limit: 10 << 20},
	} {
		if line := s.line(); !strings.Contains(line, ", "+want) {
			t.Errorf("%q lacks %q", line, want)
		}
	}
}
