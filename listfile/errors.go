package listfile

import (
	"fmt"
	"strconv"
	"strings"
)

// SyntaxError is one problem of a list.
type SyntaxError struct {
	File string // what Parse was told to call the list
	Line int    // 1-based
	Msg  string // what is wrong and what to do, on one line and safe to print
}

// Error returns "FILE:LINE: msg".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s", printable(e.File), e.Line, e.Msg)
}

// Errors is every problem of one list, in line order, never empty when it is
// returned as an error. It is a slice so that a caller can count the problems
// or show the first few.
type Errors []*SyntaxError

// Error returns all problems, one a line, without a final newline.
func (e Errors) Error() string {
	var b strings.Builder
	for i, problem := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(problem.Error())
	}
	return b.String()
}

// Unwrap returns each problem, for errors.As and errors.AsType.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, problem := range e {
		all[i] = problem
	}
	return all
}

// maxQuoted is how many characters of a name are printed.
const maxQuoted = 80

// quote returns text from a list in quotes, cut to maxQuoted characters, with
// everything escaped that a terminal would obey. strconv.Quote escapes what is
// not unicode.IsPrint, which includes bidi and other format characters (Cf), and
// leaves letters of every script readable.
func quote(s string) string {
	n := 0
	for i := range s {
		if n == maxQuoted {
			return strconv.Quote(s[:i]) + "…"
		}
		n++
	}
	return strconv.Quote(s)
}

// printable returns the name of a list as it is, or quoted if that changes it.
func printable(file string) string {
	if q := strconv.Quote(file); q != `"`+file+`"` {
		return q
	}
	return file
}
