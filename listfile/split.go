package listfile

import (
	"errors"
	"strings"
	"unicode"
)

const (
	blanks     = " \t"  // trimmed around lines, names and URLs
	separators = " \t:" // between a name and its URL
)

var (
	errNoURL     = errors.New("no URL on this line; write NAME<TAB>URL, NAME : URL or a plain URL")
	errFields    = errors.New("more than two TAB-separated fields; write NAME<TAB>URL and nothing else")
	errBetween   = errors.New("text between the TAB and the URL; write NAME<TAB>URL and nothing else")
	errUnparted  = errors.New(`name and URL are not apart; put a TAB, " : " or a space between them, or tell the columns of a table with --columns`)
	errWgetLog   = errors.New("this is a line of wget's log, not of a list; write its URL alone on the line")
	errEmptyName = errors.New("name is empty; write a name before the URL, or begin the line with the URL")
)

// fields is what one line of the forms tab, colon, urls and pget says, before its name and URL
// are checked.
type fields struct {
	name    string // "" where the line is of the form urls
	url     string
	dialect Dialect // Tab, Colon, URLs or Pget
	quoted  bool    // quotes say where the URL ends, so that a space in it belongs to it
	apart   bool    // of Pget: a TAB or quotes part the URL from the name
}

// split takes a line of the forms tab, colon, urls and pget apart. What stands before the first
// "scheme://" tells the form: a TAB, quotes, other text, or nothing. The fields are substrings of
// the line.
func split(line string) (fields, error) {
	start := urlStart(line)
	if start < 0 {
		return fields{}, errNoURL
	}
	before := line[:start]
	if before != "" && closing[before[len(before)-1]] != 0 {
		return splitQuoted(line, start-1)
	}
	url := strings.Trim(line[start:], blanks)
	if name, between, found := strings.Cut(before, "\t"); found {
		return splitTab(name, between, url)
	}
	return splitBefore(before, fields{url: url})
}

// splitBefore judges a line by the text before its URL, in which there is no TAB: the name of the
// form colon, or the marker of an item such as "- ", which means nothing. f has the URL, and
// quoted where it stood in quotes.
func splitBefore(before string, f fields) (fields, error) {
	name := strings.TrimRight(before, separators)
	if name != "" && name == before {
		return fields{}, errBeside(name)
	}
	if f.name = unquote(strings.Trim(name, blanks)); isMarker(before) || f.name == "" && strings.Trim(before, blanks) == "" {
		if f.name = ""; f.quoted {
			f.dialect = URLs
			return f, nil
		}
		return splitAfter(f.url), nil
	}
	if name != "" && strings.IndexFunc(name, isLetterOrDigit) < 0 { // the marker of an item
		f.name = ""
		f.dialect = URLs
		return f, nil
	}
	if strings.HasPrefix(name, "--") && strings.HasSuffix(name, "--") {
		return fields{}, errWgetLog
	}
	if strings.HasSuffix(name, " @") { // a package and where it is, in Python
		return fields{url: f.url, dialect: URLs, quoted: f.quoted}, nil
	}
	f.name, f.dialect = withoutSign(f.name), Colon
	if wordOf(f.name).column == urlColumn { // "URL: http://…"
		f.name, f.dialect = "", URLs
	}
	return f, nil
}

// errBeside is of a URL that stands right behind other text.
func errBeside(text string) error {
	switch {
	case strings.HasSuffix(text, "]("):
		return errMarkdown
	case strings.HasSuffix(text, "="):
		return errAssigned
	}
	return errUnparted
}

// isLetterOrDigit reports whether a character is one of a word, in any script.
func isLetterOrDigit(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }

// withoutSign returns a name without the sign that parts it from the URL.
func withoutSign(name string) string {
	for _, sign := range []string{" =>", " ->", " <-", " <=", " =", " -", " –", " |", ",", ";"} {
		if before, found := strings.CutSuffix(name, sign); found {
			return unquote(strings.Trim(before, blanks))
		}
	}
	return name
}

// unquote returns a name without the quotes around it.
func unquote(name string) string {
	if end := quotedEnd(name); end > 0 && end == len(name)-1 && name[0] != '<' {
		return name[1:end]
	}
	return name
}

