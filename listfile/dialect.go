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
	Rclone      Dialect = "rclone"
	JSON        Dialect = "json"
	BagIt       Dialect = "bagit"
	TSVHTTPData Dialect = "tsvhttpdata"
	Pooch       Dialect = "pooch"
	Metalink    Dialect = "metalink"
)

// Dialects are those that Options.Format may be.
func Dialects() []Dialect {
	return []Dialect{Tab, Colon, URLs, Pget, Aria2, CSV, TSV, Rclone, JSON, BagIt, TSVHTTPData, Pooch, Metalink}
}

// sniffBytes is how much of a list is looked at to tell its dialect, sniffLines
// how many lines of it at most.
const (
	sniffBytes = 64 << 10
	sniffLines = 50
)

// parse reads the list by its dialect. The error is the reader's.
func (p *parser) parse(in *bufio.Reader, start []byte) error {
	if isUTF16(start) {
		p.fail(1, errors.New("the list is UTF-16; save it as UTF-8"))
		return nil
	}
	d := p.opts.Format
	if d == "" {
		d = p.sniff(start)
	}
	switch d {
	case Metalink:
		return p.metalink(in)
	case JSON:
		return p.json(in)
	case CSV:
		return p.columns(in, ',', CSV)
	case TSV:
		return p.columns(in, '\t', TSV)
	case Rclone:
		return p.columns(in, ',', Rclone)
	case Aria2:
		return p.aria2(in)
	case BagIt:
		return p.eachLine(in, p.bagit)
	case TSVHTTPData:
		return p.eachLine(in, p.tsvHTTPData)
	case Pooch:
		return p.eachLine(in, p.pooch)
	}
	return p.eachLine(in, p.line)
}

// isUTF16 reports whether the list begins with a UTF-16 byte order mark. Such a
// list would otherwise be one problem a line, none of them the cause.
func isUTF16(start []byte) bool {
	return bytes.HasPrefix(start, []byte{0xff, 0xfe}) || bytes.HasPrefix(start, []byte{0xfe, 0xff})
}

// sniff tells the dialect by how the list begins; Mixed stands for those that are
// told line by line.
func (p *parser) sniff(start []byte) Dialect {
	switch text := bytes.TrimLeft(start, " \t\r\n"); {
	case bytes.HasPrefix(text, []byte("<")) && bytes.Contains(text, []byte("<metalink")):
		return Metalink
	case bytes.HasPrefix(text, []byte("{")), bytes.HasPrefix(text, []byte("[")) && !bytes.HasPrefix(text, []byte("[[")):
		return JSON
	}
	lines := firstLines(start)
	if len(lines) == 0 {
		return Mixed
	}
	first := lines[0]
	switch {
	case first == tsvHTTPDataHeader:
		return TSVHTTPData
	case isHeader(first, '\t') && !isPlainHeader(first):
		return TSV
	case isHeader(first, ','):
		return CSV
	case every(lines, isBagIt):
		return BagIt
	case every(lines, isRclone):
		return Rclone
	case some(lines, isAria2):
		return Aria2
	case every(lines, isPooch):
		return Pooch
	}
	return Mixed
}

// firstLines returns the whole lines at the start that are neither blank nor
// comments, with the blanks before them, which mean something to aria2.
func firstLines(start []byte) (lines []string) {
	whole := len(start) < sniffBytes
	for line := range bytes.Lines(start) {
		text := strings.TrimRight(string(line), "\r\n\t ")
		if len(lines) == sniffLines || !whole && !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		if trimmed := strings.TrimLeft(text, blanks); trimmed != "" && trimmed[0] != '#' {
			lines = append(lines, text)
		}
	}
	return lines
}

func every(lines []string, is func(string) bool) bool {
	for _, line := range lines {
		if !is(line) {
			return false
		}
	}
	return true
}

func some(lines []string, is func(string) bool) bool {
	for _, line := range lines {
		if is(line) {
			return true
		}
	}
	return false
}

var (
	bagItLine   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+[ \t]+([0-9]+|-)[ \t]+\S`)
	rcloneLine  = regexp.MustCompile(`^"?[A-Za-z][A-Za-z0-9+.-]*://[^\s,"]+"?,("[^"]+"|[^,=&"]*[./][^,=&"]*)$`)
	aria2Option = regexp.MustCompile(`^[ \t]+[a-z0-9][a-z0-9-]*=`)
	aria2URLs   = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+\t+[A-Za-z][A-Za-z0-9+.-]*://`)
	poochLine   = regexp.MustCompile(`^("[^"]+"|'[^']+'|[^\s"']+)[ \t]+([A-Za-z0-9-]+:)?([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})([ \t]+\S+)?$`)
)

func isBagIt(line string) bool  { return bagItLine.MatchString(line) }
func isRclone(line string) bool { return rcloneLine.MatchString(line) }
func isAria2(line string) bool {
	return aria2Option.MatchString(line) || aria2URLs.MatchString(line)
}
func isPooch(line string) bool { return poochLine.MatchString(line) }

// eachLine calls f with every line that is neither blank nor a comment. The error
// is the reader's.
func (p *parser) eachLine(in io.Reader, f func(text string, line int)) error {
	lines := newLineReader(in)
	for lines.next() {
		p.reached = lines.number
		if lines.tooLong {
			p.begun = true
			p.fail(lines.number, fmt.Errorf("line is longer than %d bytes; remove it or shorten it", maxLine))
			continue
		}
		if content := bytes.Trim(lines.text, blanks); len(content) > 0 && content[0] != '#' {
			f(string(lines.text), lines.number) // the one copy that the entry's strings share
		}
	}
	return lines.err
}
