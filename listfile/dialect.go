package listfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Dialect is the form of a list.
type Dialect string

// The dialects. Those of a line are Tab, Colon, URLs and Pget; a list may mix
// them.
const (
	Tab         Dialect = "tab"
	Colon       Dialect = "colon"
	URLs        Dialect = "urls"
	Pget        Dialect = "pget"
	Mixed       Dialect = "mixed"
	Empty       Dialect = "empty" // no entry
	Aria2       Dialect = "aria2"
	CSV         Dialect = "csv"
	TSV         Dialect = "tsv"
	Semicolons  Dialect = "semicolons" // as CSV, with another delimiter
	Pipes       Dialect = "pipes"      // as CSV, with another delimiter
	Fields      Dialect = "fields"
	Checksums   Dialect = "checksums"
	Rclone      Dialect = "rclone"
	JSON        Dialect = "json"
	BagIt       Dialect = "bagit"
	TSVHTTPData Dialect = "tsvhttpdata"
	Pooch       Dialect = "pooch"
	Conda       Dialect = "conda"
	Metalink    Dialect = "metalink"
)

// Dialects are those that Options.Format may be.
func Dialects() []Dialect {
	return []Dialect{Tab, Colon, URLs, Pget, Aria2, CSV, TSV, Semicolons, Pipes, Fields, Checksums, Rclone, JSON, BagIt, TSVHTTPData, Pooch, Conda, Metalink}
}

// parse reads the list by its dialect. The error is the reader's.
func (p *parser) parse(in *bufio.Reader, start []byte) error {
	if what := notAList(start); what != "" && p.opts.Format == "" {
		p.stop(1, errors.New(what))
		return nil
	}
	if isUTF16(start) {
		p.stop(1, errors.New("the list is UTF-16; save it as UTF-8"))
		return nil
	}
	if p.opts.Format == Metalink || p.opts.Format == "" && isMetalink(start) {
		return p.metalink(in)
	}
	if p.opts.Format == JSON || p.opts.Format == "" && isJSON(start) {
		return p.json(in, start)
	}
	if isCROnly(start) {
		in = bufio.NewReaderSize(&crReader{in}, sampleBytes)
		start, _ = in.Peek(sampleBytes) // was peeked at before
	}
	s := newOpening(start)
	read, err := p.tell(s, start)
	if err != nil {
		p.stop(s.first(), err)
		return nil
	}
	return read(in)
}

// reader reads a list of one form.
type reader func(in *bufio.Reader) error

func (s *opening) first() int {
	if len(s.lines) == 0 {
		return 1
	}
	return s.lines[0].number
}

// isUTF16 reports whether the list begins with a UTF-16 byte order mark, or with
// letters in little-endian UTF-16. Such a
// list would otherwise be one problem a line, none of them the cause.
func isUTF16(start []byte) bool {
	if bytes.HasPrefix(start, []byte{0xff, 0xfe}) || bytes.HasPrefix(start, []byte{0xfe, 0xff}) {
		return true
	}
	if len(start) < 8 {
		return false
	}
	for i := range 4 { // letters without the mark
		if start[2*i+1] != 0 || start[2*i] < '\t' || start[2*i] >= 0x7f {
			return false
		}
	}
	return true
}

func isMetalink(start []byte) bool {
	text := bytes.TrimLeft(start, " \t\r\n")
	return bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("<metalink"))
}

func isJSON(start []byte) bool {
	text := start[commentBytes(start):]
	return bytes.HasPrefix(text, []byte("{")) || bytes.HasPrefix(text, []byte("[")) && !bytes.HasPrefix(text, []byte("[["))
}

// commentBytes is how long the comments and blanks are that a list begins with.
func commentBytes(start []byte) (n int) {
	for line := range bytes.Lines(start) {
		text := bytes.TrimLeft(line, " \t\r\n")
		if len(text) > 0 && text[0] != '#' {
			return n + len(line) - len(text)
		}
		n += len(line)
	}
	return n
}

