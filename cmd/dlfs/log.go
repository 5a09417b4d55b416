package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"log/slog"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// logFlags choose what is logged, and where.
type logFlags struct {
	Verbose int    `short:"v" type:"counter" help:"Log more: -v what is retried, -vv every request, too, and every file that is complete."`
	Quiet   bool   `short:"q" help:"Log errors only, and show no progress."`
	LogFile string `placeholder:"FILE" help:"Log to FILE instead of standard error. SIGHUP opens it anew."`

	LogFormat string `enum:"auto,text,json,journal" default:"auto" help:"How to write the log: ${enum}. auto is journal where standard error is systemd's journal, else text."`
}

// level is from which level on lines are written.
func (f *logFlags) level() slog.Level {
	switch {
	case f.Quiet:
		return slog.LevelError
	case f.Verbose > 1:
		return slog.LevelDebug
	case f.Verbose == 1:
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// lineHandler writes each record as one line, for a person unless it has another form:
//
//	15:04:05 warn  what happened  key=value key="a value"
//
// Values come from lists and origins, so each character that a terminal would obey is
// escaped. Records that repeat earlier ones are folded, unless everything is
// logged.
type lineHandler struct {
	level slog.Level
	attrs []slog.Attr
	out   *folder
}

// newLineHandler returns a handler that writes lines of that form to w. The caller closes it.
func newLineHandler(w io.Writer, level slog.Level, form logForm) *lineHandler {
	return &lineHandler{level: level, out: newFolder(w, form)}
}

// newLogger returns a logger of a command that has no display: it writes to w from level on.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(newLineHandler(w, level, textForm(clockTime)))
}

// close writes what is left to say of records that were folded.
func (h *lineHandler) close() { h.out.close() }

// Enabled reports whether the level is logged.
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

// Handle writes or folds a record.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(h.attrs...)
	if h.level <= slog.LevelDebug {
		return h.out.write(r)
	}
	return h.out.fold(r)
}

// WithAttrs returns a handler that adds attributes to each record.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(with.attrs[:len(with.attrs):len(with.attrs)], attrs...)
	return &with
}

// WithGroup ignores the name: nothing here logs in groups.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }

// lineMost bounds a line of the log, in bytes. What is longer is cut.
const lineMost = 8 << 10

// lineOf returns a record as a line, which begins with prefix.
func lineOf(prefix string, r slog.Record) string {
	var b strings.Builder
	b.WriteString(prefix)
	b.WriteString(printable(r.Message))
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, a)
		return b.Len() < lineMost
	})
	return cut(b.String(), lineMost) + "\n"
}

// writeAttr appends one attribute as key=value. A value that has blanks, quotes or signs that
// do not print is quoted, so that a line stays a line.
func writeAttr(b *strings.Builder, a slog.Attr) {
	v := a.Value.Resolve().String()
	if v == "" || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' }) {
		v = strconv.Quote(v)
	}
	fmt.Fprintf(b, " %s=%s", a.Key, v)
}

// adoptStandardLog has what the standard library and others print to its own
// logger, which is of the whole process, go through log.
func adoptStandardLog(to *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(standardLog{to})
}

// standardLog takes what the standard library prints. Each Write is a message.
type standardLog struct{ log *slog.Logger }

// unsolicited begins what net/http prints of a server that sends bytes after its
// answer, with those bytes. It closes the connection, and nothing is lost.
const unsolicited = "Unsolicited response received on idle HTTP channel"

// Write logs p as a warning.
func (w standardLog) Write(p []byte) (int, error) {
	if strings.HasPrefix(string(p), unsolicited) {
		w.log.Info("origin sent bytes after its answer; the connection is closed")
		return len(p), nil
	}
	w.log.Warn(strings.TrimSpace(string(p)))
	return len(p), nil
}
