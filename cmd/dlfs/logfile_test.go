package main

import (
	"bytes"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestLogFileIsBounded(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "log")
	write(t, path, []byte("from before\n"))
	var notes bytes.Buffer
	l, err := openLog(path, &notes)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.most = 1000
	victim := filepath.Join(dir, "victim")
	write(t, victim, []byte("untouched"))
	if err := os.Symlink("victim", path+".1"); err != nil {
		t.Fatal(err)
	}
	line := strings.Repeat("x", 99) + "\n"
	for range 35 {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 3 {
		t.Errorf("%v, %v", names, err)
	}
	if a, b := sizeOf(t, path), sizeOf(t, path+".1"); a > 1000 || b > 1000 || a == 0 || b == 0 {
		t.Errorf("logs of %d and %d bytes", a, b)
	}
	if text, err := os.ReadFile(victim); string(text) != "untouched" || err != nil {
		t.Errorf("a link was followed: %q, %v", text, err)
	}
	// Somebody takes the log away: it is emptied where it is.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for range 25 {
		if _, err := l.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := l.file.Stat(); err != nil || info.Size() > 1000 {
		t.Errorf("%v, %v", info, err)
	}
	if notes.Len() > 0 {
		t.Errorf("notes: %s", notes.String())
	}
}

func TestLogFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLog(fifo, nil); err == nil || !strings.Contains(err.Error(), "is a pipe that has no reader") {
		t.Errorf("of a pipe without a reader: %v", err)
	}
	if _, err := openLog(dir, nil); err == nil {
		t.Error("a directory is a log")
	}
	var notes bytes.Buffer
	l, err := openLog("/dev/full", &notes)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	log := newLogger(l, slog.LevelWarn)
	log.Warn("one")
	log.Warn("two")
	if want := "dlfs: log file full cannot be written, and lines are lost: write /dev/full: no space left on device\n"; notes.String() != want {
		t.Errorf("notes %q, want %q", notes.String(), want)
	}
}

// What the standard library prints by its own logger goes where ours does, as one
// line of graphic characters.
func TestStandardLoggerGoesThroughOurs(t *testing.T) {
	defer log.SetOutput(log.Writer())
	defer log.SetFlags(log.Flags())
	var b strings.Builder
	adoptStandardLog(newLogger(&b, slog.LevelWarn))
	for range 3 {
		log.Printf("Unsolicited response: %s", "\x1b[31mred\nline two")
	}
	if got := logged(&b); len(got) != 1 || got[0] != "warn  Unsolicited response: \uFFFD[31mred\uFFFDline two" {
		t.Errorf("%q", got)
	}
}

// TestBytesAfterAnAnswerAreNotLogged: what a server sends after its answer is told
// when asked for, in words of this program.
func TestBytesAfterAnAnswerAreNotLogged(t *testing.T) {
	hosttest.Need(t, hosttest.Loopback())
	defer log.SetOutput(log.Writer())
	defer log.SetFlags(log.Flags())
	for level, want := range map[slog.Level]int{slog.LevelWarn: 0, slog.LevelInfo: 1} {
		var b strings.Builder
		adoptStandardLog(newLogger(&b, level))
		closed := make(chan struct{})
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\nSECRET")
			io.Copy(io.Discard, conn) // until the client closes it
			conn.Close()
			close(closed)
		}))
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		<-closed // by the client, which has printed before
		log.SetOutput(io.Discard)
		s.Close()
		if got := logged(&b); len(got) != want || strings.Contains(b.String(), "SECRET") {
			t.Errorf("at %v: %q", level, got)
		}
	}
}
