package listfile

import (
	"errors"
	"regexp"
	"strings"
)

// bagit takes a line of a fetch.txt: URL LENGTH FILENAME, where LENGTH may be "-" and
// the name has CR, LF and % percent-encoded (RFC 8493 section 2.2.3). A URL in a
// fetch.txt holds no blank, and a name may, so the first two runs of blanks part the
// fields.
func (p *parser) bagit(text string, line int) {
	url, rest, _ := cutBlanks(strings.Trim(text, blanks))
	length, name, found := cutBlanks(rest)
	if !found {
		p.fail(line, errors.New("not of the form URL LENGTH FILENAME"))
		return
	}
	d := &draft{urls: []string{url}, details: Details{Size: -1}, line: line, dialect: BagIt}
	d.name = unescapeBagIt.Replace(name)
	if length != "-" {
		var err error
		if d.details.Size, err = parseSize(length); err != nil {
			p.fail(line, err)
			return
		}
	}
	p.accept(d)
}

// unescapeBagIt undoes the encoding of a FILENAME: %0D, %0A and %25, the hexadecimal
// digits in either case. Other percent signs stand for themselves.
var unescapeBagIt = strings.NewReplacer("%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n", "%25", "%")

// isBagIt reports whether a line has the form URL LENGTH FILENAME.
func isBagIt(line string) bool { return bagItLine.MatchString(line) }

// isBagItName reports whether the third field of a line like isBagIt's is the name of a file: it
// lies below data/, where a bag has its files, or it has an extension or a directory while the URL
// has an extension. Otherwise the line may be one URL with spaces, or something else may follow
// the size.
func isBagItName(line string) bool {
	url, rest, _ := cutBlanks(strings.Trim(line, blanks))
	_, name, _ := cutBlanks(rest)
	return strings.HasPrefix(name, "data/") || standsAlone(url) && (looksLikeName(name) || strings.Contains(name, "/"))
}

// bagItLine is a line of the form URL LENGTH FILENAME.
var bagItLine = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://\S+[ \t]+([0-9]+|-)[ \t]+\S`)
