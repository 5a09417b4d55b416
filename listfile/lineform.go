package listfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// line takes a line of the forms tab, colon, urls and pget; number is 1-based. The
// steps are: the first line may be a header; split takes the line apart; what is likely
// a mistake of the author is refused (checkEdges); and accept has the draft. All errors
// are problems of the line.
func (p *parser) line(text string, number int) {
	first := !p.begun
	p.begun = true
	if first && urlStart(text) < 0 && isHeader(text) {
		p.list.Header = number
		return
	}
	f, err := split(text)
	if errors.Is(err, errNoURL) && p.base != nil {
		f, err = splitRelative(text), nil
	}
	// A URL and a name with one space between may as well be one URL with a space in
	// it. With "?", "&" or "=" behind the space, the rest is most likely of the URL.
	if err == nil && f.dialect == Pget && p.opts.Format != Pget && !f.apart && (!isNamed(f.url, f.name) || isSentence(f.url, f.name)) {
		if err = errURLSpace; !strings.ContainsAny(f.name, "?&=") {
			err = errSpace(f.url, f.name)
		}
	}
	if err != nil {
		p.fail(number, err)
		return
	}
	if f.dialect != URLs && f.name == "" {
		p.fail(number, errEmptyName)
		if _, _, err := p.checkURLs(&draft{urls: []string{f.url}}); err != nil {
			p.fail(number, err)
		}
		return
	}
	if err = checkEdges(f); err == nil && p.opts.Format == "" {
		err = checkPlausible(text, f)
	}
	if err != nil {
		p.fail(number, err)
		return
	}
	d := &p.draft
	*d = draft{name: f.name, urls: append(d.urls[:0], f.url), details: Details{Size: -1}, line: number, dialect: f.dialect, apart: f.quoted}
	d.fragment(f.url)
	p.accept(d)
}

// edges is trimmed from the fields of tables: spaces that are no delimiters, and
// characters that are not seen.
const edges = blanks + "\u00a0\u200b\u2060\ufeff"

// checkEdges refuses what a copy from a page or a program leaves in a line, and what
// would be fetched or named wrongly: characters in a name that are not seen, and what
// checkEnd knows.
func checkEdges(f fields) error {
	if isPlainASCII(f.url) && isPlainASCII(f.name) {
		return checkEnd(f)
	}
	for _, c := range edges[len(blanks):] {
		if strings.ContainsRune(f.name, c) && checkName(f.name) == nil {
			return fmt.Errorf("name %s holds %U, a space that is not seen as one; remove it", quote(f.name), c)
		}
	}
	return checkEnd(f)
}

// commands are programs whose command lines are no lists.
var commands = []string{"wget", "wget2", "curl", "aria2c", "axel", "git", "aws", "gsutil"}

// promptWords stand before a command.
var promptWords = []string{"$", "#", "!", "sudo", "RUN", "time", "nohup"}

// checkEnd refuses what would be a part of the URL or the name only by mistake: another
// URL after a delimiter, a number in the place of a name, a command before the URL, a
// delimiter after the URL. Quotes around the URL say that it is meant as it stands.
func checkEnd(f fields) error {
	for _, delimiter := range []string{",http", ";http", "|http"} {
		if i := strings.Index(f.url, delimiter); i >= 0 && !f.quoted && urlStart(f.url[i+1:]) == 0 {
			return errors.New("two URLs on this line; write one a line, or say --format=urls if it is one URL")
		}
	}
	if f.dialect == Pget && !f.quoted && (f.apart && !isFileName(f.name) || strings.IndexByte("-;>|=", f.name[0]) >= 0) {
		return fmt.Errorf("%s after the URL is no name of a file; say with --columns=url=1 that it means nothing", quote(f.name))
	}
	if f.dialect == Colon {
		if err := checkCommand(f.name); err != nil {
			return err
		}
	}
	if !f.quoted && f.url != "" && strings.ContainsRune(",;\">", rune(f.url[len(f.url)-1])) {
		return fmt.Errorf("URL ends in %q; remove it, or say --format=urls if it belongs to the URL", f.url[len(f.url)-1:])
	}
	return nil
}

// checkCommand refuses the text before a URL that makes the line a command.
func checkCommand(before string) error {
	word, rest, _ := strings.Cut(before, " ")
	if slices.Contains(promptWords, word) {
		word, _, _ = strings.Cut(rest, " ")
	}
	if slices.Contains(commands, word) {
		return fmt.Errorf("the line is a command of %s; write its URL alone", word)
	}
	return nil
}

// plainURL takes a line as one URL, also if there are spaces or commas in it, because
// the user said --format=urls. Spaces are percent-escaped.
func (p *parser) plainURL(text string, number int) {
	first := !p.begun
	p.begun = true
	if first && urlStart(text) < 0 && isHeader(text) {
		p.list.Header = number
		return
	}
	url := strings.ReplaceAll(strings.Trim(text, blanks), " ", "%20")
	p.draft = draft{urls: append(p.draft.urls[:0], url), details: Details{Size: -1}, line: number, dialect: URLs}
	p.accept(&p.draft)
}

// isHeader reports whether a line names what the lines below it hold: it is of
// words, one of them known to mean the URL.
func isHeader(text string) bool {
	if strings.ContainsAny(text, "/\\") {
		return false
	}
	for word := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(" \t:,;|=\"'", r) }) {
		if wordOf(word).column == urlColumn {
			return true
		}
	}
	return false
}

// splitRelative takes a line apart whose URL is relative: NAME<TAB>URL, or the
// URL alone.
func splitRelative(text string) fields {
	if name, url, found := strings.Cut(text, "\t"); found {
		return fields{name: strings.Trim(name, blanks), url: strings.Trim(url, blanks), dialect: Tab}
	}
	return fields{url: strings.Trim(text, blanks), dialect: URLs}
}
