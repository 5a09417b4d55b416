package listfile

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// Programs print a column before or after each URL: a size, a status, a time. The functions below
// tell such a column from the names of files, so that no file gets such a text as its name.

// The texts that are never the name of a file: each with the words for it in an error, and with
// what every such text has in it, which spares a list of millions of lines the search.
var noNames = []struct {
	what string
	has  string // one of these characters at least
	form *regexp.Regexp
}{
	// A number without commas may be a name: see isNumber and columnBeside.
	{"a number", ",", regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+$`)},
	{"a counter", "/f", regexp.MustCompile(`^(\[[0-9]+/[0-9]+\]|\([0-9]+/[0-9]+\)|[0-9]+ of [0-9]+)$`)},
	{"a line of a log", ":", regexp.MustCompile(`^\[?([0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ]|[0-9]{2}/[0-9]{2} |[A-Z][a-z]{2} [ 0-9][0-9] )[0-9]{2}:[0-9]{2}:[0-9]{2}[^/]*[A-Za-z]`)},
	{"a time", ":", regexp.MustCompile(`^[-0-9+./TZ ]*[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?([.,:][0-9]+)?[-0-9:+./TZ ]*$`)},
	{"a line of ls -l", "-", regexp.MustCompile(`^[-bcdlps][-r][-w][-xsS][-r][-w][-xsS][-r][-w][-xtT][.+@]?( |$)`)},
	{"a media type", "/", regexp.MustCompile(`^(application/(gzip|json|octet-stream|pdf|x-[a-z0-9-]+|zip)|audio/(flac|mpeg|ogg|wav)|image/(gif|jpeg|png|tiff|webp)|text/(csv|html|plain|xml)|video/(mp4|mpeg|webm))$`)},
	{"bold text of Markdown", "*", regexp.MustCompile(`^\*\*.*\*\*$`)},
}

// units are what follows a number that is no name, with a space between or none, in lower case.
// A "b" alone needs the space.
var units = makeUnits()

// makeUnits makes the table of units: what a number with each of them is.
func makeUnits() map[string]string {
	m := map[string]string{
		"bytes": "a size", "byte": "a size", " b": "a size", "%": "a percentage",
		"ms": "a duration", "µs": "a duration", "us": "a duration", "sec": "a duration",
	}
	for _, factor := range []string{"k", "m", "g", "t", "p"} {
		m[factor], m[factor+"b"], m[factor+"ib"] = "a size", "a size", "a size"
	}
	return m
}

// noName tells what a text is that is never the name of a file, "" if it may be a name.
func noName(text string) string {
	inside := withoutBrackets(text)
	if what := quantity(inside); what != "" || isNumber(text) {
		return what
	}
	for _, is := range noNames {
		if strings.ContainsAny(text, is.has) && (is.form.MatchString(inside) || is.form.MatchString(text)) {
			return is.what
		}
	}
	return ""
}

// quantity tells what a number with a unit is, and a status of HTTP with its reason; "" if a text
// is neither.
func quantity(text string) string {
	text = strings.TrimPrefix(text, "~")
	unit := strings.TrimLeft(text, "0123456789.,")
	number := text[:len(text)-len(unit)]
	if unit == "" || number == "" || strings.HasSuffix(number, ".") || strings.HasSuffix(number, ",") {
		return "" // "1.m" has an extension
	}
	bare := strings.TrimPrefix(unit, " ")
	for _, form := range [...]string{unit, bare} {
		if what := units[strings.ToLower(strings.TrimSuffix(form, "/s"))]; what != "" {
			return what
		}
	}
	// "404 Not Found" is a status, and "404 notes" may be a name.
	if n, err := strconv.Atoi(number); err == nil && bare != unit && bare != "" && strings.EqualFold(http.StatusText(n), bare) {
		return "an HTTP status"
	}
	return ""
}

// withoutBrackets returns a text without one pair of brackets around it.
func withoutBrackets(text string) string {
	for _, pair := range [...]string{"[]", "()"} {
		if len(text) > 2 && text[0] == pair[0] && text[len(text)-1] == pair[1] {
			return strings.Trim(text[1:len(text)-1], blanks)
		}
	}
	return text
}

// checkPlausible refuses a line whose name is a text that programs print beside a URL. before is
// all that stands before the URL, and what follows the name there.
func checkPlausible(line string, f fields) error {
	if f.name == "" || f.dialect == Pget && f.quoted {
		return nil
	}
	before := ""
	if f.dialect != Pget {
		before = strings.TrimRight(line[:max(0, urlStart(line))], "\"'<")
	}
	what := noName(f.name)
	if what == "" {
		what = columnBeside(f, before)
	}
	switch {
	case f.dialect == Colon && declaration.MatchString(before):
		return errAssigned
	case f.dialect == Colon && markdownLabel.MatchString(before):
		return errMarkdown
	case what == "":
		return nil
	case f.dialect == Tab:
		return fmt.Errorf("%s before the URL is %s and no name of a file; say --columns=url=2 to name the files after their URLs, or --format=tab if it is the name", quote(f.name), what)
	case f.dialect == Pget:
		return fmt.Errorf("%s after the URL is no name of a file but %s; say --columns=url=1 to name the files after their URLs, or --format=pget if it is the name", quote(f.name), what)
	}
	return fmt.Errorf("%s before the URL is %s and no name of a file; write the URL alone, or say --format=colon if it is the name", quote(f.name), what)
}

// columnBeside tells what a text is that no name is by the way it stands beside the URL, "" if it
// may be a name. before is all that stands before the URL.
func columnBeside(f fields, before string) string {
	number := isNumber(f.name)
	if f.dialect == Colon && strings.Trim(before, blanks) == f.name || f.dialect == Pget && !f.apart {
		if what := columnIn(f.name); what != "" {
			return what
		}
	}
	switch {
	case f.dialect == Tab && number && strings.HasPrefix(before, "  "):
		return "the number of a line"
	case f.dialect != Colon:
		return ""
	case strings.HasPrefix(f.name, "- "):
		return "an item of a list"
	case f.name[0] == '-':
		return "an option of a program"
	case strings.HasSuffix(before, ":") && grepNumber.MatchString(before):
		return "the number of a line"
	case !number && !isFileName(f.name) && !strings.HasSuffix(strings.TrimRight(before, blanks), ":"):
		return "a date or a number"
	}
	return ""
}

// columnIn tells what a name of several words begins or ends with that is never a part of a
// name, such as the size in "OK 12.3M", "" if there is none.
func columnIn(name string) string {
	words := strings.Fields(name)
	n := len(words)
	if n < 2 {
		return ""
	}
	for _, text := range []string{words[0], words[n-1], words[0] + " " + words[1], words[n-2] + " " + words[n-1]} {
		if what := noName(text); what != "" {
			return "text with " + what
		}
	}
	return ""
}

// declaration is what stands before the URL that a program gives to a variable.
var declaration = regexp.MustCompile(`^\s*(const|export|let|local|set|var) .*=\s*$`)

// markdownLabel is what Markdown has before the URL of a reference.
var markdownLabel = regexp.MustCompile(`^\s*\[.+\]:\s+$`)

// grepNumber is what grep -n prints before a line.
var grepNumber = regexp.MustCompile(`(^|:)[0-9]+:$`)

// statusWords are what programs print beside a URL to say what became of it, in lower case.
var statusWords = map[string]bool{
	"ok": true, "okay": true, "good": true, "done": true, "success": true, "succeeded": true, "successful": true, "pass": true, "passed": true,
	"complete": true, "completed": true, "finished": true, "downloaded": true, "downloading": true, "download": true, "fetching": true, "saved": true, "saving": true,
	"failed": true, "fail": true, "failure": true, "err": true, "error": true, "bad": true, "broken": true, "dead": true, "missing": true, "invalid": true,
	"timeout": true, "skip": true, "skipped": true, "exists": true, "pending": true, "queued": true, "waiting": true, "running": true, "active": true, "paused": true, "removed": true,
	"new": true, "old": true, "added": true, "valid": true, "alive": true, "up": true, "down": true, "redirect": true, "unknown": true, "retry": true,
	"true": true, "false": true, "yes": true, "no": true, "y": true, "n": true, "on": true, "off": true,
	"debug": true, "info": true, "notice": true, "warn": true, "warning": true, "critical": true, "fatal": true,
	"get": true, "head": true, "post": true, "put": true, "url": true, "file": true, "from": true, "hit": true, "ign": true,
	"200": true, "206": true, "301": true, "302": true, "303": true, "304": true, "307": true, "308": true, "400": true, "401": true,
	"403": true, "404": true, "410": true, "416": true, "429": true, "500": true, "502": true, "503": true, "504": true, "000": true,
}

// isStatus reports whether a text is what a program says of a URL: one of statusWords, or a mark
// without a letter or a digit.
func isStatus(text string) bool {
	return isStatusWord(text) || text != "" && strings.IndexFunc(text, isLetterOrDigit) < 0
}

// isStatusWord reports whether a text is one of statusWords, perhaps in brackets.
func isStatusWord(text string) bool {
	return statusWords[strings.ToLower(strings.TrimRight(withoutBrackets(text), ":.! "))]
}

// isOfProgram reports whether a program printed a field beside a URL, and it is no name.
func isOfProgram(field string) bool {
	field = strings.Trim(field, blanks)
	return isStatusWord(field) || noName(field) != ""
}

// errNoNames is of lines whose names are a column that a program printed: words that tell what
// became of each URL, where the URLs themselves end in names with extensions; or a few texts that
// come again on line after line. It is nil if the names may be names.
func (s *opening) errNoNames() error {
	named, status := 0, true
	seen := map[string]bool{}
	var first fields
	for _, l := range s.lines {
		f, err := split(l.text)
		if err != nil || f.name == "" || s.folds(l.text) {
			continue
		}
		if named++; named == 1 {
			first = f
		}
		seen[f.name] = true
		status = status && isStatus(f.name) && standsAlone(f.url) && path.Ext(f.name) == ""
	}
	// One line proves nothing. A text is one that a program printed if each of the texts comes three
	// times on average: names of files differ.
	if named < 2 || !(status || named >= 3 && len(seen) <= named/3) {
		return nil
	}
	if first.dialect == Pget {
		return fmt.Errorf("%s after the first URL is no name of a file, like the texts after the others; say --columns=url=1 to name the files after their URLs, or --format=pget if these are the names", quote(first.name))
	}
	if first.dialect == Tab {
		return fmt.Errorf("%s before the first URL is no name of a file, like the texts before the others; say --columns=url=2 to name the files after their URLs, or --format=tab if these are the names", quote(first.name))
	}
	return fmt.Errorf("%s before the first URL is no name of a file, like the texts before the others; write the URLs alone, or say --format=colon if these are the names", quote(first.name))
}

var (
	errMarkdown = errors.New("this is a link of Markdown; write its URL alone on the line")
	errAssigned = errors.New("the line gives a URL to a variable or a key; write the URL alone, or NAME : URL")
)
