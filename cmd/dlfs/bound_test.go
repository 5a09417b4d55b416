package main

import (
	"strings"
	"testing"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// TestUnpinWhatIsTooLarge: files can be unpinned although those that stay pinned have no room,
// as when their sizes were not known before; no more can be pinned then.
func TestUnpinWhatIsTooLarge(t *testing.T) {
	store, err := cache.Open(t.TempDir(), cache.Options{MinFree: 1, MaxSize: 100 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	var entries []listfile.Entry
	for _, name := range []string{"a", "b", "c"} {
		entries = append(entries, listfile.Entry{Name: name, URL: "http://localhost/" + name, Details: &listfile.Details{Size: 90 << 20}})
	}
	set := fetch.New(t.Context(), store, origin.New(origin.Options{}), entries, fetch.Options{Serve: true})
	defer set.Close()
	e := &engine{store: store, set: set}
	set.File("a").SetPinned(true)
	set.File("b").SetPinned(true)
	if err := e.pinLocked(pinRules{"+a", "+b", "-b"}); err != nil {
		t.Error(err)
	}
	if set.File("b").Pinned() || !set.File("a").Pinned() {
		t.Error("b is pinned still, or a is not")
	}
	if err := e.pinLocked(pinRules{"+a", "+c"}); err == nil || !strings.Contains(err.Error(), "pin fewer") || set.File("c").Pinned() {
		t.Errorf("pinning more: %v", err)
	}
}

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
