package listfile

import (
	"errors"
	"slices"
	"strings"
)

// A table without a heading is read where the fields tell what they are, or where
// Options.Columns tell it by numbers.

// bareTable returns the table that the lines are rows of without a heading, nil if they
// are none. Every line must be such a row: all have one shape (bareShapes), each field
// tells what it is, and the names and the URLs differ. In all of these shapes the URL
// is the last field, or only a digest follows it, so that the delimiter cannot be a
// part of the URL. A line that stands twice may repeat its name and URL.
func (s *opening) bareTable(comma rune) *table {
	shape := ""
	names, urls := map[string]bool{}, map[string]bool{}
	for _, l := range s.lines {
		fields := asTokens(splitRow(l.text, comma))
		if is := shapeOf(fields); shape != "" && is != shape || !bareShapes[is] {
			return nil
		} else {
			shape = is
		}
		for i, f := range fields {
			switch shape[i] {
			case 'n':
				if names[f.text] && !s.folds(l.text) || !looksLikeName(f.text) {
					return nil
				}
				names[f.text] = true
			case 'u':
				if urls[f.text] && !s.folds(l.text) || !absoluteURL.MatchString(f.text) {
					return nil
				}
				urls[f.text] = true
			}
		}
	}
	if shape == "" {
		return nil
	}
	l := &layout{words: make([]word, len(shape))}
	for i, role := range []byte(shape) {
		l.words[i] = word{column: map[byte]column{'n': nameColumn, 'u': urlColumn, 's': sizeColumn, 'h': digestColumn}[role]}
	}
	return &table{layout: l, dialect: dialectOf(comma), comma: comma}
}

// bareShapes are the rows of fields that tell what they are, one letter for each field:
// n for the name, u for the URL, s for the size, h for the digest (token.role).
var bareShapes = map[string]bool{
	"nu": true, "nsu": true, "snu": true, "nhu": true, "hnu": true, "nuh": true,
	"nshu": true, "nhsu": true, "snhu": true, "hnsu": true, "hsnu": true, "shnu": true, "nsuh": true, "snuh": true,
}

// chosenTable returns the table without a heading that Options.Columns describe by
// numbers. The delimiter is the first one that gives the columns and leaves URLs whole;
// a run of blanks is tried last, since names may hold blanks. It returns nil for a list
// without lines. The error says why no delimiter will do.
func (p *parser) chosenTable(s *opening) (*table, error) {
	if len(s.lines) == 0 {
		return nil, nil
	}
	commas := append(slices.Clone(delimiters), ' ')
	if s.comma != 0 {
		commas = []rune{s.comma}
	}
	var wrong error
	for _, comma := range commas {
		n := len(rowOf(s.lines[0].text, comma))
		if n < 2 && !(comma == ' ' && n == 1) || urlInTwo(s.lines, comma) {
			continue
		}
		l, err := p.chosenLayout(make([]string, n))
		if err != nil {
			wrong = err
			continue
		}
		if p.base == nil && !l.urlsIn(s.lines[0], comma) {
			continue
		}
		return &table{layout: l, dialect: dialectOf(comma), comma: comma}, nil
	}
	if wrong == nil {
		wrong = errors.New("there is no table of columns; --columns needs fields parted by TAB, comma, semicolon, | or spaces")
	}
	return nil, wrong
}

// urlsIn reports whether each column of URLs has a URL in a line, with a scheme or as
// host/path.
func (l *layout) urlsIn(line sampleLine, comma rune) bool {
	for i, field := range rowOf(line.text, comma) {
		if text := strings.Trim(field, blanks); l.words[i].column == urlColumn && urlStart(text) != 0 && !isHostPath(text) {
			return false
		}
	}
	return true
}

// urlInTwo reports whether the lines have different numbers of fields with a delimiter.
// It would then cut some of the URLs in two.
func urlInTwo(lines []sampleLine, comma rune) bool {
	n := len(rowOf(lines[0].text, comma))
	for _, l := range lines {
		if len(rowOf(l.text, comma)) != n {
			return true
		}
	}
	return false
}

// rowOf splits a line into its cells at comma; a blank stands for any run of blanks.
func rowOf(text string, comma rune) []string {
	if comma == ' ' {
		var words []string
		for _, f := range tokens(text) {
			words = append(words, f.text)
		}
		return words
	}
	return splitRow(text, comma)
}
