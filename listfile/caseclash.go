package listfile

import (
	"hash/maphash"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// CaseClash returns two names of the list that are one name to file systems that ignore
// case, or that take composed and decomposed letters for the same; n is how many names
// have an earlier one like them, 0 if none has. Such a list is right on Linux file
// systems, and on others a file would be replaced by another one, so the caller warns
// and does not refuse.
//
// It looks at every entry twice and keeps 8 bytes for each name; names themselves are
// kept only of those that clash.
func (l *List) CaseClash() (first, second string, n int) {
	// Only a hash of each name is kept: a map of the folded names of a long list would
	// take more memory than the list.
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

// fold returns one text for all names that differ only in case or in the form of
// composed letters (NFC and NFD, Unicode Standard Annex 15). Going to upper case first
// also joins small letters that have the same capital, such as the two small sigmas of
// Greek.
func fold(name string) string {
	return norm.NFC.String(strings.ToLower(strings.ToUpper(norm.NFC.String(name))))
}
