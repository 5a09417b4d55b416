package listfile

import (
	"cmp"
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// draft is an entry as it stands in the list, before its name and URLs are checked. Every form
// makes drafts, and accept makes entries of them, so that the rules of names and URLs are the
// same for all forms.
type draft struct {
	name    string   // "" to be named after the URL
	urls    []string // as they stand in the list, the best first; perhaps relative
	details Details  // what else the list says; Mirrors, Guessed and Refused are set by accept
	line    int      // 1-based
	dialect Dialect
	id      string // the base URL and this identifier make the URL if urls is empty
	apart   bool   // the form marks where a URL ends, so that a space in it belongs to it
	isURL   bool   // the column is one of URLs, so that "host/path" has only lost its scheme
}

// accept checks a draft and makes an entry of it. The order of the steps is: the URLs
// are checked and made absolute; an entry without a name is named after its URL; the
// name is checked; the patterns of the user are asked; the index is asked (add).
//
// A problem of the name and one of the URL are both recorded, so that the user need not
// run twice to see them. A name that is only too long is shortened: the entry stays in
// the list, and if the list gave the name, Details.Refused says why it is not fetched
// under it.
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

// guess takes an entry whose origin will be asked for its name, because
// Options.NameFrom is Disposition. Its name in the list is only a guess, and "" where
// the URL suggests no valid name.
//
// Neither the patterns of the user nor the index see the guess here. Rename asks both,
// once the name from the origin is known. The bound on entries (maxKnown), which the
// index holds for all other entries, is therefore held here.
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

// mirrorsOf returns the URLs after the first one, nil if there is one URL only: an empty slice
// of urls would keep the whole array in memory.
func mirrorsOf(urls []string) []string {
	if len(urls) == 1 {
		return nil
	}
	return urls[1:]
}

// empty reports whether the list says nothing beside name and URL. Such an entry has no Details,
// which spares memory in lists of millions.
func (d *Details) empty() bool {
	return len(d.Mirrors) == 0 && d.Size < 0 && d.Digest.IsZero() && d.Pieces == nil && len(d.Header) == 0 && d.ModTime.IsZero() && d.Refused == nil
}

// checkURLs checks the URLs of an entry, makes them absolute, and leaves out those that
// stand twice. It also returns the path of the first URL, after which the entry may be
// named. The first URL that is wrong ends the check: the entry is then a problem as a
// whole, because a mirror that is left out in silence would hide a mistake of the list.
// The slice that it returns may share its memory with d.urls.
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

// checkURL checks a URL and makes it absolute. It also returns the path of the URL,
// without its percent-escapes, after which the entry may be named.
//
// A URL without a scheme is completed in one of three ways. With a base URL it is
// relative to that (resolve). Without one, "host/path" in a column of URLs has http://
// put before it; where Options.BaseURL is no more than a scheme, "host/path" has that
// scheme put before it in every form; and "//host/path" (RFC 3986 section 4.2) has
// https: put before it. Anything else without a scheme is refused by the function
// checkURL.
func (p *parser) checkURL(text string, d *draft) (path, absolute string, err error) {
	if (d.apart || d.isURL) && strings.LastIndex(text, "://") > len("https") && twoURLs.MatchString(text) {
		return "", "", errTwoURLs
	}
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

// twoURLs is a field with two URLs in it. A URL in the query of another one is not meant.
var twoURLs = regexp.MustCompile(`(?i)^[^?#]*[ ,;|]\s*https?://`)

var errTwoURLs = errors.New("two URLs in one field; write an entry for each of them, or the delimiter before the second one percent-encoded if it is one URL")

// resolve makes a relative URL absolute, as RFC 3986 section 5.2 says. The caller has
// seen that there is a base URL. The errors are fixed texts, because an error of
// url.Parse quotes the URL, which may hold a secret.
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

// under returns the URL of a name below the base URL, with each component
// percent-escaped: "a b/c" below http://h/d/ is http://h/d/a%20b/c. The caller has seen
// that there is a base URL.
func (p *parser) under(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return p.base.JoinPath(parts...).String()
}

// add asks the index whether an entry fits, and appends it if it does. The caller has
// checked its name and URLs. An entry that repeats an earlier one is counted in
// List.Folded and left out; one that contradicts an earlier one is a problem of its
// line. guessed says that the name comes from the URL; the message of a clash then
// names the other ways to name entries.
//
// Once the index is full, nothing more is looked at: errFull has been recorded, and a
// list of that size would have millions of problems to record.
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

// append appends an entry to the list. The texts of the entry are moved into shared
// blocks before, and the slice of entries grows by what the rest of the list will need
// (texts.go).
func (p *parser) append(e Entry, d Dialect) {
	p.noteDialect(d)
	p.repeated = 0
	p.texts.keep(&e)
	p.list.Entries = p.progress.grow(p.list.Entries)
	p.list.Entries = append(p.list.Entries, e)
}

// noteDialect notes the form of one entry as that of the list. A list whose entries
// have several forms is Mixed.
func (p *parser) noteDialect(d Dialect) {
	switch p.list.Dialect {
	case "", d:
		p.list.Dialect = d
	default:
		p.list.Dialect = Mixed
	}
}
