package listfile

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"dlfs/listfile/digest"
)

// delimiters may part the fields of a table.
var delimiters = []rune{'\t', ',', ';', '|'}

// table is a list in rows of fields.
type table struct {
	*layout
	dialect Dialect
	comma   rune
	heading int // its line, 0 if there is none
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

// splitRow takes a line apart into its fields.
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

// findTable looks for a heading in line 1 of the sample and tells the columns below
// it. It returns nil if there is no heading.
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

// tableOf tells whether a line is the heading of a table with that delimiter.
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

// needBase is the error of a table without URLs, unless the base URL makes them.
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

// besideRowNames adds the heading that R leaves out above the names of its rows.
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
// extension of the field below it, or says that there is no value.
func isRow(headings []string, rows [][]string) bool {
	for i, h := range headings {
		if h != "" && isMissing(h) || len(rows) > 0 && extension(h) != "" && extension(h) == extension(rows[0][i]) {
			return true
		}
	}
	return false
}

// areWords reports whether the headings are words, and each another one.
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

// chosenTable is a table without a heading, by the numbers of Options.Columns.
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

// urlsIn reports whether the columns of URLs have one in a line.
func (l *layout) urlsIn(line sampleLine, comma rune) bool {
	for i, field := range rowOf(line.text, comma) {
		if text := strings.Trim(field, blanks); l.words[i].column == urlColumn && urlStart(text) != 0 && !isHostPath(text) {
			return false
		}
	}
	return true
}

// urlInTwo reports whether the delimiter would cut URLs in two: the lines have not
// all as many fields.
func urlInTwo(lines []sampleLine, comma rune) bool {
	n := len(rowOf(lines[0].text, comma))
	for _, l := range lines {
		if len(rowOf(l.text, comma)) != n {
			return true
		}
	}
	return false
}

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

// rows reads a table (RFC 4180), below its heading.
func (p *parser) rows(in *bufio.Reader, t *table) error {
	p.list.Columns = t.String()
	p.list.Header, p.list.Ignored = t.heading, t.ignored()
	if t.comma == ' ' {
		return p.eachLine(in, func(text string, number int) {
			p.reached = number
			p.row(t, rowOf(text, t.comma))
		})
	}
	for range t.heading {
		if _, err := in.ReadSlice('\n'); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
	}
	p.reached = t.heading
	b := &bounded{r: in, err: errRecord}
	r := csv.NewReader(b)
	r.Comma, r.Comment, r.FieldsPerRecord, r.ReuseRecord = t.comma, '#', -1, true
	r.LazyQuotes = t.comma != ',' // where a quote is mostly nothing special
	for {
		b.left = 2 * maxLine
		record, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			err := fmt.Errorf("%w; put quotes around the field, and write a quote inside it twice", wrong.Err)
			if wrong.StartLine == wrong.Line {
				p.fail(t.heading+wrong.Line, err)
				continue
			}
			p.stop(t.heading+wrong.Line, err)
			return nil // where the quotes belong in what follows cannot be told
		case errors.Is(err, errRecord):
			p.stop(p.reached+1, err)
			return nil
		case err != nil:
			return err
		}
		p.reached, _ = r.FieldPos(0)
		p.reached += t.heading
		p.row(t, record)
		if p.inVain() {
			p.stop(p.reached, errInVain)
			return nil
		}
	}
}

var errRecord = fmt.Errorf("record is longer than %d bytes; a closing quote may be missing", maxLine)

// row takes a record.
func (p *parser) row(t *table, record []string) {
	if isRule(record) {
		return
	}
	drafts, err := p.draftsOf(t, record)
	if err != nil {
		p.fail(p.reached, err)
		return
	}
	for i := range drafts {
		p.accept(&drafts[i])
	}
}

// isRule reports whether a record is the line that Markdown has below a heading.
func isRule(record []string) bool {
	rule := false
	for _, field := range record {
		if strings.Trim(field, "-: \t") != "" {
			return false
		}
		rule = rule || strings.Contains(field, "---")
	}
	return rule
}

// draftsOf makes a draft of each URL of a record.
func (p *parser) draftsOf(t *table, record []string) ([]draft, error) {
	for len(record) > len(t.words) && strings.Trim(record[len(record)-1], blanks) == "" {
		record = record[:len(record)-1]
	}
	if len(record) > len(t.words) {
		return nil, fmt.Errorf("%d fields where there are %d columns; put quotes around a field with a separator in it", len(record), len(t.words))
	}
	n := 1
	var values [6]string // shares the record, which is the reader's, until draft
	fields := values[:0]
	for i, field := range record {
		field = strings.Trim(field, edges)
		if isMissing(field) {
			field = ""
		}
		fields = append(fields, field)
		if t.words[i].column == urlColumn && strings.Contains(field, ";") {
			n = max(n, len(splitURLs(field)))
		}
	}
	drafts := make([]draft, n)
	for k := range drafts {
		d := &drafts[k]
		*d = draft{details: Details{Size: -1}, line: p.reached, dialect: t.dialect, isURL: t.plainURL, apart: true}
		for i, field := range fields {
			if w := t.words[i]; field != "" && w.column != otherColumn {
				if err := d.part(w, field, k, n); err != nil {
					return nil, err
				}
			}
		}
		p.complete(d)
	}
	return drafts, nil
}

// part takes the k-th of n values that a field has.
func (d *draft) part(w word, field string, k, n int) error {
	if n == 1 {
		return d.field(w, field)
	}
	parts := splitURLs(field)
	if w.column != urlColumn {
		parts = strings.Split(strings.Trim(field, ";"), ";")
	}
	switch {
	case len(parts) == n:
		return d.field(w, strings.Trim(parts[k], blanks))
	case w.column == nameColumn || w.column == idColumn:
		return nil // one name for several files is the name of none
	}
	return fmt.Errorf("%d URLs, but %d values %s; each URL needs one", n, len(parts), quote(field))
}

// field takes a field of a column with that meaning.
func (d *draft) field(w word, field string) (err error) {
	switch w.column {
	case nameColumn:
		d.name = strings.Clone(field)
	case urlColumn:
		d.urls = append(d.urls, strings.Clone(field))
	case idColumn:
		d.id = strings.Clone(field)
	case sizeColumn:
		if !isRounded(field) {
			d.details.Size, err = parseSize(strings.TrimRight(strings.TrimSuffix(field, "B"), " "))
		}
	case digestColumn:
		sum, wrong := parseDigest(w.algorithm, field)
		if w.algorithm == digest.None && wrong != nil {
			return nil // a checksum of another kind
		}
		err = d.addDigest(sum, wrong)
	}
	return err
}

// complete gives a draft without a URL that of the base URL and its name, or its
// identifier.
func (p *parser) complete(d *draft) {
	below := cmp.Or(d.id, d.name)
	if len(d.urls) > 0 || p.base == nil || below == "" {
		return
	}
	if d.id == "" && checkName(d.name) != nil {
		return // accept tells it
	}
	d.urls = []string{p.under(below)}
}

// addDigest takes a digest if it is the strongest so far.
func (d *draft) addDigest(sum digest.Digest, err error) error {
	if err == nil && sum.Algorithm > d.details.Digest.Algorithm {
		d.details.Digest = sum
	}
	return err
}

// bounded reads at most left bytes of r, and then fails with err.
type bounded struct {
	r    io.Reader
	left int64
	err  error

	failed error // what r failed with; nil while it has not
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, b.err
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err != nil && err != io.EOF {
		b.failed = err
	}
	return n, err
}
