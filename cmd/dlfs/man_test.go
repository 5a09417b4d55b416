package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestManPages: every command has a page that roff reads without a warning, and that has
// its flags; the page of the program has the exit codes.
func TestManPages(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := setup(t, "man", "--to", dir); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	printed, _, _ := setup(t, "man")
	whole, err := os.ReadFile(filepath.Join(dir, "dlfs.1"))
	if err != nil || printed != string(whole) {
		t.Errorf("%v; what is printed is not dlfs.1", err)
	}
	for _, want := range []string{".B 24\nall that is left needs URLs", ".BR dlfs\\-setup\\-systemd (1)\n", ".BR dlfs\\-mount (1)\n"} {
		if !strings.Contains(printed, want) {
			t.Errorf("no %q in %s", want, printed)
		}
	}
	mount, err := os.ReadFile(filepath.Join(dir, "dlfs-mount.1"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{".BI \\-d,\\ \\-\\-dir= DIR\n", "$DLFS_JOBS", ".SH REQUESTS\n"} {
		if !strings.Contains(string(mount), want) {
			t.Errorf("no %q in %s", want, mount)
		}
	}
	if strings.Contains(printed, "statfs") {
		t.Error("a hidden command is told")
	}
	groff, err := exec.LookPath("groff")
	need(t, err)
	pages, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil || len(pages) < 15 {
		t.Errorf("%d pages, %v", len(pages), err)
	}
	for _, page := range pages {
		out, err := exec.CommandContext(t.Context(), groff, "-man", "-Tutf8", "-Kutf8", "-ww", "-z", page).CombinedOutput()
		if err != nil || len(out) > 0 {
			t.Errorf("%s: %v %s", filepath.Base(page), err, out)
		}
	}
	if _, errs, code := setup(t, "man", "--to", filepath.Join(dir, "none")); code != exitFailed || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, errs)
	}
}
