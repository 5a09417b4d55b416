package listfile

import (
	"errors"
	"strings"
)

const (
	blanks     = " \t"  // trimmed around lines, names and URLs
	separators = " \t:" // between a name and its URL
)

var (
	errNoURL     = errors.New("no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL")
	errFields    = errors.New("more than two TAB-separated fields; write NAME<TAB>URL and nothing else")
	errBetween   = errors.New("text between the TAB and the URL; write NAME<TAB>URL and nothing else")
	errUnparted  = errors.New(`name and URL are not apart; put a TAB, " : " or a space between them`)
	errEmptyName = errors.New("name is empty; write a name before the URL, or begin the line with the URL")
)

// fields is what one line says, before its name and URL are checked.
type fields struct {
	name    string // empty for URLs
	url     string
	dialect Dialect
}

// split takes a line apart. The fields are substrings of the line.
func split(line string) (fields, error) {
	start := urlStart(line)
	if start < 0 {
		return fields{}, errNoURL
	}
	before, url := line[:start], strings.Trim(line[start:], blanks)
	if name, between, found := strings.Cut(before, "\t"); found {
		return splitTab(name, between, url)
	}
	name := strings.TrimRight(before, separators)
	switch {
	case strings.Trim(before, blanks) == "":
		return splitAfter(url), nil
	case name == before:
		return fields{}, errUnparted
	}
	return fields{name: strings.Trim(name, blanks), url: url, dialect: Colon}, nil
}

// splitAfter takes a line apart that begins with its URL. What follows it, if
// anything, is the name; another URL or a comment is not, and is left for checkURL
// to refuse.
func splitAfter(line string) fields {
	url, name, found := cutBlanks(line)
	if !found || urlStart(name) >= 0 || name[0] == '#' {
		return fields{url: line, dialect: URLs}
	}
	return fields{url: url, name: name, dialect: Pget}
}

// cutBlanks cuts a line at its first run of blanks.
func cutBlanks(line string) (before, after string, found bool) {
	i := strings.IndexAny(line, blanks)
	if i < 0 {
		return line, "", false
	}
	return line[:i], strings.TrimLeft(line[i:], blanks), true
}

// splitTab judges a line that has a TAB before its URL: the text before the
// first TAB, from there to the URL, and the URL with what follows it.
func splitTab(name, between, url string) (fields, error) {
	junk := strings.Trim(between, blanks) != ""
	switch {
	case strings.Contains(url, "\t"), junk && strings.Contains(between, "\t"):
		return fields{}, errFields
	case junk:
		return fields{}, errBetween
	}
	return fields{name: strings.Trim(name, blanks), url: url, dialect: Tab}, nil
}

// urlStart returns the index of the first "scheme://" of a line, or -1. A
// scheme is a letter and then letters, digits, '+', '.' and '-'.
func urlStart(line string) int {
	from := 0
	for {
		i := strings.Index(line[from:], "://")
		if i < 0 {
			return -1
		}
		start := -1
		for j := from + i - 1; j >= from && isSchemeByte(line[j]); j-- {
			if isLetter(line[j]) {
				start = j
			}
		}
		if start >= 0 {
			return start
		}
		from += i + len("://")
	}
}

func isLetter(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

func isSchemeByte(b byte) bool {
	return isLetter(b) || '0' <= b && b <= '9' || b == '+' || b == '.' || b == '-'
}
