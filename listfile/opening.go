package listfile

import (
	"bytes"
	"strings"
)

// sampleBytes is how much of a list is looked at to tell its form, sampleLines
// how many lines of it at most.
const (
	sampleBytes = 64 << 10
	sampleLines = 200
)

// opening is the sample of a list by which its form is told: its first lines. It is not changed
// once it is made.
type opening struct {
	lines   []sampleLine // neither blank nor comments, with the blanks before them
	comment *sampleLine  // a comment just before the first line, without its #; it may be a heading
	comma   rune         // the delimiter that a first line "sep=;" names for Excel; 0 if there is none
	whole   bool         // the list has no more lines than these
}

// sampleLine is one line of the sample.
type sampleLine struct {
	text   string // without blanks at the end
	number int    // 1-based
}

// newOpening takes the lines from the start of a list, at most sampleLines. A last line that
// the end of start has cut off is left out.
func newOpening(start []byte) *opening {
	s := &opening{whole: len(start) < sampleBytes}
	number := 0
	for raw := range bytes.Lines(start) {
		number++
		text := strings.TrimRight(string(raw), "\r\n\t ")
		if len(s.lines) == sampleLines || !s.whole && !bytes.HasSuffix(raw, []byte("\n")) {
			s.whole = false
			break
		}
		trimmed := strings.TrimLeft(text, blanks)
		switch {
		case trimmed == "":
		case trimmed[0] == '#':
			if len(s.lines) == 0 {
				s.comment = &sampleLine{strings.TrimLeft(trimmed, "# \t"), number}
			}
		case len(s.lines) == 0 && s.comma == 0 && isSeparatorLine(trimmed):
			s.comma = rune(trimmed[len("sep=")])
		default:
			s.lines = append(s.lines, sampleLine{text, number})
		}
	}
	return s
}

// isSeparatorLine reports whether a line names the delimiter of the table below it, as "sep=;",
// which Excel reads.
func isSeparatorLine(text string) bool {
	return len(text) == len("sep=,") && strings.HasPrefix(strings.ToLower(text), "sep=") && strings.ContainsAny(text[4:], ",;|\t")
}

// every reports whether all lines of the sample are of a form; false if there are no
// lines.
func (s *opening) every(is func(string) bool) bool {
	for _, l := range s.lines {
		if !is(l.text) {
			return false
		}
	}
	return len(s.lines) > 0
}

// some reports whether at least one line of the sample is of a form.
func (s *opening) some(is func(string) bool) bool {
	for _, l := range s.lines {
		if is(l.text) {
			return true
		}
	}
	return false
}
