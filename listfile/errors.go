package listfile

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Cost is how much of a list a problem costs. A caller that goes on in spite of a
// problem, as dlfs does with --skip-bad-lines, does so only where the cost is OneLine.
type Cost int

// The costs, the least first.
const (
	OneLine Cost = iota + 1 // one line, or one object
	Rest                    // the list from there on, or all of it: it was not read further
)

// SyntaxError is one problem of a list, or several of one kind.
type SyntaxError struct {
	File  string // what Parse was told to call the list
	Line  int    // 1-based; of several problems, the last one's
	Msg   string // what is wrong and what to do, on one line and safe to print
	Cost  Cost
	Count int // how many problems this is
}

// Error returns "FILE:LINE: msg".
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%s:%d: %s", printable(e.File), e.Line, e.Msg)
}

// Errors is the problems of one list, in line order, never empty when it is
// returned as an error. The first five of a kind are told one by one, the others
// of that kind are one SyntaxError with their Count.
type Errors []*SyntaxError

// Cost returns the highest cost of the problems.
func (e Errors) Cost() (most Cost) {
	for _, problem := range e {
		most = max(most, problem.Cost)
	}
	return most
}

// Count returns how many problems there are.
func (e Errors) Count() (n int) {
	for _, problem := range e {
		n += problem.Count
	}
	return n
}

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

const (
	maxOfKind = 5   // problems of a kind that are told one by one
	maxKinds  = 100 // kinds of problems that are told apart
)

// faults gathers what is wrong with a list. It holds at most maxOfKind problems of each of
// maxKinds kinds and one sum of each kind, so that a wrong list of millions of lines needs little
// memory and its user sees each kind of problem.
type faults struct {
	file  string                  // what errors call the list
	told  Errors                  // in the order of add
	kinds map[string]*SyntaxError // by kind: the sum of the problems beyond those told; no key for none yet
	count map[string]int          // by kind: all problems
	total int                     // all problems
}

// add records a problem of a line. The text of err is shown to the user: it is one
// line, quotes no URL, and says what to do. From the sixth problem of a kind on, only
// the count, the last line and the highest cost are kept. Problems of more than
// maxKinds kinds are counted together.
func (p *faults) add(line int, err error, cost Cost) {
	if p.count == nil {
		p.kinds, p.count = map[string]*SyntaxError{}, map[string]int{}
	}
	kind := kindOf(err.Error())
	if _, known := p.count[kind]; !known && len(p.count) >= maxKinds {
		kind = "another"
	}
	p.total++
	p.count[kind]++
	if p.count[kind] <= maxOfKind {
		p.told = append(p.told, &SyntaxError{File: p.file, Line: line, Msg: err.Error(), Cost: cost, Count: 1})
		return
	}
	more := p.kinds[kind]
	if more == nil {
		more = &SyntaxError{File: p.file, Msg: err.Error()}
		p.kinds[kind] = more
	}
	more.Line, more.Cost, more.Count = max(more.Line, line), max(more.Cost, cost), more.Count+1
}

// kindOf returns the kind of a problem: its message without quoted text and numbers, in
// which two problems of one kind differ. It works on the text, so that an error needs
// no type to be of a kind.
func kindOf(msg string) string {
	var kind strings.Builder
	for i := 0; i < len(msg); i++ {
		switch c := msg[i]; {
		case c == '"':
			if quoted, err := strconv.QuotedPrefix(msg[i:]); err == nil {
				i += len(quoted) - 1
			}
			kind.WriteByte('"')
		case c < '0' || c > '9':
			kind.WriteByte(c)
		}
	}
	return strings.ReplaceAll(kind.String(), "…", "")
}

// err returns all problems in line order, nil if there are none.
func (p *faults) err() error {
	if len(p.told) == 0 {
		return nil
	}
	all := slices.Clone(p.told)
	for _, kind := range slices.Sorted(maps.Keys(p.kinds)) {
		last := *p.kinds[kind]
		if last.Count > 1 {
			last.Msg = fmt.Sprintf("and %d more problems of this kind up to here, the first: %s", last.Count, last.Msg)
		}
		all = append(all, &last)
	}
	// An entry of several lines is judged at its end.
	slices.SortStableFunc(all, func(a, b *SyntaxError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Count, b.Count))
	})
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
