package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// A mount over a directory says what it hides there.
func TestTellHidden(t *testing.T) {
	dir := t.TempDir()
	store, err := cache.Open(dir, cache.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client := origin.New(origin.Options{})
	set := fetch.New(t.Context(), store, client, []listfile.Entry{{Name: "a.bin"}, {Name: "sub/b.bin"}}, fetch.Options{})
	defer func() {
		set.Close()
		client.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}()
	told := func() string {
		var b strings.Builder
		if err := tellHidden(&b, dir, set); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, name := range []string{"a.bin", "sub/b.bin"} { // as if they had been fetched
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(); got != "" {
		t.Errorf("of listed files: %q", got)
	}
	if err := os.WriteFile(filepath.Join(dir, "labels.csv"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := told(); !strings.HasPrefix(got, "dlfs: labels.csv is not in the list, and is hidden") {
		t.Errorf("of one: %q", got)
	}
	if err := os.Mkdir(filepath.Join(dir, "notes"), 0o755); err != nil {
		t.Fatal(err)
	}
	if got := told(); !strings.HasPrefix(got, "dlfs: 2 files and directories are not in the list") {
		t.Errorf("of two: %q", got)
	}
	for _, name := range []string{"notes/1.txt", "sub/extra.txt"} { // the first is hidden with its directory
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got := told(); !strings.HasPrefix(got, "dlfs: 3 files and directories are not in the list, such as labels.csv,") {
		t.Errorf("of three: %q", got)
	}
}
