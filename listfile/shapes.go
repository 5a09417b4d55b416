package listfile

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"dlfs/listfile/digest"
)

// In the form "fields" each field of a line tells by itself what it is: a URL, a digest, a size, a
// name. The roles of the fields, one letter each, are the shape of the line, such as "ush" for
// URL SIZE DIGEST.

// token is a field of a line whose fields are parted by TABs or by spaces.
type token struct {
	text   string
	quoted bool // it stood in quotes, or in < and >
}

// closing has, for each byte that opens quotes around a field, the byte that closes them; 0 for
// all other bytes.
var closing = [256]byte{'"': '"', '\'': '\'', '<': '>'}

// tokens takes a line apart into its fields. Where there is a TAB, only TABs part
// fields, so that names may hold spaces; else runs of blanks do. A field that begins
// with a quote or "<" ends at the closing one if a blank or the end of the line follows
// that.
func tokens(text string) (fields []token) {
	cut := blanks
	if strings.Contains(text, "\t") {
		cut = "\t"
	}
	for text = strings.Trim(text, blanks); text != ""; text = strings.TrimLeft(text, blanks) {
		if end := quotedEnd(text); end > 0 && (end+1 == len(text) || strings.IndexByte(blanks, text[end+1]) >= 0) {
			fields = append(fields, token{text[1:end], true})
			text = text[end+1:]
			continue
		}
		end := strings.IndexAny(text, cut)
		if end < 0 {
			end = len(text)
		}
		fields = append(fields, token{strings.Trim(text[:end], blanks), false})
		text = text[end:]
	}
	return fields
}

// quotedEnd returns the index of the byte that closes the quotes which a text begins
// with, 0 if it begins with none or they are not closed.
func quotedEnd(text string) int {
	if text == "" || closing[text[0]] == 0 {
		return 0
	}
	return strings.IndexByte(text[1:], closing[text[0]]) + 1
}

// role is what a field is, by itself: u for a URL, h for a digest, a for the name of
// an algorithm, s for a size, n for anything else.
func (t token) role() byte {
	switch {
	case urlStart(t.text) == 0:
		return 'u'
	case isHex(t.text) || strings.Contains(t.text, ":") && isDigest(t.text):
		return 'h'
	case isNumber(t.text) || t.text == "-":
		return 's'
	}
	if _, known := algorithm(t.text); known {
		return 'a'
	}
	return 'n'
}

// hasTab reports whether TABs part the fields of a line.
func hasTab(text string) bool { return strings.Contains(strings.Trim(text, blanks), "\t") }

// isNumber reports whether a text is a number as sizes are written.
func isNumber(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == "" && (text[0] != '0' || len(text) == 1)
}

// shapeOf returns the roles of fields, one letter each as role gives them, "" if there are more
// than eight fields.
func shapeOf(fields []token) string {
	var b [8]byte
	if len(fields) > len(b) {
		return ""
	}
	for i, f := range fields {
		b[i] = f.role()
	}
	return string(b[:len(fields)])
}

// shapes are the shapes that are told without a heading. A URL alone, or with a name, is not among
// them: these are the forms tab, colon, urls and pget.
var shapes = map[string]bool{
	"us": true, "uh": true, "hu": true, "ush": true, "uhs": true, "hus": true, "hsu": true, "shu": true,
	"unh": true, "uhn": true, "hun": true, "hnu": true, "nuh": true, "unsh": true, "unhs": true, "nush": true, "nuhs": true, "nshu": true,
	"nhsu": true, "hsnu": true, "shnu": true, "uah": true, "ahu": true, "nuah": true, "unah": true, "nahu": true,
}

// quotedShapes are shapes that are told only where quotes or the extension of the name show
// which field is what; without them the line may be one URL with spaces.
var quotedShapes = map[string]bool{"un": true, "nu": true, "uns": true, "nus": true, "nsu": true}

// isShape reports whether the fields of a line tell what they are. parted says that
// TABs part them, so that a URL cannot go on in the next field. Shapes of only a URL
// and a name, or with a size, need more evidence: quotes, or a name with an extension
// where the URL before it is complete.
func isShape(fields []token, parted bool) bool {
	shape := shapeOf(fields)
	if shapes[shape] {
		return true
	}
	if !quotedShapes[shape] {
		return false
	}
	clear := parted || shape[0] != 'u' || standsAlone(fields[0].text)            // else the rest may be of the URL
	if shape == "nu" && strings.IndexFunc(fields[0].text, isLetterOrDigit) < 0 { // the marker of an item
		return false
	}
	for i, f := range fields {
		if f.quoted && (shape[i] == 'u' || shape == "nu") || clear && len(shape) == 3 && shape[i] == 'n' && looksLikeName(f.text) {
			return true
		}
	}
	return false
}

