package listfile

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"

	"dlfs/listfile/digest"
)

// index knows every entry of a list so far, to tell whether one more fits. It
// lives as long as Parse does. Of names, directories and URLs it keeps hashes: a name
// is compared with that of the entry, and URLs are only counted. Of directories, two
// of 20 million have the same hash in one list of 100,000; then a name of the list may
// be refused.
//
// INVARIANT: no name of files is in dirs, and with a directory all those above it are
// in dirs.
type index struct {
	list  *List
	files hashTable           // of names
	dirs  map[uint64]struct{} // hashes of the directories that entries lie in
	last  string              // the directory of the last entry that was added
	told  int                 // clashes whose line was looked for
	urls  []uint64            // hashes of the URLs of all entries
	seed  maphash.Seed        // of the hashes
	most  int                 // of files and dirs together
}

// hashTable is a hash table with open addressing: it finds the entry of a name by the name's
// hash, in a tenth of the memory of a map of names. It may find entries of other names too,
// so the caller compares.
type hashTable struct {
	slots []slot // a power of two, at most three quarters of them taken; nil while there are none
	taken int
}

// slot is one slot of the table.
type slot struct {
	hash uint32
	at   int32 // one more than the index of the entry in the list; 0 if the slot is free
}

// slotOf returns the first slot of a hash. Those of its entries follow it without a gap.
func (t *hashTable) slotOf(hash uint32) int { return int(hash) & (len(t.slots) - 1) }

// add puts in the i-th entry of the list.
func (t *hashTable) add(hash uint64, i int) {
	if t.taken >= len(t.slots)/4*3 {
		old := t.slots
		t.slots = make([]slot, max(1024, 2*len(old)))
		for _, p := range old {
			if p.at != 0 {
				t.put(p)
			}
		}
	}
	t.put(slot{uint32(hash), int32(i + 1)})
	t.taken++
}

// put puts an entry into the first free slot from that of its hash on. The caller has seen to
// it that a slot is free.
func (t *hashTable) put(p slot) {
	i := t.slotOf(p.hash)
	for t.slots[i].at != 0 {
		i = (i + 1) & (len(t.slots) - 1)
	}
	t.slots[i] = p
}

// find returns the index of the first entry of a hash for which is reports true, -1 if there
// is none.
func (t *hashTable) find(hash uint64, is func(i int) bool) int {
	if t.taken == 0 {
		return -1
	}
	for i := t.slotOf(uint32(hash)); t.slots[i].at != 0; i = (i + 1) & (len(t.slots) - 1) {
		if p := t.slots[i]; p.hash == uint32(hash) && is(int(p.at-1)) {
			return int(p.at - 1)
		}
	}
	return -1
}

// maxKnown bounds the entries of a list and the directories they lie in, which take
// about half a kilobyte each. A larger list would need more memory than most machines
// have.
const maxKnown = 20_000_000

// errFull is the error of the first entry that would be too many. It is told once,
// since no entry after it is looked at.
var errFull = errors.New("the list names too many files and directories up to here; divide it")

// same reports whether two entries have the same URLs.
func same(a, b *Entry) bool {
	if a.Details == nil && b.Details == nil {
		return a.URL == b.URL
	}
	return slices.Equal(a.URLs(), b.URLs())
}

// contradict reports whether two entries of one name and URL say something that cannot both be
// true: two sizes, or two digests of one algorithm.
func contradict(a, b *Details) bool {
	if a == nil || b == nil {
		return false
	}
	return a.Size >= 0 && b.Size >= 0 && a.Size != b.Size ||
		a.Digest.Algorithm != digest.None && a.Digest.Algorithm == b.Digest.Algorithm && a.Digest.Hex() != b.Digest.Hex()
}

// sameName is the error of a name that an earlier line has with another URL.
type sameName struct {
	name string
	line int
}

// short is the error without what to do about it.
func (e *sameName) short() error {
	return fmt.Errorf("name %s already stands on line %d with another URL", quote(e.name), e.line)
}

// guessed returns the error for a name that was guessed from the URL, which the user
// may cure with --name-from: where the two URLs differ only in their query, the origin
// has to be asked for the names; elsewhere the whole path may tell the files apart.
// entries is the list so far, in the order of lines.
func (e *sameName) guessed(url string, entries []Entry) error {
	i, _ := slices.BinarySearchFunc(entries, e.line, func(e Entry, line int) int { return e.Line - line })
	before, _, _ := strings.Cut(url, "?")
	if i < len(entries) && strings.HasPrefix(entries[i].URL+"?", before+"?") { // their paths are the same
		return fmt.Errorf("%w; --name-from=content-disposition asks the origins for the names of files", e.short())
	}
	return fmt.Errorf("%w; --name-from=path names files after the whole path of their URLs", e.short())
}

