package listfile

import (
	"errors"
	"strings"

	"dlfs/listfile/digest"
)

// tsvHTTPDataHeader is the first line of such a list, by which the form is known.
const tsvHTTPDataHeader = "TsvHttpData-1.0"

// tsvHTTPData takes a line of a list of Google's transfer service: URL, and
// perhaps a size and the base64 of an MD5, TAB-separated. The objects it names
// have the URL's host and path; here it is as Options say.
func (p *parser) tsvHTTPData(text string, line int) {
	text = strings.Trim(text, blanks)
	if text == tsvHTTPDataHeader {
		p.list.Header = line
		return
	}
	// Spaces do not divide the fields, and an empty field is one whose value is not known.
	fields := strings.Split(text, "\t")
	if len(fields) > 3 {
		p.fail(line, errors.New("more than three TAB-separated fields; write URL<TAB>SIZE<TAB>MD5"))
		return
	}
	d := &draft{urls: fields[:1], details: Details{Size: -1}, line: line, dialect: TSVHTTPData}
	var err error
	if len(fields) > 1 && fields[1] != "" {
		d.details.Size, err = parseSize(fields[1])
	}
	if len(fields) > 2 && fields[2] != "" && err == nil {
		err = d.addDigest(digest.FromBase64(digest.MD5, fields[2]))
	}
	if err != nil {
		p.fail(line, err)
		return
	}
	p.accept(d)
}
