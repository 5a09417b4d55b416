package listfile

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// selection decides by name which entries of a list are kept. A pattern is one of
// doublestar.Match: ** is any number of components, * and ? stay inside one, [a-z]
// is one of a set, \ quotes. Braces stand for themselves, as names have them. A
// pattern without a slash is one of the last component.
type selection struct{ include, exclude []string }

// Patterns are patterns of names, as Options.Include has them.
type Patterns struct{ list []string }

// NewPatterns checks patterns as Options.Include has them and returns them, ready for
// Match. The error names the one that is wrong.
func NewPatterns(list []string) (p Patterns, err error) {
	p.list, err = globs(list)
	return p, err
}

// Match reports whether one of the patterns matches the name; false if there are no
// patterns. It may be called concurrently.
func (p Patterns) Match(name string) bool { return matchesAny(p.list, name) }

// newSelection checks the patterns. Its error names the one that is wrong.
func newSelection(include, exclude []string) (s selection, err error) {
	if s.include, err = globs(include); err == nil {
		s.exclude, err = globs(exclude)
	}
	return s, err
}

// keeps reports whether an entry of that name is kept: it matches a pattern of include,
// or there is none, and it matches no pattern of exclude.
func (s *selection) keeps(name string) bool {
	return (len(s.include) == 0 || matchesAny(s.include, name)) && !matchesAny(s.exclude, name)
}

// matchesAny reports whether a name matches one of the patterns, which globs has checked.
func matchesAny(patterns []string, name string) bool {
	for _, p := range patterns {
		if doublestar.MatchUnvalidated(p, name) {
			return true
		}
	}
	return false
}

// globs checks patterns and completes them: one without a slash matches the last element of
// a name in any directory. A brace stands for itself, unless it is part of a set in [ ].
func globs(patterns []string) (list []string, err error) {
	for _, pattern := range patterns {
		p := quoteBraces(pattern)
		if !strings.Contains(p, "/") {
			p = "**/" + p
		}
		if !doublestar.ValidatePattern(p) {
			return nil, fmt.Errorf("pattern %s is wrong; quote [ as \\[", quote(pattern))
		}
		list = append(list, p)
	}
	return list, nil
}

// quoteBraces quotes the braces of a pattern that are neither quoted nor in a set.
func quoteBraces(pattern string) string {
	var b strings.Builder
	inSet := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '\\' && i+1 < len(pattern):
			b.WriteByte(c)
			i++
		case c == '[':
			inSet = true
		case c == ']':
			inSet = false
		case (c == '{' || c == '}') && !inSet:
			b.WriteByte('\\')
		}
		b.WriteByte(pattern[i])
	}
	return b.String()
}
