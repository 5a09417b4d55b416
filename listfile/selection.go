package listfile

import (
	"fmt"
	"regexp"
	"strings"
)

// selection decides by name which entries of a list are kept.
type selection struct{ include, exclude []*regexp.Regexp }

func newSelection(include, exclude []string) (s selection, err error) {
	if s.include, err = globs(include); err == nil {
		s.exclude, err = globs(exclude)
	}
	return s, err
}

func (s *selection) keeps(name string) bool {
	return (len(s.include) == 0 || matchesAny(s.include, name)) && !matchesAny(s.exclude, name)
}

func matchesAny(patterns []*regexp.Regexp, name string) bool {
	for _, p := range patterns {
		if p.MatchString(name) {
			return true
		}
	}
	return false
}

func globs(patterns []string) (list []*regexp.Regexp, err error) {
	for _, pattern := range patterns {
		re, err := glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("pattern %s is wrong; quote [ as \\[", quote(pattern))
		}
		list = append(list, re)
	}
	return list, nil
}

// glob turns a pattern into an expression: ** is any number of components, * and
// ? stay inside one, [a-z] is one of a set, \ quotes. A pattern without a slash
// is one of the last component.
func glob(pattern string) (*regexp.Regexp, error) {
	var b strings.Builder
	b.WriteString("^")
	if !strings.Contains(pattern, "/") {
		b.WriteString("(?:.*/)?")
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case strings.HasPrefix(pattern[i:], "**/"):
			b.WriteString("(?:.*/)?")
			i += 2
		case strings.HasPrefix(pattern[i:], "**"):
			b.WriteString(".*")
			i++
		case c == '*':
			b.WriteString("[^/]*")
		case c == '?':
			b.WriteString("[^/]")
		case c == '[':
			end := strings.IndexByte(pattern[i:], ']')
			if end < 0 {
				return nil, errEmptyName
			}
			set := pattern[i+1 : i+end]
			if strings.HasPrefix(set, "!") {
				set = "^" + set[1:]
			}
			b.WriteString("[" + strings.ReplaceAll(set, `\`, `\\`) + "]")
			i += end
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		}
	}
	b.WriteString("$")
	return regexp.Compile(b.String())
}
