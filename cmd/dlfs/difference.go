package main

import (
	"fmt"
	"io"
	"strings"

	"dlfs/fetch"
)

// namesShown is how many names of each kind a difference tells.
const namesShown = 5

// printDifference tells how a list differs from the one before, a line for each
// kind, each of them begun with prefix.
func printDifference(w io.Writer, prefix string, d fetch.Difference) {
	same := true
	for _, kind := range []struct {
		sign, what string
		names      []string
	}{{"+", "added", d.Added}, {"-", "removed", d.Removed}, {"~", "new URL", d.NewURL}, {"~", "changed", d.Changed}} {
		if n := len(kind.names); n > 0 {
			same = false
			fmt.Fprintf(w, "%s%s%d %s: %s\n", prefix, kind.sign, n, kind.what, someNames(kind.names))
		}
	}
	if same {
		fmt.Fprintf(w, "%slist unchanged\n", prefix)
	}
}

// someNames is the first names, and how many more there are.
func someNames(names []string) string {
	shown := names[:min(len(names), namesShown)]
	s := printable(strings.Join(shown, ", "))
	if more := len(names) - len(shown); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// isFirst reports whether d is the difference of n entries from no list at all.
func isFirst(d fetch.Difference, n int) bool { return len(d.Added) == n && len(d.Removed) == 0 }

func isEmpty(d fetch.Difference) bool {
	return len(d.Added)+len(d.Removed)+len(d.NewURL)+len(d.Changed) == 0
}
