package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// TestLogForms: each form is one line, whatever a record holds.
func TestLogForms(t *testing.T) {
	at := time.Date(2026, 11, 28, 9, 5, 0, 0, time.UTC)
	r := slog.NewRecord(at, slog.LevelWarn, "read\x1b[31m failed\nnow", 0)
	r.AddAttrs(slog.Duration("for", 1500*time.Millisecond), slog.Any("err", fmt.Errorf("a: %w", errors.New("b\nc"))),
		slog.Any("errno", syscall.EIO), slog.String("name", strings.Repeat("é", lineMost)))
	for want, form := range map[string]logForm{
		"09:05:00 warn  read":             textForm(clockTime),
		"2026-11-28T09:05:00Z warn  read": textForm(datedTime),
		"<4>read":                         journalForm,
		`{"time":"2026-11-28T09:05:00Z","level":"WARN","msg":"read\u001b[31m failed\nnow","for":"1.5s","err":"a: b\nc","errno":"input/output error","name":"éé`: jsonForm,
	} {
		got := form(r)
		if !strings.HasPrefix(got, want) || strings.Count(got, "\n") != 1 || strings.Contains(got, "\x1b") || len(got) > lineMost+10 {
			t.Errorf("%d bytes: %.300q; want %q", len(got), got, want)
		}
	}
	for level, want := range map[slog.Level]string{slog.LevelDebug: "<7>", slog.LevelInfo: "<6>", slog.LevelError: "<3>"} {
		if got := journalForm(slog.NewRecord(at, level, "m", 0)); got != want+"m\n" {
			t.Errorf("%v: %q", level, got)
		}
	}
}

// failing returns a list of which one entry fails.
func failing(t *testing.T, dir string) string {
	t.Helper()
	o := origintest.New()
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 1000}})
	base, list := o.Serve(t), filepath.Join(dir, "list")
	write(t, list, fmt.Appendf(nil, "f\t%s/f\ng\t%s/g\n", base, base))
	return list
}

// TestAllOfStandardErrorIsJSON: with --log-format=json, what is for people is JSON, too,
// and the error that ends the program is one of level error.
func TestAllOfStandardErrorIsJSON(t *testing.T) {
	dir := t.TempDir()
	p := startDlfs(t, nil, "fetch", failing(t, dir), filepath.Join(dir, "out"), "--log-format=json", "-v")
	if code := p.wait(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	var last struct{ Level, Msg string }
	n := 0
	for line := range strings.Lines(p.said()) {
		n++
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	if n < 3 || last.Level != "ERROR" || !strings.HasPrefix(last.Msg, "1 of 2 files failed") {
		t.Errorf("%d lines, the last %+v", n, last)
	}
}

// TestJournalIsKnown: where standard error is what JOURNAL_STREAM names, lines have
// priorities, and no progress; elsewhere, a variable that was inherited changes nothing.
func TestJournalIsKnown(t *testing.T) {
	for _, is := range []bool{true, false} {
		dir := t.TempDir()
		f, err := os.Create(filepath.Join(dir, "err"))
		if err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &st); err != nil {
			t.Fatal(err)
		}
		if !is {
			st.Ino++
		}
		cmd := dlfs(t, "fetch", failing(t, dir), filepath.Join(dir, "out"))
		cmd.Env = append(os.Environ(), fmt.Sprintf("JOURNAL_STREAM=%d:%d", st.Dev, st.Ino))
		cmd.Stderr = f
		if code := exitCode(cmd.Run()); code != exitFailed {
			t.Errorf("exit code %d", code)
		}
		f.Close()
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		if got := bytes.Contains(text, []byte("<3>1 of 2 files failed")); got != is {
			t.Errorf("journal %t: %s", is, text)
		}
		if is && bytes.Contains(text, []byte("MiB")) {
			t.Errorf("progress in the journal: %s", text)
		}
	}
}

// TestHangUpOpensLogAnew: after SIGHUP the log is written to the file that has its name,
// and one that was moved away gets no more. So it is under nohup, too, which has SIGHUP ignored.
func TestHangUpOpensLogAnew(t *testing.T) {
	t.Run("plain", testHangUpOpensLogAnew)
	t.Run("nohup", func(t *testing.T) {
		signal.Ignore(syscall.SIGHUP) // which those that this process starts inherit
		defer signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
		testHangUpOpensLogAnew(t)
	})
}

func testHangUpOpensLogAnew(t *testing.T) {
	need(t, canMount())
	dir := t.TempDir()
	list, log := failing(t, dir), filepath.Join(dir, "run.log")
	if err := os.Rename(list, filepath.Join(dir, "list.txt")); err != nil {
		t.Fatal(err)
	}
	mnt := mounted(t, dir, "--log-file", log)
	s, err := askStatus(t.Context(), mnt)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(log, log+".old"); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.PID, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C { // a guard against hanging
		if _, err := os.Stat(log); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no new log")
		}
	}
	umount(t, mnt)
	fresh, err := os.ReadFile(log)
	if err != nil || !bytes.Contains(fresh, []byte(" error stopped by ")) {
		t.Errorf("the new log: %q, %v", fresh, err)
	}
	old, err := os.ReadFile(log + ".old")
	if err != nil || !bytes.Contains(old, []byte(" info  2 files at ")) || bytes.Contains(old, []byte("stopped by")) {
		t.Errorf("the old log: %q, %v", old, err)
	}
	for line := range strings.Lines(string(old)) {
		if _, err := time.Parse(datedTime, strings.Fields(line)[0]); err != nil {
			t.Errorf("%v in %s", err, line)
		}
	}
}
