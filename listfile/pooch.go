package listfile

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"dlfs/listfile/digest"
)

// shellWord matches one word of a line as pooch splits it, by the rules of a shell:
// text in quotes, which may hold blanks, or text without blanks.
var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[^\s"']+`)

// pooch takes a line of a registry of pooch: NAME [ALGORITHM:]HASH [URL]. Without a URL
// in the line it is the base URL and the name; without a base URL either, the line is a
// problem.
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

// poochDigest returns a digest in the form that digest.Parse reads. A bare one has its
// algorithm by its length: pooch itself takes all bare ones for SHA-256, and a digest
// of another length could never match there.
func poochDigest(text string) (string, error) {
	if strings.Contains(text, ":") {
		return text, nil
	}
	d, err := digest.FromHex(digest.None, text)
	return d.String(), err
}

// isPooch reports whether a line has the form NAME [ALGORITHM:]HASH [URL]. A line that begins
// with a digest is one of a checksum file.
func isPooch(line string) bool {
	word, _, _ := cutBlanks(line)
	return poochLine.MatchString(line) && !isHex(word)
}

// poochLine is a line of the form NAME [ALGORITHM:]HASH [URL].
var poochLine = regexp.MustCompile(`^("[^"]+"|'[^']+'|[^\s"']+)[ \t]+([A-Za-z0-9-]+:)?([0-9a-fA-F]{32}|[0-9a-fA-F]{40}|[0-9a-fA-F]{64}|[0-9a-fA-F]{128})([ \t]+\S+)?$`)
