package main

import (
	"testing"

	"dlfs/fetch"
)

// TestBoundText: status tells what the bound costs once there is something to tell.
func TestBoundText(t *testing.T) {
	for _, tt := range []struct {
		bound fetch.BoundStatus
		want  string
	}{
		{fetch.BoundStatus{Max: 4 << 30, Used: 1 << 30}, "1.0 GiB of --max-size 4.0 GiB used"},
		{fetch.BoundStatus{Max: 4 << 30, Used: 4 << 30, Read: 1000, Hit: 648, Refetched: 3 << 20, Stopped: true, Pinned: 1},
			"4.0 GiB of --max-size 4.0 GiB used, so prefetch stops, 64% of the bytes read were present, 3.0 MiB fetched again after eviction, 1 file pinned"},
	} {
		if got := boundText(&tt.bound); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.bound, got, tt.want)
		}
	}
}
