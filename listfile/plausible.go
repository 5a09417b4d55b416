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

// The texts that are never the name of a file. Each has the words for it in an error.
var noNames = []struct {
	what string
	form *regexp.Regexp
}{
	{"a size", regexp.MustCompile(`(?i)^~?[0-9]+([.,][0-9]+)?( ?[kmgtp](i?b)?| ?bytes?| b)(/s)?$`)},
	{"a duration", regexp.MustCompile(`^[0-9]+([.][0-9]+)? ?(ms|µs|us|sec)$`)},
	{"a counter", regexp.MustCompile(`^(\[[0-9]+/[0-9]+\]|\([0-9]+/[0-9]+\)|[0-9]+ of [0-9]+)$`)},
	{"a line of a log", regexp.MustCompile(`^\[?([0-9]{4}[-/][0-9]{2}[-/][0-9]{2}[T ]|[0-9]{2}/[0-9]{2} |[A-Z][a-z]{2} [ 0-9][0-9] )[0-9]{2}:[0-9]{2}:[0-9]{2}[^/]*[A-Za-z]`)},
	{"bold text of Markdown", regexp.MustCompile(`^\*\*.*\*\*$`)},
	{"a number", regexp.MustCompile(`^[0-9]{1,3}(,[0-9]{3})+$`)},
	{"a percentage", regexp.MustCompile(`^[0-9]+([.,][0-9]+)? ?%$`)},
	{"a time", regexp.MustCompile(`^[-0-9+./TZ ]*[0-9]{1,2}:[0-9]{2}(:[0-9]{2})?([.,:][0-9]+)?[-0-9:+./TZ ]*$`)},
	{"a line of ls -l", regexp.MustCompile(`^[-bcdlps][-r][-w][-xsS][-r][-w][-xsS][-r][-w][-xtT][.+@]?( |$)`)},
	{"a media type", regexp.MustCompile(`^(application/(gzip|json|octet-stream|pdf|x-[a-z0-9-]+|zip)|audio/(flac|mpeg|ogg|wav)|image/(gif|jpeg|png|tiff|webp)|text/(csv|html|plain|xml)|video/(mp4|mpeg|webm))$`)},
}

// mayBeNoName reports whether one of noNames may be the form of a text. It spares a list of
// millions of lines the search.
func mayBeNoName(text string) bool {
	switch c := text[0]; {
	case c == '-', c == '[', c == '(', c == '*':
		return true
	case '0' <= c && c <= '9', c == '~':
		ext := path.Ext(text)
		return !isNumber(text) && (len(ext) < 2 || !isLetter(ext[1]))
	case strings.HasPrefix(text, "application/"), strings.HasPrefix(text, "audio/"), strings.HasPrefix(text, "image/"), strings.HasPrefix(text, "text/"), strings.HasPrefix(text, "video/"):
		return true
	}
	return len(text) >= 10 && (strings.IndexByte("bcdlps", text[0]) >= 0 && (text[1] == 'r' || text[1] == '-') || text[3] == ' ' && 'A' <= text[0] && text[0] <= 'Z')
}

// noName tells what a text is that is never the name of a file, "" if it may be a name.
func noName(text string) string {
	if text == "" || !mayBeNoName(text) {
		return ""
	}
	inside := withoutBrackets(text)
	for _, is := range noNames {
		if is.form.MatchString(inside) || is.form.MatchString(text) {
			return is.what
		}
	}
	if code, reason, found := strings.Cut(text, " "); found {
		if n, err := strconv.Atoi(code); err == nil && strings.EqualFold(http.StatusText(n), reason) {
			return "an HTTP status"
		}
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
	what := noName(f.name)
	number := isNumber(f.name)
	before := ""
	if f.dialect != Pget {
		before = strings.TrimRight(line[:max(0, urlStart(line))], "\"'<")
	}
	switch {
	case what != "":
	case f.dialect == Colon && strings.HasPrefix(f.name, "- "):
		what = "an item of a list"
	case f.dialect == Colon && declaration.MatchString(before):
		return errAssigned
	case f.dialect == Colon && markdownLabel.MatchString(before):
		return errMarkdown
	case f.dialect == Colon && f.name[0] == '-':
		what = "an option of a program"
	case f.dialect == Tab && number && strings.HasPrefix(before, "  "):
		what = "the number of a line"
	case f.dialect == Colon && grepNumber.MatchString(before):
		what = "the number of a line"
	case f.dialect == Colon && !number && !isFileName(f.name) && !strings.HasSuffix(strings.TrimRight(before, blanks), ":"):
		what = "a date or a number"
	}
	switch {
	case what == "":
		return nil
	case f.dialect == Tab:
		return fmt.Errorf("%s before the URL is %s and no name of a file; say --columns=url=2 to name the files after their URLs, or --format=tab if it is the name", quote(f.name), what)
	case f.dialect == Pget:
		return fmt.Errorf("%s after the URL is no name of a file but %s; say --columns=url=1 to name the files after their URLs, or --format=pget if it is the name", quote(f.name), what)
	}
	return fmt.Errorf("%s before the URL is %s and no name of a file; write the URL alone, or say --format=colon if it is the name", quote(f.name), what)
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
