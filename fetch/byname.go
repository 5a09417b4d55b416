package fetch

import "hash/maphash"

// byName finds files by their names. It is a hash table with open addressing of nothing but
// numbers of files, because a map of a million names takes 50 MB and this one 8. It is
// immutable.
type byName struct {
	files []*File
	seed  maphash.Seed
	slots []int32 // a power of two, at most half of them taken: one more than the number of a file, 0 if free
}

// newByName returns the table of files, whose names are distinct.
func newByName(files []*File) byName {
	size := 1
	for size < 2*len(files) {
		size *= 2
	}
	t := byName{files: files, seed: maphash.MakeSeed(), slots: make([]int32, size)}
	for i, f := range files {
		at := t.first(f.name)
		for t.slots[at] != 0 {
			at = t.after(at)
		}
		t.slots[at] = int32(i + 1)
	}
	return t
}

// first is the slot where the search for a name begins, after the next one.
func (t *byName) first(name string) int {
	return int(maphash.String(t.seed, name) & uint64(len(t.slots)-1))
}

// after returns the slot that follows a slot, the first one after the last.
func (t *byName) after(at int) int { return (at + 1) & (len(t.slots) - 1) }

// find returns the file of a name, nil if there is none.
func (t *byName) find(name string) *File {
	if len(t.files) == 0 {
		return nil
	}
	for at := t.first(name); t.slots[at] != 0; at = t.after(at) {
		if f := t.files[t.slots[at]-1]; f.name == name {
			return f
		}
	}
	return nil
}
