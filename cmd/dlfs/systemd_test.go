package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// setup runs "dlfs setup ARGS" and returns what it prints.
func setup(t *testing.T, args ...string) (out, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(context.Background(), append([]string{"setup"}, args...), stdio{in: strings.NewReader(""), out: &o, err: &e})
	return o.String(), e.String(), code
}

// TestSetupSystemd: the units of hostile names are what systemd understands.
func TestSetupSystemd(t *testing.T) {
	for _, c := range []struct{ name, list, point, start, watch string }{
		{"plain", "list.txt", "mnt", "list.txt ", "list.txt"},
		{"blanks", "my list.txt", "my data", `my list.txt" "`, "my list.txt"},
		{"specifiers", "100%h $HOME.txt", "50%n", `100%%h $$HOME.txt" "`, "100%%h $HOME.txt"},
		{"quotes", `a"b\c.txt`, `d'e;f`, `a\"b\\c.txt" "`, `a"b\c.txt`},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			list := filepath.Join(dir, c.list)
			write(t, list, nil)
			for _, flags := range [][]string{nil, {"--user"}} {
				to := t.TempDir()
				args := append([]string{"systemd", list, filepath.Join(dir, c.point), "--to", to, "--name", "dlfs-test"}, flags...)
				if _, errs, code := setup(t, append(args, "--", "--jobs", "3", "--user-agent=a b")...); code != exitOK {
					t.Fatalf("exit code %d: %s", code, errs)
				}
				text := ""
				for _, name := range []string{"dlfs-test.service", "dlfs-test-list.path", "dlfs-test-list.service", "dlfs-test-reload.service"} {
					b, err := os.ReadFile(filepath.Join(to, name))
					if err != nil {
						t.Fatal(err)
					}
					text += string(b)
				}
				for _, want := range []string{c.start, `--jobs 3 "--user-agent=a b"` + "\n", "PathChanged=" + dir + "/" + c.watch + "\n"} {
					if !strings.Contains(text, want) {
						t.Errorf("no %q in %s", want, text)
					}
				}
				verifyUnits(t, to, flags...)
			}
		})
	}
}

// verifyUnits has systemd read the units in dir, as those of the system or, with --user, of a user.
func verifyUnits(t *testing.T, dir string, user ...string) {
	t.Helper()
	analyze, err := exec.LookPath("systemd-analyze")
	need(t, err)
	paths, err := filepath.Glob(filepath.Join(dir, "dlfs-*"))
	if err != nil || len(paths) == 0 {
		t.Fatal(paths, err)
	}
	cmd := exec.CommandContext(t.Context(), analyze, slices.Concat([]string{"verify", "--man=no"}, user, paths)...)
	cmd.Env = append(os.Environ(), "XDG_RUNTIME_DIR="+t.TempDir()) // which --user needs
	out, err := cmd.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestSetupSystemdPrints: what is printed is what --to writes; a list of a URL has no
// file to watch, and its secrets are in no description.
func TestSetupSystemdPrints(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.txt")
	write(t, list, nil)
	printed, errs, code := setup(t, "systemd", list, "/mnt/x")
	if code != exitOK || !strings.Contains(errs, "enable --now dlfs-mnt-x.service dlfs-mnt-x-list.path") {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if _, errs, code := setup(t, "systemd", list, "/mnt/x", "--to", dir); code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, name := range []string{"dlfs-mnt-x.service", "dlfs-mnt-x-list.path", "dlfs-mnt-x-list.service", "dlfs-mnt-x-reload.service"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(printed, string(b)) {
			t.Errorf("%s is not printed: %v", name, err)
		}
	}
	printed, _, code = setup(t, "systemd", "https://u:secret@origin.example/list?sig=secret", "/mnt/x")
	if code != exitOK || strings.Contains(printed, "[Path]") {
		t.Errorf("exit code %d, for a URL:\n%s", code, printed)
	}
	for line := range strings.Lines(printed) {
		if strings.Contains(line, "secret") && !strings.HasPrefix(line, "ExecStart=") {
			t.Errorf("secret in %s", line)
		}
	}
}

// TestSetupSystemdRefuses: what could not work at boot is refused at once.
func TestSetupSystemdRefuses(t *testing.T) {
	dir := t.TempDir()
	list := filepath.Join(dir, "list.txt")
	write(t, list, nil)
	for want, args := range map[string][]string{
		"standard input is not there": {"-", "/mnt/x"},
		"no such file":                {filepath.Join(dir, "none"), "/mnt/x"},
		"not a regular file":          {dir, "/mnt/x"},
		"control character":           {list, "/mnt/x\ny"},
		"has a slash":                 {list, "/mnt/x", "--name", "a/b"},
		"unknown flag --nope":         {list, "/mnt/x", "--", "--nope"},
		"must be one of":              {list, "/mnt/x", "--", "--prefetch=some"},
	} {
		if out, errs, code := setup(t, append([]string{"systemd"}, args...)...); code != exitUsage || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q, %q; want %q", args, code, out, errs, want)
		}
	}
	if _, errs, code := setup(t, "systemd", list, "/mnt/x", "--to", filepath.Join(dir, "none")); code != exitFailed || strings.Count(errs, "\n") != 1 {
		t.Errorf("exit code %d, %q", code, errs)
	}
}
