package listfile

import (
	"errors"
	"fmt"
	"strings"
)

// line takes a line of the forms tab, colon, urls and pget.
func (p *parser) line(text string, line int) {
	first := !p.begun
	p.begun = true
	if urlStart(text) < 0 && first && (p.base == nil || isHeader(text, '\t')) {
		p.header(text, line)
		return
	}
	f, err := split(text)
	if errors.Is(err, errNoURL) && p.base != nil {
		f, err = splitRelative(text), nil
	}
	if err != nil {
		p.fail(line, err)
		return
	}
	if f.dialect != URLs && f.name == "" {
		p.fail(line, errEmptyName)
		if _, _, err := p.checkURLs([]string{f.url}); err != nil {
			p.fail(line, err)
		}
		return
	}
	p.accept(&draft{name: f.name, urls: []string{f.url}, details: Details{Size: -1}, line: line, dialect: f.dialect})
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

// splitRelative takes a line apart whose URL is relative: NAME<TAB>URL, or the
// URL alone.
func splitRelative(text string) fields {
	if name, url, found := strings.Cut(text, "\t"); found {
		return fields{name: strings.Trim(name, blanks), url: strings.Trim(url, blanks), dialect: Tab}
	}
	return fields{url: strings.Trim(text, blanks), dialect: URLs}
}
