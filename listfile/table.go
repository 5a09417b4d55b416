package listfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// delimiters may part the fields of a table. They are tried in this order; the first
// one that gives a table with a heading is taken.
var delimiters = []rune{'\t', ',', ';', '|'}

// table is a list in rows of fields, as its heading or the user describes it.
type table struct {
	*layout
	dialect Dialect
	comma   rune // the delimiter; ' ' stands for any run of blanks
	heading int  // 1-based line of the heading, 0 if there is none
}

// dialectOf is what a table with that delimiter is called.
func dialectOf(comma rune) Dialect {
	switch comma {
	case '\t':
		return TSV
	case ';':
		return Semicolons
	case '|':
		return Pipes
	}
	return CSV
}

// splitRow takes a line apart into its fields. Quotes around a field are removed as in
// CSV (RFC 4180); a quote inside a field without quotes stands for itself. It returns
// nil for a line that encoding/csv cannot read.
func splitRow(line string, comma rune) []string {
	if !strings.Contains(line, `"`) {
		return strings.Split(line, string(comma))
	}
	r := csv.NewReader(strings.NewReader(line))
	r.Comma, r.LazyQuotes = comma, true
	fields, err := r.Read()
	if err != nil {
		return nil
	}
	return fields
}

// findTable looks for a heading in the first line of the sample, or in the comment before it,
// and tells the columns below it. Each delimiter is tried. It returns nil if there is no heading.
// The error says which column the user has to choose.
func (p *parser) findTable(s *opening) (*table, error) {
	lines := s.lines
	if len(lines) == 0 {
		return nil, nil
	}
	choices := delimiters
	if s.comma != 0 {
		choices = []rune{s.comma}
	}
	candidates := lines[:1]
	if s.comment != nil {
		candidates = []sampleLine{*s.comment, lines[0]}
	}
	for i, first := range candidates {
		below := lines[1:]
		if s.comment != nil && i == 0 {
			below = lines
		}
		if urlStart(first.text) >= 0 {
			continue
		}
		for _, comma := range choices {
			t, err := p.tableOf(first, below, comma, s.comment != nil && i == 0)
			if t != nil || err != nil {
				return t, err
			}
		}
	}
	return nil, nil
}

// tableOf returns the table that a line is the heading of, with that delimiter; nil if the line
// is no heading. comment says that the line is a comment, which needs better evidence. A line is taken
// for a heading if one of its words means the URL; or if a column below holds nothing but URLs;
// or if the words mean a name and more, and URLs are made of the names and the base URL.
func (p *parser) tableOf(first sampleLine, below []sampleLine, comma rune, comment bool) (*table, error) {
	headings := splitRow(first.text, comma)
	if len(headings) < 2 || !slices.ContainsFunc(headings, func(h string) bool { return plain(h) != "" }) {
		return nil, nil
	}
	var rows [][]string
	for _, l := range below {
		rows = append(rows, splitRow(l.text, comma))
	}
	headings = besideRowNames(headings, rows)
	for i, h := range headings {
		headings[i] = strings.Trim(h, blanks)
	}
	known := 0
	for _, h := range headings {
		if wordOf(h).column != otherColumn {
			known++
		}
	}
	l, err := p.layoutOf(headings, rows)
	switch {
	case err != nil && (known > 0 || fit(headings, rows)):
		return nil, err
	case err != nil:
		return nil, nil
	case l.plainURL && (!comment || fit(headings, rows)):
	case l.has(urlColumn) && fit(headings, rows) && areWords(headings) && !isRow(headings, rows):
	case !l.has(urlColumn) && known >= 2 && (l.has(nameColumn) || l.has(idColumn)) && fit(headings, rows) && areWords(headings):
		if err := p.needBase(headings); err != nil {
			return nil, err
		}
	default:
		return nil, nil
	}
	return &table{layout: l, dialect: dialectOf(comma), comma: comma, heading: first.number}, nil
}

// needBase returns the error of a table that has names and no URLs, nil if there is a
// base URL, which makes them.
func (p *parser) needBase(headings []string) error {
	switch {
	case p.base != nil:
		return nil
	case isGDC(headings):
		return errors.New("a GDC manifest has no URLs; give --base-url=https://api.gdc.cancer.gov/data/")
	}
	return fmt.Errorf("no column holds URLs; the columns are %s; say with --columns=url=COLUMN which does, or give --base-url for URLs made of the names", columnList(headings))
}

// isGDC reports whether these are the headings of a manifest of the Genomic Data
// Commons, whose URLs are made of the identifiers.
func isGDC(headings []string) bool {
	return len(headings) >= 3 && slices.Equal(headings[:3], []string{"id", "filename", "md5"})
}

// besideRowNames adds an empty first heading where each row has one field more than the heading
// has words: R writes the names of rows in a column without a heading.
func besideRowNames(headings []string, rows [][]string) []string {
	filled := false
	for _, row := range rows {
		if len(row) != len(headings)+1 {
			return headings
		}
		filled = filled || row[len(headings)] != ""
		for i, h := range headings {
			if wordOf(h).column == urlColumn && absoluteURL.MatchString(row[i]) {
				return headings
			}
		}
	}
	if !filled { // no row, or rows that end in a delimiter
		return headings
	}
	return append([]string{""}, headings...)
}

// fit reports whether every row has a field for each heading.
func fit(headings []string, rows [][]string) bool {
	for _, row := range rows {
		if len(row) != len(headings) {
			return false
		}
	}
	return len(rows) > 0
}

// isRow reports whether what may be headings is a row as those below: a field has the
// extension of the field below it, or says that there is no value. rows all have as
// many fields as headings.
func isRow(headings []string, rows [][]string) bool {
	for i, h := range headings {
		if h != "" && isMissing(h) || len(rows) > 0 && extension(h) != "" && extension(h) == extension(rows[0][i]) {
			return true
		}
	}
	return false
}

// areWords reports whether the headings look like headings: they differ, only the first
// may be empty, and none is a path, a digest or a number.
func areWords(headings []string) bool {
	seen := map[string]bool{}
	for i, h := range headings {
		if seen[h] || h == "" && i > 0 || strings.ContainsAny(h, "/\\") || isHex(h) || h != "" && strings.Trim(h, "0123456789.,-+ ") == "" {
			return false
		}
		seen[h] = true
	}
	return true
}
