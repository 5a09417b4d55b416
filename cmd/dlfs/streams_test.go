package main

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"dlfs/fetch/origintest"
)

// Where standard streams are closed, no file that is opened later takes their
// place: nothing that is printed gets into it.
func TestClosedStreams(t *testing.T) {
	o := origintest.New()
	base := o.Serve(t)
	content := origintest.Content{Seed: 1, Size: 100_000}
	o.Put("/a", origintest.File{Content: content})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, closed := range []string{"<&-", ">&-", "2>&-", "<&- >&- 2>&-"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "list.txt"), []byte("a\t"+base+"/a\nnone\t"+base+"/none\n"))
		cmd := exec.CommandContext(t.Context(), "bash", "-c", `cd "$1" && exec -a dlfs "$0" fetch -vv list.txt out `+closed, self, dir)
		if code := exitCode(cmd.Run()); code != exitFailed {
			t.Errorf("%s: exit code %d", closed, code)
		}
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || !e.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			// The state keeps the reasons of failures, too, in other words.
			for _, printed := range []string{"files complete in ", "failed: none: "} {
				if bytes.Contains(b, []byte(printed)) {
					t.Errorf("%s: %s has %q", closed, path, printed)
				}
			}
			if e.Name() == "a" {
				if err := content.Check(b, 0); err != nil {
					t.Errorf("%s: %v", closed, err)
				}
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}
