package main

import (
	"fmt"
	"io"
	"strings"

	"dlfs/fetch"
)

// namesShown is how many names of each kind a difference tells.
const namesShown = 5

// kindOfChange is one of the ways in which a list differs from the one before, such as
// files that were added. Of the names only the first are kept, and all are counted.
type kindOfChange struct {
	key, sign, what string
	n               int
	names           []string // the first of them
}

// add counts names, and keeps the first namesShown of them.
func (k *kindOfChange) add(names ...string) {
	k.n += len(names)
	k.names = append(k.names, names[:max(0, min(len(names), namesShown-len(k.names)))]...)
}

// kindsOf sorts a difference by kinds, in the order in which they are told. Their
// keys are those of the JSON of a difference.
func kindsOf(d fetch.Difference) []kindOfChange {
	kinds := []kindOfChange{
		{key: "added", sign: "+", what: "added"}, {key: "removed", sign: "-", what: "removed"},
		{key: "new_url", sign: "~", what: "new URL"}, {key: "changed", sign: "~", what: "changed"},
	}
	for i, names := range [][]string{d.Added, d.Removed, d.NewURL, d.Changed} {
		kinds[i].add(names...)
	}
	return kinds
}

// printDifference tells how a list differs from the one before, a line for each
// kind, each of them begun with prefix.
func printDifference(w io.Writer, prefix string, d fetch.Difference) {
	printKinds(w, prefix, kindsOf(d))
}

// printKinds prints a line for each kind of change that occurred, with some of the names, or
// that the list is unchanged.
func printKinds(w io.Writer, prefix string, kinds []kindOfChange) {
	same := true
	for _, k := range kinds {
		if k.n > 0 {
			same = false
			fmt.Fprintf(w, "%s%s%d %s: %s\n", prefix, k.sign, k.n, k.what, someNames(k.names, k.n))
		}
	}
	if same {
		fmt.Fprintf(w, "%slist unchanged\n", prefix)
	}
}

// someNames returns the names in one line, and how many more there are of n in all.
func someNames(names []string, n int) string {
	s := printable(strings.Join(names, ", "))
	if more := n - len(names); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// isFirst reports whether d is the difference of n entries from no list at all.
func isFirst(d fetch.Difference, n int) bool { return len(d.Added) == n && len(d.Removed) == 0 }

// isEmpty reports whether two lists do not differ.
func isEmpty(d fetch.Difference) bool {
	return len(d.Added)+len(d.Removed)+len(d.NewURL)+len(d.Changed) == 0
}
