package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// logFlags choose what is logged, and where.
type logFlags struct {
	Verbose int    `short:"v" type:"counter" help:"Log more: -v what is retried, -vv everything."`
	Quiet   bool   `short:"q" help:"Log errors only, and show no progress."`
	LogFile string `placeholder:"FILE" help:"Log to FILE instead of standard error."`
}

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

// lineHandler writes each record as one line for a person:
//
//	15:04:05 warn  what happened  key=value key="a value"
//
// Values come from lists and origins, so whatever a terminal would obey is
// escaped.
type lineHandler struct {
	level slog.Level
	attrs string

	mu *sync.Mutex
	w  io.Writer // guarded by mu
}

func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	return slog.New(&lineHandler{level: level, mu: &sync.Mutex{}, w: w})
}

func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level }

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %-5s %s%s", r.Time.Format("15:04:05"), strings.ToLower(r.Level.String()), printable(r.Message), h.attrs)
	r.Attrs(func(a slog.Attr) bool {
		writeAttr(&b, a)
		return true
	})
	b.WriteByte('\n')
	h.mu.Lock()
	defer h.mu.Unlock()
	_, err := io.WriteString(h.w, b.String())
	return err
}

func writeAttr(b *strings.Builder, a slog.Attr) {
	v := a.Value.Resolve().String()
	if v == "" || !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) || r == '"' }) {
		v = strconv.Quote(v)
	}
	fmt.Fprintf(b, " %s=%s", a.Key, v)
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var b strings.Builder
	for _, a := range attrs {
		writeAttr(&b, a)
	}
	with := *h
	with.attrs += b.String()
	return &with
}

// WithGroup ignores the name: nothing here logs in groups.
func (h *lineHandler) WithGroup(string) slog.Handler { return h }

// printable replaces what a terminal would obey, or what would reorder a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}
