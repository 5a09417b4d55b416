package listfile

import (
	"strings"

	"dlfs/listfile/digest"
)

// condaMark is the line before the URLs in a list of packages of conda.
const condaMark = "@EXPLICIT"

// conda takes a line of "conda list --explicit": a URL with the digest of the file as
// its fragment, bare for MD5 or as sha256:HEX. The fragment is not sent to the server
// (RFC 9110 section 7.1), so that it may stay in the URL.
func (p *parser) conda(text string, line int) {
	text = strings.Trim(text, blanks)
	if text == condaMark {
		p.list.Header = line
		return
	}
	d := &draft{urls: []string{text}, details: Details{Size: -1}, line: line, dialect: Conda}
	_, fragment, _ := strings.Cut(text, "#")
	if isHex(fragment) {
		d.addDigest(parseDigest(digest.None, fragment)) // isHex says that there is none
	} else {
		d.fragment(text)
	}
	p.accept(d)
}

// isConda reports whether a line is a URL with a bare digest as its fragment.
func isConda(text string) bool {
	url, fragment, _ := strings.Cut(strings.Trim(text, blanks), "#")
	return absoluteURL.MatchString(url) && isHex(fragment)
}

// fragment takes the digest that a URL has as its fragment, as in url#sha256=HEX, which
// pip writes. A fragment that is no digest is ignored.
func (d *draft) fragment(url string) {
	i := strings.LastIndexByte(url, '#')
	if i < 0 || !strings.ContainsAny(url[i:], "=:") {
		return
	}
	if sum, err := parseDigest(digest.None, url[i+1:]); err == nil {
		d.details.Digest = sum
	}
}
