package listfile

import (
	"hash/maphash"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// CaseClash returns two names of the list that are one to file systems which
// know no case, or take composed and decomposed letters for the same; n is how
// many names have an earlier one like them, 0 if none has. Where the list is
// fetched to that may matter, so it is for the user to be told of.
func (l *List) CaseClash() (first, second string, n int) {
	// A hash of each is all there is room for when the list is long.
	seed := maphash.MakeSeed()
	hashOf := func(name string) uint64 { return maphash.String(seed, fold(name)) }
	hashes := make([]uint64, len(l.Entries))
	for i := range l.Entries {
		hashes[i] = hashOf(l.Entries[i].Name)
	}
	slices.Sort(hashes)
	twice := map[uint64]bool{}
	for i := 1; i < len(hashes); i++ {
		if hashes[i] == hashes[i-1] {
			twice[hashes[i]] = true
		}
	}
	if len(twice) == 0 {
		return "", "", 0
	}
	seen := map[string]string{}
	for i := range l.Entries {
		name := l.Entries[i].Name
		if !twice[hashOf(name)] {
			continue
		}
		folded := fold(name)
		earlier, there := seen[folded]
		if !there {
			seen[folded] = name
			continue
		}
		if n++; n == 1 {
			first, second = earlier, name
		}
	}
	return first, second, n
}

// fold returns what names that differ in case and form alone have in common.
func fold(name string) string {
	return norm.NFC.String(strings.ToLower(strings.ToUpper(norm.NFC.String(name))))
}
