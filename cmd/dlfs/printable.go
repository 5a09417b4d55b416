package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// printable replaces what a terminal would obey, or what would reorder a line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// cut returns s, or if that is longer than most bytes, its beginning in whole characters and
// "…". What is no UTF-8 is left out of a beginning.
func cut(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// plainWriter is the last that standard output and standard error have before
// them: it escapes what a terminal would obey, so that nothing from lists, origins
// and other processes gets there on a way that was forgotten. Line feeds and
// tabs stay. The escapes are those of JSON (RFC 8259 section 7), so JSON
// stays the JSON it was. Each Write is of whole characters. It is safe for
// concurrent use if w is.
type plainWriter struct{ w io.Writer }

// Write writes p escaped.
func (p plainWriter) Write(b []byte) (int, error) {
	if _, err := p.w.Write(plain(b)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// plain returns b with everything escaped that a terminal would obey or not show: control
// characters but line ends and tabs, format characters, and bytes that are no UTF-8. It returns b
// itself if there is nothing to escape.
func plain(b []byte) []byte {
	var out []byte // nil while nothing is escaped
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		good := unicode.IsGraphic(r) || r == '\n' || r == '\t'
		if r == utf8.RuneError && n == 1 {
			good = false
		}
		switch {
		case good && out != nil:
			out = append(out, b[i:i+n]...)
		case !good && out == nil:
			out = append(make([]byte, 0, len(b)+64), b[:i]...)
			fallthrough
		case !good:
			out = appendEscape(out, r, b[i:i+n])
		}
		i += n
	}
	if out == nil {
		return b
	}
	return out
}

// appendEscape appends a rune as an escape of JSON, and a byte that is no UTF-8 as \x and two
// digits.
func appendEscape(out []byte, r rune, raw []byte) []byte {
	switch {
	case r == utf8.RuneError && len(raw) == 1: // which JSON never has
		return fmt.Appendf(out, `\x%02x`, raw[0])
	case r > 0xffff:
		hi, lo := utf16.EncodeRune(r)
		return fmt.Appendf(out, `\u%04x\u%04x`, hi, lo)
	}
	return fmt.Appendf(out, `\u%04x`, r)
}

// plain returns the streams with standard output and error escaped, and standard error
// such that a reader that has stopped does not block the program.
func (s stdio) plain() stdio {
	s.out, s.err = plainWriter{s.out}, &messages{w: plainWriter{throughOutbox(s.err)}}
	return s
}

// raw returns the stream that takes escape sequences, too.
func raw(w io.Writer) io.Writer {
	if m, ok := w.(*messages); ok {
		w = m.w
	}
	if p, ok := w.(plainWriter); ok {
		w = p.w
	}
	if o, ok := w.(*outbox); ok {
		w = o.w
	}
	return w
}

// fileOf returns the file that a stream is, nil if it is none.
func fileOf(w io.Writer) *os.File {
	if a, ok := w.(*answers); ok {
		w = a.w
	}
	f, _ := raw(w).(*os.File)
	return f
}
