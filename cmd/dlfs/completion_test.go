package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// completed returns what the last of words may become.
func completed(t *testing.T, words ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(context.Background(), append([]string{completeWord}, words...), stdio{in: strings.NewReader(""), out: &out, err: &errs}); code != exitOK || errs.Len() > 0 {
		t.Fatalf("%q: exit code %d, %s", words, code, errs.String())
	}
	return strings.TrimSpace(strings.ReplaceAll(out.String(), "\n", " "))
}

func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "list.txt", []byte("a.bin\thttp://127.0.0.1:1/a\nsub/b.bin\thttp://127.0.0.1:1/b\n"))
	if err := os.MkdirAll("lost/found", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  string
	}{
		{[]string{"fet"}, "fetch"},
		{[]string{"fetch", "--progress", ""}, "auto bar json line none"},
		{[]string{"fetch", "--progress=j"}, "--progress=json"},
		{[]string{"fetch", "--progress", "=", "j"}, "json"},
		{[]string{"fetch", "--jobs", ""}, ""},
		{[]string{"fetch", "--dry"}, "--dry-run"},
		{[]string{"get", "--check-i"}, "--check-integrity"},
		{[]string{"fetch", "l"}, "list.txt lost/"},
		{[]string{"fetch", "-v", "list.txt", "l"}, "lost/"},
		{[]string{"fetch", "-d", "lost/"}, "lost/found/"},
		{[]string{"fetch", "--", "--dr"}, ""},
		{[]string{"cat", "list.txt", ""}, "a.bin sub/b.bin"},
		{[]string{"ls", "list.txt", "a.bin", "s"}, "sub/b.bin"},
		{[]string{"cat", "none.txt", ""}, ""},
		{[]string{"wait", "lost", ""}, ""},
		{[]string{"completion", ""}, "bash fish zsh"},
		{[]string{"help", "lim"}, "limits"},
		{[]string{"setup", "sys"}, "systemd"},
		{[]string{"version", ""}, ""},
	} {
		if got := completed(t, c.words...); got != c.want {
			t.Errorf("%q may become %q, want %q", c.words, got, c.want)
		}
	}
	if got := completed(t); !strings.HasPrefix(got, "cat check completion") || strings.Contains(got, "statfs") {
		t.Errorf("commands: %q", got)
	}
}

// TestCompletionInShells has each shell read its script and complete a line by it.
func TestCompletionInShells(t *testing.T) {
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "dlfs")); err != nil {
		t.Fatal(err)
	}
	for shell, script := range map[string]string{
		"bash": `source <(dlfs completion bash); COMP_WORDS=(dlfs fetch --progress = j); COMP_CWORD=4; _dlfs; echo "${COMPREPLY[@]}"; complete -p dlfs`,
		"zsh":  `compdef() { echo "compdef $@"; }; compadd() { echo "compadd $@"; }; source <(dlfs completion zsh); words=(dlfs fetch --progress=j); CURRENT=3; _dlfs`,
		"fish": `dlfs completion fish | source; complete -C "dlfs fetch --progress=j"`,
	} {
		path, err := exec.LookPath(shell)
		if err != nil {
			need(t, err)
		}
		cmd := exec.CommandContext(t.Context(), path, "-c", script)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "json") || shell == "bash" && !strings.Contains(string(out), "-F _dlfs dlfs") {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
