package listfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"dlfs/listfile/digest"
)

// bagit takes a line of a fetch.txt: URL LENGTH FILENAME, where LENGTH may be
// "-" and the name has CR, LF and % percent-encoded (RFC 8493 section 2.2.3).
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

var unescapeBagIt = strings.NewReplacer("%0D", "\r", "%0d", "\r", "%0A", "\n", "%0a", "\n", "%25", "%")

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

// shellWord is a word as a shell splits them.
var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// pooch takes a line of a registry of pooch: NAME [ALGORITHM:]HASH [URL]. Without
// a URL it is the base URL and the name.
func (p *parser) pooch(text string, line int) {
	words := shellWord.FindAllString(text, -1)
	if len(words) < 2 || len(words) > 3 {
		p.fail(line, errors.New("not of the form NAME HASH or NAME HASH URL"))
		return
	}
	for i := range words {
		words[i] = strings.Trim(words[i], `"'`)
	}
	d := &draft{name: words[0], details: Details{Size: -1}, line: line, dialect: Pooch}
	text, err := poochDigest(words[1])
	if err == nil {
		err = d.addDigest(digest.Parse(text))
	}
	if err != nil {
		p.fail(line, err)
		return
	}
	switch {
	case len(words) == 3:
		d.urls = words[2:]
	case p.base != nil:
		d.urls = []string{p.under(words[0])}
	default:
		p.fail(line, fmt.Errorf("%s has no URL; give --base-url", quote(words[0])))
		return
	}
	p.accept(d)
}

// poochDigest returns a digest as digest.Parse reads it. Bare ones are SHA-256.
func poochDigest(text string) (string, error) {
	if strings.Contains(text, ":") {
		return text, nil
	}
	d, err := digest.FromHex(digest.None, text)
	return d.String(), err
}

// esgfHead is where the list begins inside a wget script of the Earth System Grid
// Federation, whose lines are 'NAME' 'URL' 'ALGORITHM' 'DIGEST'. It ends with a line
// that begins with esgfEnd.
const (
	esgfHead = "EOF--dataset.file.url.chksum_type.chksum"
	esgfEnd  = "EOF--"
)

// esgf returns what takes the lines of such a script.
func (p *parser) esgf() func(text string, line int) {
	inside := false
	return func(text string, line int) {
		switch {
		case !inside:
			inside = strings.Contains(text, esgfHead)
		case strings.HasPrefix(text, esgfEnd):
			inside = false
		default:
			p.shape(text, line)
		}
	}
}

// checksum takes a line of a checksum file; the URL is the base URL and the name.
// The lines of a signature are none.
func (p *parser) checksum(text string, line int) {
	name, sum, err := checksumLine(text)
	if errors.Is(err, errNoChecksum) && (p.signed || isClearsigned(text)) {
		p.signed = true
		p.list.Ignored++
		return
	}
	if err == nil && p.base == nil {
		err = errors.New("a list of checksums has no URLs; give --base-url, or give the file as --checksums beside a list of URLs")
		p.stop(line, err)
		return
	}
	if err != nil {
		p.fail(line, err)
		return
	}
	d := &draft{name: strings.TrimPrefix(name, "./"), details: Details{Size: -1, Digest: sum}, line: line, dialect: Checksums}
	p.complete(d)
	p.accept(d)
}

// isChecksum reports whether a line is one of a checksum file.
func isChecksum(text string) bool {
	_, _, err := checksumLine(text)
	return err == nil
}

// isClearsigned reports whether a line begins a text with a signature of PGP (RFC 9580 section 7).
func isClearsigned(text string) bool { return strings.HasPrefix(text, "-----BEGIN PGP SIGNED MESSAGE") }

// condaMark is the line before the URLs in a list of packages of conda.
const condaMark = "@EXPLICIT"

// conda takes a URL with a digest as its fragment.
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

// fragment takes the digest that a URL has as its fragment, as in url#sha256=HEX.
func (d *draft) fragment(url string) {
	i := strings.LastIndexByte(url, '#')
	if i < 0 || !strings.ContainsAny(url[i:], "=:") {
		return
	}
	if sum, err := parseDigest(digest.None, url[i+1:]); err == nil {
		d.details.Digest = sum
	}
}
