package listfile

import (
	"fmt"
	"strings"
)

// A line that is a URL with a comma, a semicolon, a | or a space in it may be that
// URL, or a URL and a name. The functions below tell one from the other, or that it
// cannot be told.

// rival says how well a second reading explains lines that plain URLs explain, too: a URL and
// other fields, parted by a delimiter.
type rival int

const (
	implausible rival = iota // the lines are plain URLs
	plausible                // both readings explain them; the user must say which is meant
	proven                   // only the second reading explains them
)

// judge tells how well the delimiter explains the lines of the opening: that it cuts each line
// into a URL and other fields. The verdict is the worst one of all lines. Lines that share a URL
// or a name speak against it, since a list names each file once.
func (s *opening) judge(comma rune) rival {
	best := proven
	urls, names := map[string]bool{}, map[string]bool{}
	for _, l := range s.lines {
		fields := splitRow(strings.TrimLeft(l.text, blanks), comma)
		if len(fields) < 2 || !absoluteURL.MatchString(fields[0]) || s.folds(l.text) {
			return implausible
		}
		if len(fields) == 2 && standsAlone(fields[0]) && isOfProgram(fields[1]) {
			best, urls[fields[0]] = min(best, plausible), true
			continue
		}
		if len(fields) == 2 && strings.Trim(fields[1], blanks) == "" { // a comma after each URL, as in the source of a program
			return implausible
		}
		verdict := judgeFields(fields)
		if strings.Contains(l.text, `"`) && len(fields) == 2 {
			verdict = proven
		}
		best = min(best, verdict)
		name := ""
		for _, f := range fields[1:] {
			if (token{text: f}).role() == 'n' {
				name = f
			}
		}
		if best == implausible || urls[fields[0]] || name != "" && names[name] {
			return implausible
		}
		urls[fields[0]], names[name] = true, name != ""
	}
	return best
}

// judgeFields judges one line by the fields after its URL. A name that the URL's path ends in
// proves the second reading; two names, two URLs or an empty field exclude it.
func judgeFields(fields []string) rival {
	count := map[byte]int{}
	name := ""
	for _, f := range fields[1:] {
		f = strings.Trim(f, blanks)
		role := (token{text: f}).role()
		if count[role]++; count[role] > 1 || role == 'u' || f == "" {
			return implausible
		}
		if role == 'n' {
			name = f
		}
	}
	switch {
	case name != "" && !looksLikeName(name):
		return implausible
	case name != "" && baseOf(fields[0]) == baseOf(name):
		return proven
	case name == "" && count['h'] == 0 && !standsAlone(fields[0]):
		return implausible
	}
	return plausible
}

// looksLikeName reports whether a text is a valid name with an extension that is more than a
// number, so that "v1.5" and "a=b&c.d" are none.
func looksLikeName(text string) bool {
	ext := extension(text)
	return checkName(text) == nil && len(ext) > 1 && strings.Trim(ext[1:], "0123456789") != "" && !strings.ContainsAny(ext, blanks) && !strings.ContainsAny(text, "=&?")
}

// errRivals is the error of lines that may be read in two ways: as one URL, or as a URL
// and more fields. It shows both readings of the first line and the option for each.
// form is the form of the second reading, "" if that has no name but columns.
func errRivals(first string, comma rune, form Dialect) error {
	fields := splitRow(strings.TrimLeft(first, blanks), comma)
	other := ""
	for _, f := range fields[1:] {
		if (token{text: f}).role() == 'n' {
			other = " named " + quote(f)
		}
	}
	columns := "--format=" + string(form)
	if form == Rclone && isOfProgram(fields[1]) {
		other, columns = "", "--columns=url=1"
	}
	if form == "" {
		columns = "--columns=" + strings.ReplaceAll(shapeText(shapeOf(asTokens(fields))), " ", ",")
	}
	return fmt.Errorf("the line is one URL of the file %s, or a URL%s and then %d more fields parted by %q; say which with --format=urls or %s",
		quote(baseOf(strings.Trim(first, blanks))), other, len(fields)-1, comma, columns)
}

// asTokens returns the cells of a row as the tokens of a line, without the blanks around them.
func asTokens(fields []string) (list []token) {
	for _, f := range fields {
		list = append(list, token{text: strings.Trim(f, blanks)})
	}
	return list
}

// isNamed reports whether a URL and what follows it after a space are clearly a URL and
// a name, and not one URL with a space in it: both end in the same extension or the
// same name. The caller knows of a TAB or quotes between the two.
func isNamed(url, name string) bool {
	ext := extension(url)
	return ext != "" && (ext == extension(name) || baseOf(url) == baseOf(name))
}

// isSentence reports whether the text after a URL is no name but words before the name that the
// URL has, as "saved to a.bin" after the URL of a.bin.
func isSentence(url, name string) bool {
	words, last, found := cutLast(name)
	return found && !strings.Contains(words, "/") && last == baseOf(url)
}

// cutLast cuts a text at its last run of blanks.
func cutLast(text string) (before, after string, found bool) {
	i := strings.LastIndexAny(text, blanks)
	return text[:max(i, 0)], text[i+1:], i >= 0
}

// errSpace is of a line that may be a URL with a space in it, or a URL and a name.
func errSpace(url, name string) error {
	return fmt.Errorf("the line is one URL with a space in it, of the file %s, or a URL and the name %s; write the space as %%20, or say which with --format=urls or --format=pget",
		quote(baseOf(url)+" "+name), quote(name))
}
