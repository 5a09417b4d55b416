package listfile

import (
	"cmp"
	"errors"
	"net/url"
	"strings"
)

// draft is an entry as its form has it, before its name and URLs are checked.
type draft struct {
	name    string // "" to be named after the URL
	urls    []string
	details Details
	line    int
	dialect Dialect
	id      string // makes the URL with the base URL, if there is no other
	apart   bool   // its URLs are parted from all else, so that a space is a part of them
	isURL   bool   // what has no scheme is meant to be a URL
}

// accept checks a draft and makes an entry of it. One with both a wrong name and
// a wrong URL is two problems.
func (p *parser) accept(d *draft) {
	p.seen++
	urls, path, urlErr := p.checkURLs(d)
	if d.name == "" && p.opts.NameFrom == Disposition && urlErr == nil {
		p.guess(d, urls, path)
		return
	}
	guessed := d.name == ""
	if guessed && urlErr == nil {
		d.name, urlErr = p.nameOf(path)
	}
	var nameErr error
	if !guessed || urlErr == nil {
		nameErr = checkName(d.name)
	}
	if nameErr != nil && errors.As(nameErr, new(*longName)) {
		if !guessed {
			d.details.Refused = nameErr
		}
		d.name, nameErr = shorten(d.name), nil
	}
	for _, err := range []error{nameErr, urlErr} {
		if err != nil {
			p.fail(d.line, err)
		}
	}
	if nameErr != nil || urlErr != nil {
		return
	}
	if !p.keep.keeps(d.name) {
		p.list.LeftOut++
		return
	}
	e := Entry{Name: d.name, URL: urls[0], Line: d.line}
	d.details.Mirrors = mirrorsOf(urls)
	if !d.details.empty() {
		details := d.details
		e.Details = &details
	}
	p.add(e, d.dialect, guessed)
}

// guess takes an entry whose origin is to be asked for its name. Until then there
// is no knowing whether the name is right, or one of those that are wanted.
func (p *parser) guess(d *draft, urls []string, path string) {
	name, err := p.nameOf(path)
	if err == nil {
		err = checkName(name)
	}
	if errors.As(err, new(*longName)) {
		name = shorten(name)
	} else if err != nil {
		name = ""
	}
	if p.full {
		return
	}
	if len(p.list.Entries) >= maxKnown {
		p.full = true
		p.fail(d.line, errFull)
		return
	}
	details := d.details
	details.Mirrors, details.Guessed = mirrorsOf(urls), true
	p.append(Entry{Name: name, URL: urls[0], Line: d.line, Details: &details}, d.dialect)
}

// mirrorsOf returns the URLs after the first one. It does not keep a draft alive that has
// no others.
func mirrorsOf(urls []string) []string {
	if len(urls) == 1 {
		return nil
	}
	return urls[1:]
}

// empty reports whether nothing is said.
func (d *Details) empty() bool {
	return len(d.Mirrors) == 0 && d.Size < 0 && d.Digest.IsZero() && d.Pieces == nil && len(d.Header) == 0 && d.ModTime.IsZero() && d.Refused == nil
}

// checkURLs checks the URLs of an entry, made absolute, and leaves out those
// that stand twice. It also returns the path of the first one.
func (p *parser) checkURLs(d *draft) (urls []string, first string, err error) {
	if len(d.urls) == 0 {
		return nil, "", errNoURL
	}
	if len(d.urls) == 1 { // the common case, without a copy
		path, text, err := p.checkURL(d.urls[0], d)
		if err != nil {
			return nil, "", err
		}
		d.urls[0] = text
		return d.urls, path, nil
	}
	seen := make(map[string]bool, len(d.urls))
	for i, text := range d.urls {
		path, text, err := p.checkURL(text, d)
		if err != nil {
			return nil, "", err
		}
		if i == 0 {
			first = path
		}
		if !seen[text] {
			urls, seen[text] = append(urls, text), true
		}
	}
	return urls, first, nil
}

// checkURL checks a URL and makes it absolute. It also returns its path.
func (p *parser) checkURL(text string, d *draft) (path, absolute string, err error) {
	if path, plain := plainPath(text); plain {
		return path, text, nil
	}
	if d.apart {
		text = strings.ReplaceAll(text, " ", "%20")
	}
	if urlStart(text) != 0 {
		switch {
		case (d.isURL || p.baseScheme != "") && p.base == nil && isHostPath(text):
			if p.baseScheme == "" {
				p.list.NoScheme++
			}
			text = cmp.Or(p.baseScheme, "http://") + text
		case strings.HasPrefix(text, "//") && p.base == nil:
			text = strings.TrimSuffix(cmp.Or(p.baseScheme, "https://"), "//") + text
		case p.base != nil:
			if text, err = p.resolve(text); err != nil {
				return "", "", err
			}
		}
	}
	u, err := checkURL(text)
	if err != nil {
		return "", "", err
	}
	return u.Path, text, nil
}

// resolve makes a relative URL absolute.
func (p *parser) resolve(text string) (string, error) {
	if strings.ContainsAny(text, " \t") {
		return "", errURLSpace
	}
	u, err := url.Parse(text)
	if err != nil {
		return "", errURLSyntax
	}
	return p.base.ResolveReference(u).String(), nil
}

// under returns the URL of a name below the base URL.
func (p *parser) under(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return p.base.JoinPath(parts...).String()
}

// add appends an entry that is right in itself, unless an earlier one has it
// already or forbids it.
func (p *parser) add(e Entry, d Dialect, guessed bool) {
	if p.full {
		return
	}
	repeated, err := p.index.add(e, len(p.list.Entries))
	if same, ok := errors.AsType[*sameName](err); ok && guessed && p.opts.NameFrom == Basename {
		err = same.guessed(e.URL, p.list.Entries)
	}
	p.full = errors.Is(err, errFull)
	if err != nil {
		p.fail(e.Line, err)
		return
	}
	if repeated {
		p.noteDialect(d)
		p.list.Folded++
		p.repeated++
		return
	}
	p.append(e, d)
}

// append appends an entry to the list.
func (p *parser) append(e Entry, d Dialect) {
	p.noteDialect(d)
	p.repeated = 0
	p.texts.keep(&e)
	p.list.Entries = p.progress.grow(p.list.Entries)
	p.list.Entries = append(p.list.Entries, e)
}

// noteDialect notes the form of one entry as that of the list.
func (p *parser) noteDialect(d Dialect) {
	switch p.list.Dialect {
	case "", d:
		p.list.Dialect = d
	default:
		p.list.Dialect = Mixed
	}
}
