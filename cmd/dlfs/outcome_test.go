package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"dlfs/cache"
	"dlfs/fetch"
)

// TestTheWorstReasonIsTheExitCode tries every pair of reasons to be incomplete.
func TestTheWorstReasonIsTheExitCode(t *testing.T) {
	full := fmt.Errorf("store: %w", cache.ErrNoSpace)
	tests := []struct {
		about           string
		t               fetch.Totals
		runErr, stopped error
		want            int
	}{
		{"complete", fetch.Totals{FilesTotal: 3, FilesComplete: 3}, nil, nil, 0},
		{"complete, and yet stopped", fetch.Totals{FilesTotal: 3, FilesComplete: 3}, nil, errInterrupted, 0},
		{"URLs", fetch.Totals{FilesTotal: 3, FilesComplete: 1, FilesFailed: 2, FilesNeedURL: 2}, nil, nil, 24},
		{"URLs and a failure", fetch.Totals{FilesTotal: 3, FilesComplete: 1, FilesFailed: 2, FilesNeedURL: 1}, nil, nil, 1},
		{"URLs and a digest", fetch.Totals{FilesTotal: 3, FilesComplete: 1, FilesFailed: 2, FilesNeedURL: 1, FilesMismatch: 1}, nil, nil, 32},
		{"a digest and a failure", fetch.Totals{FilesTotal: 3, FilesComplete: 1, FilesFailed: 2, FilesMismatch: 1}, nil, nil, 32},
		{"a digest and a full disk", fetch.Totals{FilesTotal: 3, FilesFailed: 1, FilesMismatch: 1}, full, nil, 9},
		{"interrupted with a failure", fetch.Totals{FilesTotal: 3, FilesFailed: 1}, nil, errInterrupted, 7},
		{"another error", fetch.Totals{FilesTotal: 3}, errors.New("input/output error"), nil, 1},
	}
	for _, tt := range tests {
		err := outcome(tt.t, "/dir", tt.runErr, tt.stopped)
		got, e := 0, new(exitError)
		switch {
		case errors.As(err, &e):
			got = e.code
		case err != nil:
			got = exitFailed
		}
		if got != tt.want {
			t.Errorf("%s: exit code %d, want %d (%v)", tt.about, got, tt.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q is more than a line", tt.about, err)
		}
	}
}

// TestKeptReasonsAreWholeText keeps reasons that are longer than what is kept of each.
func TestKeptReasonsAreWholeText(t *testing.T) {
	var failures []fetch.EntryStatus
	for i := range 4 {
		failures = append(failures, fetch.EntryStatus{Name: fmt.Sprint(i), Error: strings.Repeat("x", i) + strings.Repeat("ü", reasonKept)})
	}
	var run lastRun
	run.keep(failures)
	if len(run.Failures) != len(failures) {
		t.Errorf("%d of %d failures are kept", len(run.Failures), len(failures))
	}
	for i, f := range run.Failures {
		begin := strings.TrimSuffix(f.Error, "…")
		if !utf8.ValidString(begin) || !strings.HasPrefix(failures[i].Error, begin) || len(begin) > reasonKept || len(begin) < reasonKept-1 {
			t.Errorf("kept %d bytes: %q", len(begin), f.Error)
		}
	}
}

// TestSummariesAreBounded has more failures than a person reads.
func TestSummariesAreBounded(t *testing.T) {
	var failures []fetch.EntryStatus
	for i := range 50 {
		state := "failed"
		if i%2 == 1 {
			state = "needs-url"
		}
		failures = append(failures, fetch.EntryStatus{Name: fmt.Sprintf("f%02d", i), State: state, Error: "no"})
	}
	var out bytes.Buffer
	summarize(&out, fetch.Totals{FilesTotal: 50, FilesFailed: 50, FilesNeedURL: 25}, failures, 0, "/dir")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2*(failuresShown+1)+1 {
		t.Fatalf("%d lines:\n%s", len(lines), out.String())
	}
	for i, want := range map[int]string{0: "failed: f00: no", 20: "failed: 5 more", 21: "needs a URL: f01: no", 41: "needs a URL: 5 more"} {
		if lines[i] != want {
			t.Errorf("line %d is %q, want %q", i, lines[i], want)
		}
	}
}

func TestADifferenceNamesAFew(t *testing.T) {
	tests := []struct {
		d    fetch.Difference
		want string
	}{
		{fetch.Difference{}, "list unchanged\n"},
		{fetch.Difference{Added: []string{"a", "b"}, Removed: []string{"c"}}, "+2 added: a, b\n-1 removed: c\n"},
		{fetch.Difference{NewURL: strings.Split("abcdefg", "")}, "~7 new URL: a, b, c, d, e and 2 more\n"},
		{fetch.Difference{Removed: []string{"a\x1b[2J"}}, "-1 removed: a\uFFFD[2J\n"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		printDifference(&out, "", tt.d)
		if out.String() != tt.want {
			t.Errorf("got %q, want %q", out.String(), tt.want)
		}
	}
}
