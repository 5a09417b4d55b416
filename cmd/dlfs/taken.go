package main

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/dustin/go-humanize"

	"dlfs/listfile"
)

// taken returns one line that says what a list was taken for: how many entries it has,
// its form, what its columns mean, and what was changed or left out. check, mount and
// fetch print it, so that a list that was read wrongly is seen at once.
func taken(name string, list *listfile.List) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s", printable(name), count(len(list.Entries), "entry", "entries"), dialectText(list.Dialect))
	if list.Columns != "" {
		fmt.Fprintf(&b, ": %s", printable(list.Columns))
	}
	if list.Directories > 0 {
		fmt.Fprintf(&b, "; %s left out", count(list.Directories, "directory", "directories"))
	}
	if list.NoScheme > 0 {
		fmt.Fprintf(&b, "; http:// is put before %s URLs that have no scheme", humanize.Comma(int64(list.NoScheme)))
	}
	if list.NoChecksum > 0 {
		fmt.Fprintf(&b, "; %s lines of --checksums are no checksums", humanize.Comma(int64(list.NoChecksum)))
	}
	if n := list.Bad.Count(); n > 0 {
		fmt.Fprintf(&b, "; %s left out", lines(n))
	}
	return b.String()
}

// lines returns a number of wrong lines in words.
func lines(n int) string { return count(n, "wrong line", "wrong lines") }

// count returns a number of things in words: one for exactly one, many with the number,
// in groups of three digits, for all other numbers.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return humanize.Comma(int64(n)) + " " + many
}

// dialectText returns the form of a list in words, or the name of the form if there are
// none.
func dialectText(d listfile.Dialect) string {
	text := map[listfile.Dialect]string{
		listfile.Tab: "NAME<TAB>URL", listfile.Colon: "NAME : URL", listfile.URLs: "plain URLs", listfile.Pget: "URL NAME",
		listfile.Mixed: "NAME and URL in mixed forms", listfile.Empty: "empty",
		listfile.Aria2: "input file of aria2", listfile.CSV: "CSV", listfile.TSV: "TSV", listfile.Rclone: "URL,PATH",
		listfile.Semicolons: "CSV with semicolons", listfile.Pipes: "CSV with |", listfile.Fields: "fields of lines",
		listfile.Checksums: "checksums, with the base URL", listfile.Conda: "explicit packages of conda, or URL#DIGEST",
		listfile.JSON: "JSON", listfile.BagIt: "fetch.txt of BagIt", listfile.TSVHTTPData: "TsvHttpData-1.0",
		listfile.Pooch: "registry of pooch", listfile.Metalink: "Metalink",
	}[d]
	return cmp.Or(text, string(d))
}
