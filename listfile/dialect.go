package listfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Dialect is the form of a list. The package document shows an example of each. Its text is what
// --format takes and what dlfs check prints.
type Dialect string

// The dialects. Tab, Colon, URLs and Pget are forms of one line, and a list may mix
// them. Mixed and Empty are results of Parse only, and no value of Options.Format.
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

// Dialects returns the values that Options.Format may have, in the order in which help
// shows them. The slice is the caller's.
func Dialects() []Dialect {
	return []Dialect{Tab, Colon, URLs, Pget, Aria2, CSV, TSV, Semicolons, Pipes, Fields, Checksums, Rclone, JSON, BagIt, TSVHTTPData, Pooch, Conda, Metalink}
}

// parse tells the dialect of a list and reads the list with the reader of that dialect.
// start is the beginning of the list, which in still has: sampleBytes of it, or less if
// the list is shorter. A wrong list is no error but problems of p; the error is the one
// of in.
//
// The order is: what is known to be no list; UTF-16; the documents, which are not read
// in lines; CR alone as the end of lines; and then the forms of lines and of tables
// (tell). With Options.Format the content is not asked, except for UTF-16 and CR.
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

// reader reads a list of one form to its end and calls accept or fail for what it finds. Its
// error is the one of in.
type reader func(in *bufio.Reader) error

// first returns the 1-based number of the first line of the opening, for an error about
// the list as a whole. It is 1 if there are no lines.
func (s *opening) first() int {
	if len(s.lines) == 0 {
		return 1
	}
	return s.lines[0].number
}

// isUTF16 reports whether the list begins with a UTF-16 byte order mark, or with letters in
// little-endian UTF-16, as PowerShell writes files. Read as UTF-8, each line of such a list
// would be a problem that does not name the cause.
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

// eachLine calls f with every line that is neither blank, nor a comment, nor the header of the
// list. Lines that are too long are recorded as problems. It stops early where inVain says so.
// The error is the one of in.
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

// isJSON reports whether a list begins with an object or an array, after comments,
// which Write puts there. "[[" would begin an array of arrays, which is no list of
// files, and "[OK] http://…" is a line.
func isJSON(start []byte) bool {
	text := start[commentBytes(start):]
	return bytes.HasPrefix(text, []byte("{")) || jsonArray.Match(text) && !bytes.HasPrefix(text, []byte("[["))
}

// jsonArray is how an array begins: with its first member, or its end.
var jsonArray = regexp.MustCompile(`^\[\s*([{\["'\]]|[0-9.]+\s*,|$)`)

// commentBytes returns how many bytes of comments and blanks stand before the first line of a
// list that is neither.
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
