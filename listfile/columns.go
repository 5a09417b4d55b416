package listfile

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"dlfs/fetch/digest"
)

// column is what a column means, or a key of an object.
type column int

const (
	otherColumn column = iota
	nameColumn
	urlColumn
	sizeColumn
	digestColumn
)

// columnOf tells what a heading stands for; of a digest, also which.
func columnOf(heading string) (column, digest.Algorithm) {
	switch heading = strings.ToLower(strings.TrimSpace(heading)); heading {
	case "name", "file_name", "filename", "path":
		return nameColumn, digest.None
	case "url", "cdn_link", "link", "href":
		return urlColumn, digest.None
	case "size", "bytes":
		return sizeColumn, digest.None
	}
	if a, ok := digest.ParseAlgorithm(heading); ok && a != digest.CRC32C {
		return digestColumn, a
	}
	return otherColumn, digest.None
}

// isHeader reports whether a line names columns, one of them the URL's.
func isHeader(line string, comma rune) bool {
	if urlStart(line) >= 0 {
		return false
	}
	headings := strings.Split(line, string(comma))
	return len(headings) > 1 && slices.ContainsFunc(headings, func(h string) bool {
		c, _ := columnOf(strings.Trim(h, `"`))
		return c == urlColumn
	})
}

// isPlainHeader reports whether a header only says NAME<TAB>URL, so that the
// lines below are to be read by the laxer rules of the form tab.
func isPlainHeader(line string) bool {
	headings := strings.Split(line, "\t")
	if len(headings) != 2 {
		return false
	}
	first, _ := columnOf(headings[0])
	second, _ := columnOf(headings[1])
	return first != urlColumn && second == urlColumn
}

// columns reads CSV or TSV (RFC 4180). The first record names the columns, but
// in Rclone, where they are the URL and perhaps the path.
func (p *parser) columns(in io.Reader, comma rune, d Dialect) error {
	b := &bounded{r: in, err: errRecord}
	r := csv.NewReader(b)
	r.Comma, r.Comment, r.FieldsPerRecord, r.ReuseRecord = comma, '#', -1, true
	r.LazyQuotes = comma == '\t' // where a quote is mostly nothing special
	var header []string
	if d == Rclone {
		header = []string{"url", "name"}
	}
	for {
		b.left = 2 * maxLine
		record, err := r.Read()
		var wrong *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &wrong):
			p.fail(wrong.Line, fmt.Errorf("%w; put quotes around the field, and write a quote inside it twice", wrong.Err))
			return nil // what follows is anybody's guess
		case errors.Is(err, errRecord):
			p.fail(p.reached+1, err)
			return nil
		case err != nil:
			return err
		}
		p.reached, _ = r.FieldPos(0)
		if header == nil {
			header = slices.Clone(record)
			p.list.Header = p.reached
			p.list.Ignored = p.ignoredColumns(header)
			continue
		}
		if draft, err := p.record(header, record); err != nil {
			p.fail(p.reached, err)
		} else {
			draft.line, draft.dialect = p.reached, d
			p.accept(draft)
		}
	}
}

var errRecord = fmt.Errorf("record is longer than %d bytes; a closing quote may be missing", maxLine)

func (p *parser) ignoredColumns(header []string) (n int) {
	for _, h := range header {
		if c, _ := columnOf(h); c == otherColumn {
			n++
		}
	}
	return n
}

// record makes a draft of one record.
func (p *parser) record(header, record []string) (*draft, error) {
	if len(record) > len(header) {
		return nil, fmt.Errorf("%d fields where there are %d columns; put quotes around a field with a separator in it", len(record), len(header))
	}
	d := &draft{details: Details{Size: -1}}
	for i, field := range record {
		if field = strings.Trim(field, blanks); field == "" {
			continue
		}
		if err := d.field(header[i], field); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// field takes a field under its heading.
func (d *draft) field(heading, field string) (err error) {
	c, a := columnOf(heading)
	switch c {
	case nameColumn:
		d.name = strings.Clone(field)
	case urlColumn:
		d.urls = append(d.urls, strings.Clone(field))
	case sizeColumn:
		d.details.Size, err = parseSize(field)
	case digestColumn:
		err = d.addDigest(digest.FromHex(a, field))
	}
	return err
}

// addDigest takes a digest if it is the strongest so far.
func (d *draft) addDigest(sum digest.Digest, err error) error {
	if err == nil && sum.Algorithm > d.details.Digest.Algorithm {
		d.details.Digest = sum
	}
	return err
}

func parseSize(text string) (int64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, fmt.Errorf("size %s is not a number of bytes", quote(text))
	}
	return int64(n), nil
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