// isSizeFirst reports whether a line is a number and a URL with a space between.
func isSizeFirst(text string) bool {
	fields := tokens(text)
	return shapeOf(fields) == "su" && !strings.Contains(text, "\t") && !fields[0].quoted && fields[0].text != "-"
}

// isFileName reports whether a text would do for the name of a file: it has other
// characters than those of dates, times and numbers.
func isFileName(text string) bool { return strings.Trim(text, "0123456789-:./+TZ ") != "" }

// findShapes reports whether the list is of the form "fields": each field of each line
// tells what it is, and no URL stands in two different lines. A URL that repeats would
// mean that the real URLs go on behind a blank. The error says that the number behind a
// URL without an extension may be a size or a part of the URL.
func (s *opening) findShapes() (bool, error) {
	seen := map[string]bool{}
	doubt, status := false, true
	for _, l := range s.lines {
		fields := tokens(l.text)
		if !isShape(fields, hasTab(l.text)) {
			return false, nil
		}
		for i, role := range []byte(shapeOf(fields)) {
			if role == 'n' && !isFileName(fields[i].text) {
				return false, nil
			}
			if role == 'u' && seen[fields[i].text] && !s.folds(l.text) {
				return false, nil // what is cut off there are no URLs of files
			} else if role == 'u' {
				seen[fields[i].text] = true
			}
		}
		status = status && shapeOf(fields) == "us" && statusWords[fields[1].text]
		if f := fields[0]; shapeOf(fields) == "us" && !f.quoted && !strings.Contains(l.text, "\t") && !standsAlone(f.text) {
			doubt = true
		}
	}
	switch {
	case doubt:
		return false, errSpaceOrSize
	case status && len(s.lines) > 1:
		return false, errStatusOrSize
	}
	return len(s.lines) > 0, nil
}

// errStatusOrSize is the error of findShapes where the number may be a status of HTTP.
var errStatusOrSize = errors.New("the numbers after the URLs may be sizes, or the status that servers answered with; say --columns=url=1,size=2 or --columns=url=1")

// errSpaceOrSize is the error of findShapes: both readings explain the lines.
var errSpaceOrSize = errors.New("the number after the space may be a size or a part of the URL; write a space in a URL as %20, or say --columns=url=1,size=2")

// folds reports whether a line stands twice in the sample. Such lines are folded into one entry,
// so that their URLs and names may be the same.
func (s *opening) folds(text string) bool {
	n := 0
	for _, l := range s.lines {
		if l.text == text {
			n++
		}
	}
	return n > 1
}

// standsAlone reports whether a URL is one of a file as it is: its path ends in a
// name with an extension.
func standsAlone(text string) bool { return extension(text) != "" }

// extension returns the extension of the file that a URL or a name is of, in lower case
// and with its dot; "" if it has none.
func extension(text string) string {
	return strings.ToLower(path.Ext(baseOf(text)))
}

// baseOf returns the last component of a URL's path, without its percent-escapes, or of
// a name. It is "" for a URL without a path or that does not parse.
func baseOf(text string) string {
	if urlStart(text) == 0 {
		u, err := url.Parse(escapePercent(text))
		if err != nil {
			return ""
		}
		text = u.Path
		if strings.Count(text, "/") == 0 {
			return ""
		}
	}
	return text[strings.LastIndexByte(text, '/')+1:]
}

// shape reads a line of the form "fields". A line of another shape than the ones known is a
// problem.
func (p *parser) shape(text string, number int) {
	fields := tokens(text)
	if !isShape(fields, hasTab(text)) {
		p.fail(number, errors.New("fields are not as those of the first lines; write each line in the same form"))
		return
	}
	d := &draft{details: Details{Size: -1}, line: number, dialect: Fields}
	shape := shapeOf(fields)
	said := digest.None
	for i, f := range fields {
		var err error
		switch shape[i] {
		case 'u':
			d.urls = append(d.urls, f.text)
		case 'n':
			d.name = f.text
		case 's':
			if f.text != "-" {
				d.details.Size, err = parseSize(f.text)
			}
		case 'a':
			said, _ = algorithm(f.text)
		case 'h':
			err = d.addDigest(parseDigest(said, f.text))
		}
		if err != nil {
			p.fail(number, err)
			return
		}
	}
	if p.list.Columns == "" {
		p.list.Columns = shapeText(shape)
	}
	p.accept(d)
}

// shapeText returns a shape as Options.Columns would say it, such as "url=1 size=2".
func shapeText(shape string) string {
	var said []string
	for i, role := range []byte(shape) {
		said = append(said, fmt.Sprintf("%s=%d", map[byte]string{'u': "url", 'n': "name", 's': "size", 'a': "algorithm", 'h': "checksum"}[role], i+1))
	}
	return strings.Join(said, " ")
}
