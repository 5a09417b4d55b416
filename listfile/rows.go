package listfile

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"

	"dlfs/listfile/digest"
)

// rows reads a table (RFC 4180), below its heading. The memory for one record is bounded, since a
// quote that is never closed makes one record of the rest of the list. The error is the one of
// in.
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
		if err := p.inVain(); err != nil {
			p.stop(p.reached, err)
			return nil
		}
	}
}

// errRecord ends the reading: the end of a record that long is not looked for.
var errRecord = fmt.Errorf("record is longer than %d bytes; a closing quote may be missing", maxLine)

// row makes entries of one record of a table. A line of dashes, which Markdown has below a
// heading, is skipped.
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

// isRule reports whether a record is the line of dashes and colons that Markdown has
// below a heading.
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

// draftsOf makes the drafts of a record: one for each URL. Most records have one URL; the ENA's
// have several in one field, parted by semicolons, and as many sizes and digests beside them.
// Empty fields at the end of the record are dropped.
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
	if n > 1 {
		for i, field := range fields {
			if t.words[i].column == nameColumn && looksLikeName(field) {
				return nil, fmt.Errorf("the name %s stands beside %d URLs; write a row for each of the files, or one URL if they are mirrors", quote(field), n)
			}
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

// part gives the draft the k-th of the n values in a field, counted from 0. With n = 1 the field
// is one value, whatever semicolons it has.
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

// field gives the draft the value of a field, whose meaning is w. A size in larger units, such as
// "1.2 GB", and a checksum of an unknown kind are passed over, as they cannot be compared.
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

// complete gives a draft without a URL one below the base URL: of its identifier if it
// has one, else of its name. It does nothing without a base URL, or for a name that
// breaks a rule; accept then records the problem.
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

// addDigest takes a digest if it is stronger than the one the draft has. It returns err
// unchanged, so that the result of a parse function can be passed as its arguments.
func (d *draft) addDigest(sum digest.Digest, err error) error {
	if err == nil && sum.Algorithm > d.details.Digest.Algorithm {
		d.details.Digest = sum
	}
	return err
}

// bounded reads at most left bytes of r, and then fails with err. A parser that holds a whole
// object or record in memory sets left anew before each of them.
type bounded struct {
	r    io.Reader
	left int64 // bytes
	err  error // says what is too long

	failed error // what r failed with; nil while it has not
}

// Read returns b.err once the bound is reached. It notes an error of the reader below, which
// the parser above may hide.
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
