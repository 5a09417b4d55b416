package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"dlfs/fetch/origintest"
)

// verdict is what a tool made of a job.
type verdict string

const (
	right      verdict = "right"
	wrongBytes verdict = "**wrong bytes**"
	gaveUp     verdict = "gave up"
	leftWrong  verdict = "gave up, wrong file left"
	hung       verdict = "hung"
)

// result is a verdict with its circumstances.
type result struct {
	verdict verdict
	ratio   float64 // body bytes of the origin, divided by the size
	log     []origintest.Request
	took    time.Duration
	met     bool // the fault, by at least one request
	exit    int  // -1 if killed
	words   string
}

// text returns the cell of a table.
func (r result) text(long bool) string {
	s := fmt.Sprintf("%s %.2f", r.verdict, r.ratio)
	if long {
		s += fmt.Sprintf(", %d requests, %.1f s", len(r.log), r.took.Seconds())
	}
	if !r.met {
		s += " *"
	}
	return s
}

// detail returns all in a line.
func (r result) detail() string {
	return fmt.Sprintf("%s; exit code %d; %s", r.text(true), r.exit, r.words)
}

const fileName = "file.bin"

// cell serves the file with the row's fault and runs t on it in dir, which is
// made for it.
func (m *matrix) cell(ctx context.Context, r row, t tool, dir string) (result, error) {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return result{}, err
	}
	s := newStage(m.size, m.rate)
	r.set(s)
	base, stop := s.origin.Start()
	defer stop()
	j := job{url: base + "/" + fileName, dir: dir, name: fileName, gzip: r.gzip}
	if r.login {
		j.user, j.password = user, password
	}
	if r.digest {
		j.sha256 = s.versions[0].SHA256()
	}
	args, err := t.args(j)
	if err != nil {
		return result{}, err
	}
	plot := s.begin(ctx)
	start := time.Now()
	exit, words, err := runTool(ctx, t.path, args, dir, m.limit)
	took := time.Since(start)
	plot()
	if err != nil {
		return result{}, err
	}
	stop() // so that the counts are final
	v, err := judge(exit, j.path(), s.versions)
	if err != nil {
		return result{}, err
	}
	return result{
		verdict: v, ratio: float64(s.origin.Counts().BodyBytes) / float64(m.size), log: s.origin.Log(),
		took: took, met: s.met(), exit: exit, words: words,
	}, nil
}

// runTool runs a program in dir, with all it starts, for at most limit. It
// returns the exit code, -1 if the limit was reached, and the last of what it
// said. The error is of starting it.
func runTool(ctx context.Context, path string, args []string, dir string, limit time.Duration) (int, string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	said := new(bytes.Buffer)
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "LC_ALL=C"} // no proxy, no configuration
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	var failed *exec.ExitError
	if err != nil && !errors.As(err, &failed) && ctx.Err() == nil {
		return 0, "", err
	}
	if ctx.Err() != nil {
		return -1, lastWords(said.String()), nil
	}
	return cmd.ProcessState.ExitCode(), lastWords(said.String()), nil
}

// lastWords returns the last two lines of s in one.
func lastWords(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	words := strings.Join(lines[max(0, len(lines)-2):], " / ")
	return words[max(0, len(words)-400):]
}

// judge compares the file at path with the versions the origin has shown. An
// exit code of -1 says that the tool was stopped at the limit.
func judge(exit int, path string, versions []origintest.Content) (verdict, error) {
	size, sum, err := sumFile(path)
	if err != nil {
		return "", err
	}
	whole, asLong := false, false
	for _, v := range versions {
		whole = whole || sum == v.SHA256()
		asLong = asLong || size == v.Size
	}
	switch {
	case exit == -1:
		return hung, nil
	case exit == 0 && whole:
		return right, nil
	case exit == 0:
		return wrongBytes, nil
	case asLong && !whole:
		return leftWrong, nil
	}
	return gaveUp, nil
}

// sumFile returns the size and the SHA-256 of a file, -1 if there is none.
func sumFile(path string) (int64, string, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return n, hex.EncodeToString(h.Sum(nil)), err
}
