package listfile

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// index knows every entry of a list so far, to tell whether one more fits. It
// lives as long as Parse does. Its keys are substrings of the entries.
//
// INVARIANT: no key of files is a key of dirs, and with a directory all those
// above it are in dirs.
type index struct {
	files map[string]known    // by name
	dirs  map[string]int      // by name: the line of the first entry below it
	urls  map[string]struct{} // the URLs of all entries
	most  int                 // of files and dirs together
}

// maxKnown bounds the entries of a list and the directories they lie in, which
// take about half a kilobyte each.
const maxKnown = 20_000_000

// errFull is of the first entry that would be too many.
var errFull = errors.New("the list names too many files and directories up to here; divide it")

// known is an entry of the index, less its name.
type known struct {
	url     string
	details *Details
	line    int
}

// same reports whether e has the URLs of the entry.
func (k known) same(e Entry) bool {
	if k.details == nil && e.Details == nil {
		return k.url == e.URL
	}
	return slices.Equal((&Entry{URL: k.url, Details: k.details}).URLs(), e.URLs())
}

// finding is what the index has to say of an entry that fits.
type finding struct {
	repeated  bool // an earlier entry has its name and URL
	sharedURL bool // an earlier entry has its URL under another name
}

func newIndex() *index {
	return &index{
		files: make(map[string]known),
		dirs:  make(map[string]int),
		urls:  make(map[string]struct{}),
		most:  maxKnown,
	}
}

// add adds an entry unless it repeats an earlier one. The error says which
// earlier line it contradicts, and then the index is as it was.
func (x *index) add(e Entry) (finding, error) {
	if k, ok := x.files[e.Name]; ok {
		if k.same(e) {
			return finding{repeated: true}, nil
		}
		return finding{}, fmt.Errorf("name %s already stands on line %d with another URL; rename one of them or remove it",
			quote(e.Name), k.line)
	}
	if line, ok := x.dirs[e.Name]; ok {
		return finding{}, fmt.Errorf("name %s is a file here and a directory on line %d; rename one of them",
			quote(e.Name), line)
	}
	if err := x.checkDirs(e.Name); err != nil {
		return finding{}, err
	}
	if len(x.files)+len(x.dirs) >= x.most {
		return finding{}, errFull
	}
	for dir := parent(e.Name); dir != "" && x.dirs[dir] == 0; dir = parent(dir) {
		x.dirs[dir] = e.Line
	}
	_, shared := x.urls[e.URL]
	x.urls[e.URL] = struct{}{}
	x.files[e.Name] = known{url: e.URL, details: e.Details, line: e.Line}
	return finding{sharedURL: shared}, nil
}

// checkDirs returns an error if a directory that name lies in is a file. By the
// invariant nothing above a known directory is one, so it stops there.
func (x *index) checkDirs(name string) error {
	for dir := parent(name); dir != "" && x.dirs[dir] == 0; dir = parent(dir) {
		if k, ok := x.files[dir]; ok {
			return fmt.Errorf("name %s lies in %s, which is a file on line %d; rename one of them",
				quote(name), quote(dir), k.line)
		}
	}
	return nil
}

// parent returns the directory that a name lies in, "" for the top.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}
