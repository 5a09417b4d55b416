package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"dlfs/fetch/origin"
)

// The demo runs with the defaults of the command line, which are those of package origin.
func TestDemoHasTheDefaults(t *testing.T) {
	f, err := new(demoCmd).flags()
	if err != nil {
		t.Fatal(err)
	}
	if err := f.validate(); err != nil {
		t.Error(err)
	}
	if f.Tries != origin.DefaultTries || f.RetryWait != origin.DefaultRetryWait || f.ConnectFor != origin.DefaultConnectTimeout ||
		f.IdleFor != origin.DefaultTimeout || f.MaxWait != origin.DefaultMaxWait {
		t.Errorf("flags %+v", f.requestFlags)
	}
	if !f.NoNetrc || f.Split == 0 || f.Jobs == 0 {
		t.Errorf("flags %+v", f)
	}
}

// Without FUSE the demo fetches its list, and the files are right.
func TestDemoFetches(t *testing.T) {
	files := demoFiles()[:2]
	base, stop, err := serveDemo(files, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	list, dir := filepath.Join(t.TempDir(), "list.txt"), filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(list, demoList(files, base), 0o600); err != nil {
		t.Fatal(err)
	}
	c := new(demoCmd)
	c.Quiet = true
	c.progressFlags = progressFlags{Progress: "none", Stats: time.Second}
	flags, err := c.flags()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.fetch(t.Context(), stdio{out: io.Discard, err: io.Discard, signals: new(signals)}, list, dir, flags); err != nil {
		t.Fatal(err)
	}
	if err := verifyDemo(io.Discard, dir, files); err != nil {
		t.Error(err)
	}
}
