package main

import (
	"path/filepath"
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

// A share is of the whole filesystem, and a number of bytes is itself.
func TestBoundOnADisk(t *testing.T) {
	dir := t.TempDir()
	whole, half := diskSize{percent: 100}, diskSize{percent: 50}
	all, err := whole.of(dir)
	if err != nil || all <= 0 {
		t.Fatalf("size of the filesystem: %d, %v", all, err)
	}
	if n, err := half.of(dir); err != nil || n < all/2-1 || n > all/2+1 {
		t.Errorf("half of %d is %d, %v", all, n, err)
	}
	if n, err := (&diskSize{bytes: 7}).of(dir); n != 7 || err != nil {
		t.Errorf("7 bytes are %d, %v", n, err)
	}
	if n, err := (*diskSize)(nil).of(dir); n != 0 || err != nil {
		t.Errorf("no bound is %d, %v", n, err)
	}
	if _, err := half.of(filepath.Join(dir, "not there")); err == nil || !strings.Contains(err.Error(), "size of the filesystem of") {
		t.Errorf("of a directory that is not there: %v", err)
	}
}
