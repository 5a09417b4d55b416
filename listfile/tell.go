package listfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// tell returns the reader of a list of lines. Options.Format and Options.Columns decide if they
// are given. Otherwise the form is the first one that explains every line of the sample, while
// plain URLs do not explain the lines as well; a heading of columns is looked for before all
// forms of lines. The error says that two forms explain the lines, and how to choose.
func (p *parser) tell(s *opening, start []byte) (reader, error) {
	switch d := p.opts.Format; d {
	case "":
	// These forms need their heading, or --columns, to tell which column is the URL.
	case CSV, TSV, Semicolons, Pipes:
		return p.tellTable(s, d)
	case URLs:
		return p.byLine(p.plainURL), nil
	default:
		return p.readerOf(d), nil
	}
	// --columns without --format means a table, in whatever way its columns are divided.
	if p.chosen != nil {
		return p.tellTable(s, "")
	}
	// An empty list, or one of comments: the reader of lines finds no entry in it.
	if len(s.lines) == 0 {
		return p.byLine(p.line), nil
	}
	// A script of ESGF has one mark near its start, not on its first line.
	if bytes.Contains(start, []byte(esgfHead)) {
		return p.byLine(p.esgf()), nil
	}
	// Two forms have a first line that no other form has.
	switch s.lines[0].text {
	case tsvHTTPDataHeader:
		return p.readerOf(TSVHTTPData), nil
	case condaMark:
		return p.readerOf(Conda), nil
	}
	if t, err := p.findTable(s); err != nil {
		return nil, err
	} else if t != nil && !(t.comma == '\t' && isPlainTable(s, t)) {
		return p.byTable(t), nil
	}
	return p.tellLines(s)
}

// tellLines returns the reader of a list of lines without a heading of columns. The order of the
// forms matters: each is more particular than those after it, and the last one, NAME and URL in
// any of their four forms, takes everything that has a URL. Where a form cannot be told from
// another one, the error asks the user.
func (p *parser) tellLines(s *opening) (reader, error) {
	// A heading such as "name : url" is of no form; the forms are tried on the lines below it.
	if first := s.lines[0]; len(s.lines) > 1 && urlStart(first.text) < 0 && isHeader(first.text) {
		p.list.Header = first.number
		below := *s
		below.lines = s.lines[1:]
		s = &below
	}
	if s.every(isBagIt) && s.every(isBagItName) {
		return p.readerOf(BagIt), nil
	}
	for _, comma := range []rune{',', ';', '|'} {
		// form is what the error proposes: that of rclone for two fields with a comma, else "".
		form := map[rune]Dialect{',': Rclone}[comma]
		verdict := s.judge(comma)
		if fields := len(splitRow(strings.TrimLeft(s.lines[0].text, blanks), comma)); fields != 2 {
			form = ""
		}
		switch {
		case verdict == proven && form == Rclone:
			return p.readerOf(Rclone), nil
		// The lines may be a table without a heading, or names with the delimiter in them.
		case verdict != implausible:
			return nil, errRivals(s.lines[0].text, comma, form)
		}
		if t := s.bareTable(comma); t != nil {
			return p.byTable(t), nil
		}
	}
	// An indented option belongs to aria2 alone. Without options, several URLs in a line are mirrors
	// of one file only where they all end in its name.
	if s.some(aria2Option.MatchString) || s.every(isMirrors) && s.some(aria2URLs.MatchString) {
		return p.readerOf(Aria2), nil
	}
	if s.some(aria2URLs.MatchString) {
		return nil, errors.New("the URLs of a line may be mirrors of one file, or files of their own; say --format=aria2 for mirrors, or write one URL a line")
	}
	if s.every(isSizeFirst) {
		return nil, errors.New("the number before the URL may be a size or a name; say --columns=size=1,url=2 or --format=colon")
	}
	if is, err := s.findShapes(); is || err != nil {
		return p.readerOf(Fields), err
	}
	if s.every(isPooch) {
		return p.readerOf(Pooch), nil
	}
	if s.every(isChecksum) || s.some(isClearsigned) {
		return p.readerOf(Checksums), nil
	}
	if s.every(isConda) {
		return p.readerOf(Conda), nil
	}
	// With --base-url a line may be a path. A single line that is cut off may have its URL later on.
	if p.base == nil && !s.some(hasURL) && (len(s.lines) > 1 || s.whole) && !isHeader(s.lines[0].text) {
		return nil, errNoList(s)
	}
	return p.byLine(p.line), s.errNoNames()
}

