// Package listfile reads a list file: the names of the files to show and the
// URLs that hold their bytes. It is where text from outside first enters dlfs,
// so it is strict: a line is understood whole or it is a problem with a line
// number and a way out, and nothing is dropped or repaired in silence.
//
// # The list
//
// A list is UTF-8 text, one entry a line, in any mix of three forms that are
// told apart by what the line holds:
//
//	images/0001.tar<TAB>https://origin.example/a?sig=1    tab
//	images/0001.tar : https://origin.example/a?sig=1      colon
//	https://origin.example/images/0001.tar                urls
//
// The rules, in the order in which they apply:
//
//   - Lines end in LF or CRLF, the last one may end in neither. A byte order
//     mark at the start, blank lines and lines that begin with # are skipped.
//   - The first line left is a header, and skipped too, exactly when it holds
//     no "scheme://". On any later line that is a problem.
//   - With a TAB before the URL the name is all that stands before the first
//     TAB. Without one it is all that stands before the run of spaces and
//     colons that precedes the first "scheme://", so "a b: c : http://h/x"
//     names "a b: c". A line that begins with its URL is named after the last
//     component of the URL's decoded path.
//   - A URL is http or https, has a host and holds no space.
//   - A name is a relative path of components parted by /, none of them empty,
//     "." or "..", none above 255 bytes, 4000 bytes in all. It is UTF-8, holds
//     no control character and no backslash, and does not lie in .dlfs.
//   - A line that repeats an earlier name and URL is folded into it. One name
//     with two URLs is a problem, and so is a name that is both a file and a
//     directory.
//
// # The contract
//
// Every problem of a list is reported, in line order, as [Errors]. What did
// parse is returned beside them, so that a caller may show both. An error never
// quotes a URL, because URLs carry secrets, nor prints a character that a
// terminal would obey.
package listfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Entry is one file of a list. Its strings are cut from one copy of its line.
type Entry struct {
	Name string // slash-separated relative path, valid for io/fs.ValidPath
	URL  string // http or https with a host, as the list spells it; may hold secrets
	Line int    // 1-based line in the list; of folded lines, the first
}

// List is a parsed list file. It belongs to the caller, who may change it; the
// package keeps no reference to it.
type List struct {
	Dialect    Dialect // the form of its lines
	Entries    []Entry // in the order of the list, no two of the same name
	Header     int     // 1-based line of the header, 0 if there is none
	Folded     int     // lines that repeated an earlier line's name and URL
	SharedURLs int     // entries whose URL an earlier entry has too
}

// Dialect is the form in which lines say a name and a URL.
type Dialect string

// The dialects of a line are Tab, Colon and URLs; a list has in addition Mixed,
// if its lines differ, and Empty, if it has no entry.
const (
	Tab   Dialect = "tab"   // NAME<TAB>URL
	Colon Dialect = "colon" // NAME : URL, NAME: URL or NAME URL
	URLs  Dialect = "urls"  // URL, named after its path
	Mixed Dialect = "mixed"
	Empty Dialect = "empty"
)

// Parse reads a list from r, to its end unless it is UTF-16. The argument file is
// only what errors call the list, such as its path or "stdin".
//
// If lines of the list are wrong, the error is [Errors] with every problem, and
// the list returned with it holds the entries that are right: it is never nil
// and keeps every promise of [List], but it is not what its author meant. If r
// fails, the list is nil and the error wraps r's.
//
// Parse blocks as r does. It holds one line at most, of up to 1 MiB, besides
// what it returns and, until it returns, an index of the names and URLs. It may
// be called concurrently with different readers.
func Parse(r io.Reader, file string) (*List, error) {
	p := parser{file: file, list: &List{Dialect: Empty}, index: newIndex()}
	lines := newLineReader(r)
	for lines.next() {
		if lines.number == 1 && isUTF16(lines.text) {
			p.fail(1, errors.New("the list is UTF-16; save it as UTF-8"))
			break
		}
		p.line(lines)
	}
	if lines.err != nil {
		return nil, fmt.Errorf("%s: read line %d: %w", printable(file), lines.number+1, lines.err)
	}
	if len(p.errs) > 0 {
		return p.list, p.errs
	}
	return p.list, nil
}

// isUTF16 reports whether the first line begins with a UTF-16 byte order mark.
// Such a list would otherwise be one problem a line, none of them the cause.
func isUTF16(text []byte) bool {
	return bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff})
}

// parser gathers the entries and the problems of one list.
type parser struct {
	file  string
	list  *List
	errs  Errors
	index *index
	begun bool // a line that is neither blank nor a comment has been seen
}

// fail records a problem of a line.
func (p *parser) fail(line int, err error) {
	p.errs = append(p.errs, &SyntaxError{File: p.file, Line: line, Msg: err.Error()})
}

// line takes the reader's current line, whatever it is.
func (p *parser) line(lines *lineReader) {
	if lines.tooLong {
		p.begun = true
		p.fail(lines.number, fmt.Errorf("line is longer than %d bytes; remove it or shorten it", maxLine))
		return
	}
	content := bytes.Trim(lines.text, blanks)
	if len(content) == 0 || content[0] == '#' {
		return
	}
	first := !p.begun
	p.begun = true
	text := string(lines.text) // the one copy that the entry's name and URL share
	if first && urlStart(text) < 0 {
		p.header(text, lines.number)
		return
	}
	p.entry(text, lines.number)
}

// header takes the first line of a list that has no URL on it. A text header
// has no control characters; a compressed or otherwise binary file does.
func (p *parser) header(text string, line int) {
	if c, found := findControl(strings.ReplaceAll(text, "\t", "")); found {
		p.fail(line, fmt.Errorf("header holds the control character %U; check that the list is plain text", c))
		return
	}
	p.list.Header = line
}

// entry takes a line that must hold an entry. A line with both a wrong name and
// a wrong URL is two problems.
func (p *parser) entry(text string, line int) {
	f, err := split(text)
	if err != nil {
		p.fail(line, err)
		return
	}
	u, urlErr := checkURL(f.url)
	if urlErr == nil && f.dialect == URLs {
		f.name, urlErr = nameOf(u)
	}
	var nameErr error
	if f.dialect != URLs || urlErr == nil {
		nameErr = checkName(f.name)
	}
	for _, err := range []error{nameErr, urlErr} {
		if err != nil {
			p.fail(line, err)
		}
	}
	if nameErr == nil && urlErr == nil {
		p.add(Entry{Name: f.name, URL: f.url, Line: line}, f.dialect)
	}
}

// add appends an entry that is right in itself, unless an earlier one has it
// already or forbids it.
func (p *parser) add(e Entry, d Dialect) {
	found, err := p.index.add(e)
	if err != nil {
		p.fail(e.Line, err)
		return
	}
	switch p.list.Dialect {
	case Empty:
		p.list.Dialect = d
	case d:
	default:
		p.list.Dialect = Mixed
	}
	if found.repeated {
		p.list.Folded++
		return
	}
	if found.sharedURL {
		p.list.SharedURLs++
	}
	p.list.Entries = append(p.list.Entries, e)
}
