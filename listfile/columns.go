package listfile

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"dlfs/listfile/digest"
)

// chosen is a column as Options.Columns choose it.
type chosen struct {
	word    word
	heading string // its name, or its number
}

// parseColumns reads Options.Columns: ROLE=COLUMN, parted by commas. A role may stand
// several times: several columns of URLs hold mirrors. There must be a column of URLs.
func parseColumns(text string) (columns []chosen, err error) {
	if text == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		role, heading, found := strings.Cut(part, "=")
		w, known := roles[plain(role)]
		if !found || !known || heading == "" {
			return nil, fmt.Errorf("column %s is not of the form ROLE=COLUMN; ROLE is url, name, size, md5, sha1, sha256, sha512 or checksum, COLUMN a heading or a number", quote(part))
		}
		columns = append(columns, chosen{w, heading})
	}
	if !slices.ContainsFunc(columns, func(c chosen) bool { return c.word.column == urlColumn }) {
		return nil, errors.New("no column of URLs is given; write url=COLUMN")
	}
	return columns, nil
}

// roles are the words that Options.Columns takes before the equals sign, as plain
// returns them.
var roles = map[string]word{
	"url": {column: urlColumn}, "name": {column: nameColumn}, "size": {column: sizeColumn}, "checksum": {column: digestColumn},
	"md5": {column: digestColumn, algorithm: digest.MD5}, "sha1": {column: digestColumn, algorithm: digest.SHA1},
	"sha256": {column: digestColumn, algorithm: digest.SHA256}, "sha512": {column: digestColumn, algorithm: digest.SHA512},
}

// layout is what the columns of a table mean. Columns without a meaning are
// otherColumn, the zero word, and are ignored. A heading is looked at only when the
// layout is made; rows are read by words alone.
type layout struct {
	words    []word // by column
	headings []string
	plainURL bool // some heading says URL: what has no scheme there is meant to be one
}

// String returns the columns that are used, in the words of Options.Columns, such as
// "url=link name=2"; dlfs check prints it so that users see what was taken for what.
func (l *layout) String() string {
	var used []string
	for i, w := range l.words {
		name := map[column]string{urlColumn: "url", nameColumn: "name", sizeColumn: "size", idColumn: "url=base+id", digestColumn: "checksum"}[w.column]
		if w.algorithm != digest.None {
			name = w.algorithm.String()
		}
		if name == "" {
			continue
		}
		heading := strconv.Itoa(i + 1)
		if i < len(l.headings) && l.headings[i] != "" {
			heading = shown(l.headings[i])
		}
		used = append(used, name+"="+heading)
	}
	return strings.Join(used, " ")
}

// shown returns a heading as it is, or in quotes where it holds a blank, an equals sign
// or a character that a terminal would obey.
func shown(heading string) string {
	if q := quote(heading); strings.ContainsAny(heading, " =") || q != `"`+heading+`"` {
		return q
	}
	return heading
}

// ignored returns how many columns have no meaning here, for List.Ignored.
func (l *layout) ignored() (n int) {
	for _, w := range l.words {
		if w.column == otherColumn {
			n++
		}
	}
	return n
}

// has reports whether a column has that meaning.
func (l *layout) has(c column) bool {
	return slices.ContainsFunc(l.words, func(w word) bool { return w.column == c })
}

// layoutOf tells the meaning of columns by their headings and by the rows below them.
// The column of the URL is chosen first; the name, the size and the digests are then
// those of its group, where a table has several groups of columns, one for each kind of
// file. Of digests all columns are used, because each may be of another algorithm. The
// error says which choice is the user's. Options.Columns, if given, decide alone.
func (p *parser) layoutOf(headings []string, rows [][]string) (*layout, error) {
	if p.chosen != nil {
		return p.chosenLayout(headings)
	}
	l := &layout{words: make([]word, len(headings)), headings: headings}
	all := make([]word, len(headings))
	for i, heading := range headings {
		if all[i] = wordOf(heading); all[i].label && !areNames(rows, i) {
			all[i] = word{}
		}
	}
	url, err := l.chooseURL(all, rows)
	if err != nil {
		return nil, err
	}
	group := ""
	if url >= 0 {
		group = all[url].group
	}
	l.choose(all, group, nameColumn)
	l.choose(all, group, sizeColumn)
	for i, w := range all {
		if w.column == digestColumn && w.group == group {
			l.words[i] = w
		}
	}
	if url < 0 && isGDC(headings) {
		l.choose(all, group, idColumn)
	}
	return l, nil
}

// areNames reports whether a column holds names of files in every row that has a value.
func areNames(rows [][]string, column int) bool {
	for _, row := range rows {
		if column < len(row) && row[column] != "" && !looksLikeName(row[column]) {
			return false
		}
	}
	return true
}