// isMarker reports whether a text before a URL is the marker of an item, and no
// name: "- ", "* ", "1. ", "2) ", "a) ", "[3] ", "- [x] ".
func isMarker(before string) bool {
	trimmed := strings.Trim(before, blanks)
	if trimmed == before { // a name, or nothing
		return false
	}
	switch trimmed {
	case "-", "*", "+", "•", "–", "- [ ]", "- [x]", "* [ ]", "* [x]":
		return true
	}
	if len(trimmed) == 2 && isLetter(trimmed[0]) && trimmed[1] == ')' {
		return true
	}
	for _, form := range [...][2]string{{"", "."}, {"", ")"}, {"(", ")"}, {"[", "]"}, {"", ".)"}} {
		n, begins := strings.CutPrefix(trimmed, form[0])
		n, ends := strings.CutSuffix(n, form[1])
		if begins && ends && n != "" && strings.Trim(n, "0123456789") == "" {
			return true
		}
	}
	return false
}

// splitQuoted takes a line apart whose URL begins in quotes; open is the index of the
// quote. Behind the closing quote there may be a comma or semicolon, as in the source
// of a program, or the name of the form pget. Before the opening quote there may be a
// name. Text on both sides, or a second URL, is an error.
func splitQuoted(line string, open int) (fields, error) {
	end := quotedEnd(line[open:])
	if end == 0 {
		return fields{}, errUnparted
	}
	f := fields{url: line[open+1 : open+end], quoted: true, apart: true}
	before, after := line[:open], strings.Trim(line[open+end+1:], blanks)
	if line[open] == '<' && len(after) > 1 && after[0] == ';' { // a parameter (RFC 8288)
		return fields{}, errURLSpace
	}
	if after = strings.TrimLeft(after, ",;"); after != "" {
		if strings.Trim(before, blanks) != "" || after[0] == '#' || urlStart(after) >= 0 {
			return fields{}, errURLSpace
		}
		f.name, f.dialect = unquote(strings.Trim(after, blanks)), Pget
		return f, nil
	}
	if name, between, found := strings.Cut(before, "\t"); found && strings.Trim(before, blanks) != "" {
		if strings.Trim(between, blanks) != "" {
			return fields{}, errBetween
		}
		f.name, f.dialect = unquote(strings.Trim(name, blanks)), Tab
		return f, nil
	}
	return splitBefore(before, f)
}

// splitAfter takes a line apart that begins with its URL. What follows it, if
// anything, is the name; another URL or a comment is not, and is left for checkURL
// to refuse.
func splitAfter(line string) fields {
	url, name, found := cutBlanks(line)
	if !found || urlStart(name) >= 0 || name[0] == '#' {
		return fields{url: line, dialect: URLs}
	}
	return fields{url: url, name: unquote(name), dialect: Pget, apart: line[len(url)] == '\t' || quotedEnd(name) > 0}
}

// cutBlanks cuts a line at its first run of blanks.
func cutBlanks(line string) (before, after string, found bool) {
	i := strings.IndexAny(line, blanks)
	if i < 0 {
		return line, "", false
	}
	return line[:i], strings.TrimLeft(line[i:], blanks), true
}

// splitTab judges a line that has a TAB before its URL: name is the text before the
// first TAB, between the text from there to the URL, and url the URL with what follows
// it. Only blanks may stand between.
func splitTab(name, between, url string) (fields, error) {
	junk := strings.Trim(between, blanks) != ""
	switch {
	case strings.Contains(url, "\t"), junk && strings.Contains(between, "\t"):
		return fields{}, errFields
	case junk:
		return fields{}, errBetween
	}
	return fields{name: unquote(strings.Trim(name, blanks)), url: url, dialect: Tab}, nil
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

// isLetter reports whether a byte is an ASCII letter, which a scheme begins with (RFC
// 3986 section 3.1).
func isLetter(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}

// isSchemeByte reports whether a byte may stand in a scheme (RFC 3986 section 3.1).
func isSchemeByte(b byte) bool {
	return isLetter(b) || '0' <= b && b <= '9' || b == '+' || b == '.' || b == '-'
}