// errNoList is the error of a text without any URL. It is told once, and not once for
// each line.
func errNoList(s *opening) error {
	if len(s.lines) == 1 {
		return errNoURL
	}
	return fmt.Errorf("none of the first %d lines has a URL, so this is no list; write NAME<TAB>URL, NAME : URL or a plain URL, or give --base-url", len(s.lines))
}

// hasURL reports whether a line has a URL with a scheme anywhere.
func hasURL(text string) bool { return urlStart(text) >= 0 }

// readerOf returns the reader of a form that needs no heading of columns. Tab, Colon and Pget
// share the reader of lines, which tells them apart line by line.
func (p *parser) readerOf(d Dialect) reader {
	switch d {
	case Rclone:
		t := &table{layout: &layout{words: []word{{column: urlColumn}, {column: nameColumn}}}, dialect: Rclone, comma: ','}
		return p.byTable(t)
	case Aria2:
		return func(in *bufio.Reader) error { return p.aria2(in) }
	case BagIt:
		return p.byLine(p.bagit)
	case TSVHTTPData:
		return p.byLine(p.tsvHTTPData)
	case Pooch:
		return p.byLine(p.pooch)
	case Fields:
		return p.byLine(p.shape)
	case Checksums:
		return p.byLine(p.checksum)
	case Conda:
		return p.byLine(p.conda)
	}
	return p.byLine(p.line)
}

// byLine returns a reader that calls f with each line and its 1-based number.
func (p *parser) byLine(f func(text string, number int)) reader {
	return func(in *bufio.Reader) error { return p.eachLine(in, f) }
}

// byTable returns a reader of the rows below the heading of t.
func (p *parser) byTable(t *table) reader {
	return func(in *bufio.Reader) error { return p.rows(in, t) }
}

// tellTable returns the reader of a table that Options.Format or Options.Columns ask for. d is
// the form, "" if only the columns are given. The columns are found by the heading; without a
// heading Options.Columns name them by number.
func (p *parser) tellTable(s *opening, d Dialect) (reader, error) {
	for comma, of := range map[rune]Dialect{',': CSV, '\t': TSV, ';': Semicolons, '|': Pipes} {
		if of == d && s.comma == 0 {
			s.comma = comma
		}
	}
	t, err := p.findTable(s)
	if t == nil && (err == nil || p.chosen != nil) && p.chosen != nil {
		var without error
		if t, without = p.chosenTable(s); t == nil && err == nil {
			err = without
		} else if t != nil {
			err = nil
		}
	}
	switch {
	case err != nil:
		return nil, err
	case t != nil:
		return p.byTable(t), nil
	case len(s.lines) == 0:
		return p.byLine(p.line), nil
	}
	return nil, errors.New("the first line is no heading with a column of URLs; say with --columns=url=COLUMN,name=COLUMN which columns are what")
}

// isPlainTable reports whether a table is no more than NAME<TAB>URL under a heading,
// so that it is read by the laxer rules of the form tab.
func isPlainTable(s *opening, t *table) bool {
	if len(t.words) != 2 || t.words[0].column == urlColumn || t.words[1].column != urlColumn || t.heading != s.lines[0].number {
		return false
	}
	for _, l := range s.lines[1:] {
		if f, err := split(l.text); err != nil || strings.ContainsAny(f.url+f.name, `";`) {
			return false
		}
	}
	return true
}
