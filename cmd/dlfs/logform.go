package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// logForm turns a record into one line, with its newline. It may be called concurrently.
type logForm func(slog.Record) string

// The layouts of the time of a line: on a terminal the day is known, in a file it is not.
const (
	clockTime = "15:04:05"
	datedTime = time.RFC3339
)

// textForm is a line for people, see lineHandler.
func textForm(layout string) logForm {
	return func(r slog.Record) string {
		return lineOf(fmt.Sprintf("%s %-5s ", r.Time.Format(layout), strings.ToLower(r.Level.String())), r)
	}
}

// journalForm is a line for systemd's journal, which has the time and wants the priority
// (sd-daemon(3)).
func journalForm(r slog.Record) string {
	// The numbers are those of syslog(3): 3 is an error, 4 a warning, 6 information, 7 for debugging.
	priority := 7
	switch {
	case r.Level >= slog.LevelError:
		priority = 3
	case r.Level >= slog.LevelWarn:
		priority = 4
	case r.Level >= slog.LevelInfo:
		priority = 6
	}
	return lineOf(fmt.Sprintf("<%d>", priority), r)
}

// jsonForm is an object as slog's JSONHandler writes it, with durations as text.
func jsonForm(r slog.Record) string {
	// A handler for each record costs little beside the system call that writes the line.
	var b bytes.Buffer
	h := slog.NewJSONHandler(&b, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindDuration:
			a.Value = slog.StringValue(v.Duration().String())
		case slog.KindString:
			a.Value = slog.StringValue(short(v.String()))
		case slog.KindAny:
			if err, is := v.Any().(error); is {
				a.Value = slog.StringValue(short(err.Error()))
			}
		}
		return a
	}})
	if err := h.Handle(context.Background(), r); err != nil {
		return fmt.Sprintf(`{"level":"ERROR","msg":"a record could not be written: %T"}`+"\n", err)
	}
	return b.String()
}

// short cuts a text that would make a line too long by itself.
func short(s string) string {
	return cut(s, lineMost/2)
}

// form is how the log is to be written. records says that everything else on standard
// error is to be written so, too: it is a part of the log.
func (f *logFlags) form(errs io.Writer) (form logForm, records bool) {
	// With a log file of its own, standard error is for people, and not part of the log.
	isLog := f.LogFile == "" || isDaemon()
	switch {
	case f.LogFormat == "json":
		return jsonForm, isLog
	case f.toJournal(errs):
		return journalForm, isLog
	case isDaemon():
		return textForm(datedTime), true
	case f.LogFile != "" || isRegular(fileOf(errs)):
		return textForm(datedTime), false
	}
	return textForm(clockTime), false
}

// toJournal reports whether records go to the journal of systemd: --log-format says so,
// or standard error is the journal and no log file is named.
func (f *logFlags) toJournal(errs io.Writer) bool {
	return f.LogFormat == "journal" || f.LogFormat == "auto" && f.LogFile == "" && isJournal(fileOf(errs))
}

// isJournal reports whether a file is the stream to the journal that systemd has named
// (systemd.exec(5), JOURNAL_STREAM).
func isJournal(f *os.File) bool {
	var st syscall.Stat_t
	return f != nil && syscall.Fstat(int(f.Fd()), &st) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}

// isRegular reports whether f is a regular file; nil is none.
func isRegular(f *os.File) bool {
	if f == nil {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// messages is standard error. Lines for people pass as they are, unless it has a form:
// then each becomes a record of the log, so that a reader of JSON gets nothing else.
type messages struct {
	w    io.Writer               // replaced once, before a daemon begins
	form atomic.Pointer[logForm] // nil if there is none
}

// Write writes p, as records of level info if there is a form.
func (m *messages) Write(p []byte) (int, error) {
	if err := m.say(slog.LevelInfo, string(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// say writes lines for a person, or, once --log-format is known, each line as a record in that
// form.
func (m *messages) say(level slog.Level, text string) error {
	form := m.form.Load()
	if form == nil {
		_, err := io.WriteString(m.w, text)
		return err
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "dlfs: ")
		b.WriteString((*form)(slog.NewRecord(time.Now(), level, line, 0)))
	}
	_, err := io.WriteString(m.w, b.String())
	return err
}