// Error says which line has the name already, and what to do.
func (e *sameName) Error() string {
	return e.short().Error() + "; rename one of them or remove it"
}

// sharedURLs returns how many entries have the URL of an earlier one. It sorts and
// spends x.urls, so it is called once, at the end of the list.
func (x *index) sharedURLs() int {
	slices.Sort(x.urls)
	return len(x.urls) - len(slices.Compact(x.urls))
}

// newIndex returns an empty index of the names of a list. Its field most bounds the
// entries and directories it takes.
func newIndex(list *List) *index {
	return &index{
		list: list,
		dirs: make(map[uint64]struct{}),
		seed: maphash.MakeSeed(),
		most: maxKnown,
	}
}

// add adds an entry that will be the i-th of the list, counted from 0. It reports true, and adds
// nothing, if an earlier entry has the same name and URLs. The error says which earlier line the
// entry contradicts; the index is then as it was.
func (x *index) add(e Entry, i int) (repeated bool, err error) {
	hash := maphash.String(x.seed, e.Name)
	if earlier := x.fileAt(e.Name, hash); earlier != nil {
		switch {
		case same(earlier, &e) && contradict(earlier.Details, e.Details):
			return false, fmt.Errorf("name %s already stands on line %d with the same URL and another size or digest; remove the line that is wrong", quote(e.Name), earlier.Line)
		case same(earlier, &e):
			return true, nil
		}
		return false, &sameName{e.Name, earlier.Line}
	}
	if _, ok := x.dirs[hash]; ok {
		return false, fmt.Errorf("name %s is a file here and a directory on %s; rename one of them",
			quote(e.Name), x.lineBelow(e.Name))
	}
	dirs, err := x.newDirs(e.Name)
	if err != nil {
		return false, err
	}
	if x.files.taken+len(x.dirs) >= x.most {
		return false, errFull
	}
	for _, hash := range dirs {
		x.dirs[hash] = struct{}{}
	}
	x.last = parent(e.Name)
	x.urls = append(x.urls, maphash.String(x.seed, e.URL))
	x.files.add(hash, i)
	return false, nil
}

// find returns the entry of that name, nil if there is none.
func (x *index) find(name string) *Entry {
	return x.fileAt(name, maphash.String(x.seed, name))
}

// fileAt is find of a name whose hash is known.
func (x *index) fileAt(name string, hash uint64) *Entry {
	i := x.files.find(hash, func(i int) bool { return x.list.Entries[i].Name == name })
	if i < 0 {
		return nil
	}
	return &x.list.Entries[i]
}

// newDirs returns the hashes of the directories that name lies in and that are not
// known yet, or an error if one of them is a file. By the invariant nothing above a
// known directory is one. It hashes the name once, however deep it lies.
func (x *index) newDirs(name string) (hashes []uint64, err error) {
	dir := parent(name)
	if dir == "" || dir == x.last {
		return nil, nil
	}
	if _, known := x.dirs[maphash.String(x.seed, dir)]; known {
		return nil, nil
	}
	var h maphash.Hash
	h.SetSeed(x.seed)
	for at := 0; at < len(dir); {
		end := at + 1 + strings.IndexByte(name[at+1:], '/')
		h.WriteString(name[at:end])
		at = end
		hash := h.Sum64()
		if _, known := x.dirs[hash]; known {
			continue
		}
		if file := x.fileAt(name[:end], hash); file != nil {
			return nil, fmt.Errorf("name %s lies in %s, which is a file on line %d; rename one of them",
				quote(name), quote(name[:end]), file.Line)
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// mostLines is for how many clashes the other line is looked for, which takes a walk
// through all entries.
const mostLines = 20

// lineBelow says which line has the first entry that lies in a directory. It walks
// through all entries, and so does it for the first mostLines clashes only; after these
// it returns "an earlier line".
func (x *index) lineBelow(dir string) string {
	if x.told++; x.told <= mostLines {
		for i := range x.list.Entries {
			if e := &x.list.Entries[i]; len(e.Name) > len(dir) && e.Name[len(dir)] == '/' && strings.HasPrefix(e.Name, dir) {
				return fmt.Sprintf("line %d", e.Line)
			}
		}
	}
	return "an earlier line"
}

// parent returns the directory that a name lies in, "" for the top.
func parent(name string) string {
	return name[:max(strings.LastIndexByte(name, '/'), 0)]
}