// chooseURL chooses the columns of the URLs and returns the first one, -1 if there is
// none. Headings that mean a URL come first, those of the best rank alone: their
// columns hold mirrors if they differ only in a number (url1, url2) and the rows agree.
// Without such a heading the only column whose fields are URLs is taken. Where two
// columns would do, the error asks the user: to fetch the wrong one in silence would
// look like success.
func (l *layout) chooseURL(all []word, rows [][]string) (int, error) {
	best := slices.Collect(func(yield func(int) bool) {
		for i, w := range all {
			if w.column == urlColumn && !yield(i) {
				return
			}
		}
	})
	if len(best) == 0 {
		if best = columnsOfURLs(rows, len(all)); len(best) > 1 {
			return -1, fmt.Errorf("columns %s and %s both hold URLs; say with --columns=url=COLUMN which is to be fetched",
				quote(headingAt(l.headings, best[0])), quote(headingAt(l.headings, best[1])))
		}
		for _, i := range best {
			all[i] = word{column: urlColumn}
			l.words[i] = all[i]
			return i, nil
		}
		return -1, nil
	}
	l.plainURL = true
	rank := all[slices.MinFunc(best, func(a, b int) int { return all[a].rank - all[b].rank })].rank
	best = slices.DeleteFunc(best, func(i int) bool { return all[i].rank != rank })
	for _, i := range best { // url1 and url2 are mirrors, file_url and image_url are not
		if a, b := l.headings[best[0]], l.headings[i]; stem(a) != stem(b) {
			return -1, fmt.Errorf("columns %s and %s may both be the URL; say with --columns=url=COLUMN which is to be fetched", quote(a), quote(b))
		}
		l.words[i] = all[i]
	}
	for _, row := range rows {
		if urls := urlsIn(row, best); len(urls) > 1 && !areMirrors("", urls) {
			return -1, fmt.Errorf("columns %s and %s hold URLs of several files; say with --columns=url=COLUMN which is to be fetched",
				quote(l.headings[best[0]]), quote(l.headings[best[len(best)-1]]))
		}
	}
	return best[0], nil
}

// urlsIn returns the absolute URLs of a row that stand in these columns.
func urlsIn(row []string, columns []int) (urls []string) {
	for _, i := range columns {
		if i >= len(row) {
			continue
		}
		if text := strings.Trim(row[i], blanks); absoluteURL.MatchString(text) && !slices.Contains(urls, text) {
			urls = append(urls, text)
		}
	}
	return urls
}

// stem is a heading without the number that tells it from others of its kind.
func stem(heading string) string { return strings.TrimRight(plain(heading), "0123456789") }

// headingAt names column i for messages: by its heading, else by its number, which begins at
// 1.
func headingAt(headings []string, i int) string {
	if i < len(headings) && headings[i] != "" {
		return headings[i]
	}
	return strconv.Itoa(i + 1)
}

// choose gives the meaning c to one column: of those that may have it, one of the group
// of the URL before one of no group, then the one of the lowest rank, then the first. A
// column of another group is not taken. Nothing happens if there is none.
func (l *layout) choose(all []word, group string, c column) {
	best := -1
	for i, w := range all {
		if w.column == c && l.words[i].column == otherColumn && (w.group == "" || w.group == group) &&
			(best < 0 || w.group != all[best].group && w.group != "" || w.group == all[best].group && w.rank < all[best].rank) {
			best = i
		}
	}
	if best >= 0 {
		l.words[best] = all[best]
	}
}

// columnsOfURLs returns those of n columns in which every row has a URL or no value,
// and at least one row has a URL.
func columnsOfURLs(rows [][]string, n int) (columns []int) {
	for i := range n {
		urls, others := 0, 0
		for _, row := range rows {
			switch {
			case i >= len(row) || isMissing(strings.Trim(row[i], blanks)):
			case absoluteURL.MatchString(row[i]):
				urls++
			default:
				others++
			}
		}
		if urls > 0 && others == 0 {
			columns = append(columns, i)
		}
	}
	return columns
}

// absoluteURL matches a field that is one URL of http or https with a scheme, and
// nothing else but blanks around it.
var absoluteURL = regexp.MustCompile(`^\s*(?i:https?)://[^\s]+\s*$`)

// chosenLayout returns the layout that Options.Columns describe. A column is looked for
// by its heading as it is written, then by the heading without case and punctuation
// (plain), and then by its number, from 1. A table of headings that are numbers is thus
// read by its headings.
func (p *parser) chosenLayout(headings []string) (*layout, error) {
	l := &layout{words: make([]word, len(headings)), headings: headings, plainURL: true}
	for _, c := range p.chosen {
		i := slices.Index(headings, c.heading)
		if i < 0 {
			i = slices.IndexFunc(headings, func(h string) bool { return plain(h) == plain(c.heading) && plain(h) != "" })
		}
		if n, err := strconv.Atoi(c.heading); i < 0 && err == nil && n >= 1 && n <= len(headings) {
			i = n - 1
		}
		if i < 0 {
			return nil, fmt.Errorf("there is no column %s; the columns are %s", quote(c.heading), columnList(headings))
		}
		l.words[i] = c.word
	}
	return l, nil
}

// columnList quotes the first twelve headings of a table, for a message.
func columnList(headings []string) string {
	const most = 12
	var names []string
	for _, h := range headings[:min(len(headings), most)] {
		names = append(names, quote(h))
	}
	if len(headings) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}