// tell tells the form of a list of lines by its sample: the first form that explains
// every line, where plain URLs do not. The error says that two forms do.
func (p *parser) tell(s *opening, start []byte) (reader, error) {
	switch d := p.opts.Format; d {
	case "":
	case CSV, TSV, Semicolons, Pipes:
		return p.tellTable(s, d)
	case URLs:
		return p.byLine(p.plainURL), nil
	default:
		return p.readerOf(d), nil
	}
	if p.chosen != nil {
		return p.tellTable(s, "")
	}
	if len(s.lines) == 0 {
		return p.byLine(p.line), nil
	}
	if bytes.Contains(start, []byte(esgfHead)) {
		return p.byLine(p.esgf()), nil
	}
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

// tellLines tells the form of a list of lines that has no heading of columns.
func (p *parser) tellLines(s *opening) (reader, error) {
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
		form := map[rune]Dialect{',': Rclone}[comma]
		verdict := s.judge(comma)
		if fields := len(splitRow(strings.TrimLeft(s.lines[0].text, blanks), comma)); fields != 2 {
			form = ""
		}
		switch {
		case verdict == proven && form == Rclone:
			return p.readerOf(Rclone), nil
		case verdict != implausible:
			return nil, errRivals(s.lines[0].text, comma, form)
		}
		if t := s.bareTable(comma); t != nil {
			return p.byTable(t), nil
		}
	}
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
	if p.base == nil && !s.some(hasURL) && (len(s.lines) > 1 || s.whole) && !isHeader(s.lines[0].text) {
		return nil, errNoList(s)
	}
	return p.byLine(p.line), nil
}

// errNoList is of a text without any URL.
func errNoList(s *opening) error {
	if len(s.lines) == 1 {
		return errNoURL
	}
	return fmt.Errorf("none of the first %d lines has a URL, so this is no list; write NAME<TAB>URL, NAME : URL or a plain URL, or give --base-url", len(s.lines))
}

func hasURL(text string) bool { return urlStart(text) >= 0 }

// readerOf is the reader of a form that needs nothing else.
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

func (p *parser) byLine(f func(text string, number int)) reader {
	return func(in *bufio.Reader) error { return p.eachLine(in, f) }
}

func (p *parser) byTable(t *table) reader {
	return func(in *bufio.Reader) error { return p.rows(in, t) }
}

// tellTable is the table of Options.Format or Options.Columns.
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

var (
	bagItLine   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+[ \t]+([0-9]+|-)[ \t]+\S`)
	aria2Option = regexp.MustCompile(`^[ \t]+[a-z0-9][a-z0-9-]*=`)
	aria2URLs   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+[ \t]*\t[ \t]*[A-Za-z][A-Za-z0-9+.-]*://`)
	poochLine   = regexp.MustCompile(`^("[^"]+"|'[^']+'|[^\s"']+)[ \t]+([A-Za-z0-9-]+:)?([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})([ \t]+\S+)?$`)
)

func isBagIt(line string) bool { return bagItLine.MatchString(line) }

// isBagItName reports whether the name of such a line lies where those of a bag do,
// or the URL and the name are of files. Else the line may be a URL with spaces, or
// what follows the size something else.
func isBagItName(line string) bool {
	url, rest, _ := cutBlanks(strings.Trim(line, blanks))
	_, name, _ := cutBlanks(rest)
	return strings.HasPrefix(name, "data/") || standsAlone(url) && isFileName(name)
}

func isPooch(line string) bool {
	word, _, _ := cutBlanks(line)
	return poochLine.MatchString(line) && !isHex(word)
}

// isMirrors reports whether the URLs of a line end alike, as mirrors of a file do.
func isMirrors(line string) bool {
	urls := strings.Split(strings.Trim(line, blanks), "\t")
	for _, url := range urls {
		if baseOf(strings.Trim(url, blanks)) != baseOf(urls[0]) {
			return false
		}
	}
	return true
}

// eachLine calls f with every line that is neither blank nor a comment. The error
// is the reader's.
func (p *parser) eachLine(in io.Reader, f func(text string, line int)) error {
	lines := newLineReader(in)
	for lines.next() {
		p.reached, p.progress.read = lines.number, lines.read
		if lines.tooLong {
			p.begun = true
			p.fail(lines.number, fmt.Errorf("line is longer than %d bytes; remove it or shorten it", maxLine))
			continue
		}
		if lines.number == p.list.Header {
			p.begun = true
			continue
		}
		if content := bytes.Trim(lines.text, blanks); len(content) > 0 && content[0] != '#' {
			f(string(lines.text), lines.number)
		}
		if err := p.inVain(); err != nil {
			p.stop(lines.number, err)
			return nil
		}
	}
	return lines.err
}
