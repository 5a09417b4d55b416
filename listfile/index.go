package listfile

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// index knows every entry of a list so far, to tell whether one more fits. It
// lives as long as Parse does. The keys of dirs are substrings of the entries. Of
// names and URLs it keeps hashes: a name is compared with that of the entry, and URLs
// are only counted.
//
// INVARIANT: no name of files is a key of dirs, and with a directory all those
// above it are in dirs.
type index struct {
	list  *List
	files map[uint64]int32 // by the hash of a name: the index of the entry in the list
	alike map[string]int32 // by name: the same, of names whose hash another name has
	dirs  map[string]int   // by name: the line of the first entry below it
	urls  []uint64         // hashes of the URLs of all entries
	seed  maphash.Seed     // of the hashes
	most  int              // of files and dirs together
}

// maxKnown bounds the entries of a list and the directories they lie in, which
// take about half a kilobyte each.
const maxKnown = 20_000_000

// errFull is of the first entry that would be too many.
var errFull = errors.New("the list names too many files and directories up to here; divide it")

// same reports whether two entries have the same URLs.
func same(a, b *Entry) bool {
	if a.Details == nil && b.Details == nil {
		return a.URL == b.URL
	}
	return slices.Equal(a.URLs(), b.URLs())
}

// sameName is the error of a name that an earlier line has with another URL.
type sameName struct {
	name string
	line int
}

func (e *sameName) short() error {
	return fmt.Errorf("name %s already stands on line %d with another URL", quote(e.name), e.line)
}

// guessed is the error where the name was only guessed from the URL.
func (e *sameName) guessed(url string, entries []Entry) error {
	i, _ := slices.BinarySearchFunc(entries, e.line, func(e Entry, line int) int { return e.Line - line })
	before, _, _ := strings.Cut(url, "?")
	if i < len(entries) && strings.HasPrefix(entries[i].URL+"?", before+"?") { // their paths are the same
		return fmt.Errorf("%w; --name-from=content-disposition asks the origins for the names of files", e.short())
	}
	return fmt.Errorf("%w; --name-from=path names files after the whole path of their URLs", e.short())
}

func (e *sameName) Error() string {
	return e.short().Error() + "; rename one of them or remove it"
}

// sharedURLs returns how many entries have the URL of an earlier one.
func (x *index) sharedURLs() int {
	slices.Sort(x.urls)
	return len(x.urls) - len(slices.Compact(x.urls))
}

func newIndex(list *List) *index {
	return &index{
		list:  list,
		files: make(map[uint64]int32),
		alike: make(map[string]int32),
		dirs:  make(map[string]int),
		seed:  maphash.MakeSeed(),
		most:  maxKnown,
	}
}

// add adds an entry that will be the i-th of the list, unless it repeats an earlier
// one, which it reports. The error says which earlier line it contradicts, and then the index is as it
// was.
func (x *index) add(e Entry, i int) (repeated bool, err error) {
	if earlier := x.find(e.Name); earlier != nil {
		if same(earlier, &e) {
			return true, nil
		}
		return false, &sameName{e.Name, earlier.Line}
	}
	if line, ok := x.dirs[e.Name]; ok {
		return false, fmt.Errorf("name %s is a file here and a directory on line %d; rename one of them",
			quote(e.Name), line)
	}
	if err := x.checkDirs(e.Name); err != nil {
		return false, err
	}
	if len(x.files)+len(x.alike)+len(x.dirs) >= x.most {
		return false, errFull
	}
	for dir := parent(e.Name); dir != "" && x.dirs[dir] == 0; dir = parent(dir) {
		x.dirs[dir] = e.Line
	}
	x.urls = append(x.urls, maphash.String(x.seed, e.URL))
	if hash := maphash.String(x.seed, e.Name); x.taken(hash) {
		x.alike[e.Name] = int32(i)
	} else {
		x.files[hash] = int32(i)
	}
	return false, nil
}

func (x *index) taken(hash uint64) bool {
	_, taken := x.files[hash]
	return taken
}

// find returns the entry of that name, nil if there is none.
func (x *index) find(name string) *Entry {
	i, ok := x.files[maphash.String(x.seed, name)]
	if ok && x.list.Entries[i].Name == name {
		return &x.list.Entries[i]
	}
	if i, ok = x.alike[name]; ok {
		return &x.list.Entries[i]
	}
	return nil
}

// checkDirs returns an error if a directory that name lies in is a file. By the
// invariant nothing above a known directory is one, so it stops there.
func (x *index) checkDirs(name string) error {
	for dir := parent(name); dir != "" && x.dirs[dir] == 0; dir = parent(dir) {
		if file := x.find(dir); file != nil {
			return fmt.Errorf("name %s lies in %s, which is a file on line %d; rename one of them",
				quote(name), quote(dir), file.Line)
		}
	}
	return nil
}

// parent returns the directory that a name lies in, "" for the top.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}
