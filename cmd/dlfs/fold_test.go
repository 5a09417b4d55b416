package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logged returns the lines of a log, without their time.
func logged(b *strings.Builder) (lines []string) {
	for line := range strings.Lines(b.String()) {
		lines = append(lines, strings.TrimSuffix(line[len("15:04:05 "):], "\n"))
	}
	return lines
}

func TestRepeatedLinesAreFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		h := newLineHandler(&b, slog.LevelWarn, textForm(clockTime))
		log := slog.New(h)
		want := func(lines ...string) {
			t.Helper()
			synctest.Wait()
			h.out.mu.Lock()
			defer h.out.mu.Unlock()
			if got := logged(&b); strings.Join(got, "\n") != strings.Join(lines, "\n") {
				t.Errorf("log is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(lines, "\n"))
			}
			b.Reset()
		}
		fail := func(name string, why string, n int) {
			for i := range n {
				log.Warn("read failed", "name", name, "err", errors.New(why), "range", i)
			}
		}
		fail("a", "timeout", 100_000)
		fail("b", "timeout", 1)
		fail("a", "403", 5)
		log.Warn("stat failed", "name", "a")
		log.Info("not at this level", "name", "a")
		want("warn  read failed name=a err=timeout range=0", "warn  read failed name=b err=timeout range=0", "warn  stat failed name=a")
		time.Sleep(foldFor + time.Second) // in fake time
		want("warn  read failed name=a err=403 range=4 repeated=100004")
		fail("a", "403", 3)
		time.Sleep(3 * foldFor)
		want("warn  read failed name=a err=403 range=2 repeated=3")
		fail("a", "again", 1)
		want("warn  read failed name=a err=again range=0")
		fail("a", "at the end", 2)
		h.close()
		want(`warn  read failed name=a err="at the end" range=1 repeated=2`)
	})
}

func TestDifferentLinesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b strings.Builder
		h := newLineHandler(&b, slog.LevelWarn, textForm(clockTime))
		log := slog.New(h)
		const entries = 300_000
		for i := range entries {
			log.Warn("read failed", "name", fmt.Sprint("f", i))
		}
		lines := logged(&b)
		if len(lines) != linesAtOnce || lines[linesAtOnce-1] != fmt.Sprint("warn  read failed name=f", linesAtOnce-1) {
			t.Errorf("%d lines, the last %q", len(lines), lines[len(lines)-1])
		}
		b.Reset()
		time.Sleep(leftOutFor) // in fake time
		for i := range entries {
			log.Warn("open failed", "name", fmt.Sprint("f", i))
		}
		lines = logged(&b)
		if len(lines) != 1+linesASec*int(leftOutFor/time.Second) ||
			lines[0] != fmt.Sprintf("warn  log has too many different lines, and not all are written left_out=%d", entries-linesAtOnce) {
			t.Errorf("%d lines, the first %q", len(lines), lines[0])
		}
		b.Reset()
		if n := len(h.out.seen); n > linesAtOnce+linesASec*int(foldFor/time.Second) {
			t.Errorf("%d kinds are kept in memory", n)
		}
		h.close()
		if lines := logged(&b); len(lines) != 1 || !strings.Contains(lines[0], "left_out=") {
			t.Errorf("at the end: %q", lines)
		}
	})
}

func TestEverythingIsLoggedWithVV(t *testing.T) {
	var b strings.Builder
	log := newLogger(&b, slog.LevelDebug)
	for range 3000 {
		log.Warn("read failed", "name", "a")
	}
	if n := len(logged(&b)); n != 3000 {
		t.Errorf("%d lines", n)
	}
}

func TestLongLinesAreCut(t *testing.T) {
	var b strings.Builder
	newLogger(&b, slog.LevelWarn).Warn("read failed", "name", strings.Repeat("é", 1<<20), "err", "why")
	line := b.String()
	if len(line) > lineMost+10 || !strings.HasSuffix(line, "é…\n") {
		t.Errorf("a line of %d bytes ends with %q", len(line), line[len(line)-10:])
	}
}
