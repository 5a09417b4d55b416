//go:build linux

package fs

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"dlfs/fetch/origintest"
)

// .dlfs/errors has a line for each file whose last attempt failed, as user.dlfs.error tells it,
// and no line for a file that can be had. Each open tells what the reasons are then.
func TestReasons(t *testing.T) {
	x := newRig(t)
	x.add("good", 10)
	x.add("gone", 10)
	x.add("refused", 10)
	x.Inject(origintest.Status(404).On("/gone"), origintest.Status(403).On("/refused"))
	x.config.ControlSocket = "/run/control.sock" // beside it is the file
	x.start()
	path := x.path(".dlfs/errors")
	if before, err := os.ReadFile(path); err != nil || len(before) > 0 {
		t.Errorf("before any file was asked for: %q, %v", before, err)
	}
	for _, name := range []string{"good", "gone", "refused"} {
		if _, err := os.ReadFile(x.path(name)); (err == nil) != (name == "good") {
			t.Errorf("reading %s: %v", name, err)
		}
	}
	text, err := os.ReadFile(path)
	must(t, err)
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != 2 {
		t.Fatalf("lines: %q", lines)
	}
	for i, name := range []string{"gone", "refused"} {
		told, reason, _ := strings.Cut(lines[i], "\t")
		if want, err := xattr(x.path(name), xattrError); told != name || reason != want || err != nil {
			t.Errorf("line %q, want %s and its reason %q, %v", lines[i], name, want, err)
		}
	}
	if _, err := os.OpenFile(path, os.O_WRONLY, 0); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened for writing: %v", err)
	}
}

// No text of an origin ends a line of the file, or is obeyed by a terminal.
func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{
		"404 Not Found":       "404 Not Found",
		"Zürich \u2603":       "Zürich \u2603",
		"a\tb\nc\r":           "a\ufffdb\ufffdc\ufffd",
		"\x1b[31mred\x07":     "\ufffd[31mred\ufffd",
		"\u202etxt.exe\u200b": "\ufffdtxt.exe\ufffd",
	} {
		if got := oneLine(text); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", text, got, want)
		}
	}
}
