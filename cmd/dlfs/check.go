package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// checkCmd tells what is wrong with a list. The help of each field is what a user reads.
type checkCmd struct {
	List         string `arg:"" help:"List of names and URLs: a file, a URL, or - for standard input."`
	listFlags    `group:"The list"`
	requestFlags `group:"Requests"`
	logFlags     `group:"Progress and log"`
}

// Run prints what the list is, and every problem it has. It reads the list, from its
// URL if it has one, and asks nothing of the origins in it. The error has the exit code
// that a fetch of the list would end with because of the list.
func (c *checkCmd) Run(ctx context.Context, std stdio) error {
	if err := c.validate(); err != nil {
		return err
	}
	f := workFlags{listFlags: c.listFlags, requestFlags: c.requestFlags, logFlags: c.logFlags}
	w, err := abandonable(ctx, func() (*work, error) { return f.work(std, c.List) })
	if err != nil {
		return err
	}
	defer w.end()
	// A list of URLs alone is shown with the names that its URLs have, since names that origins
	// would give cost a request for each entry.
	list, err := w.lister.readAsWritten(ctx)
	// The list may be there in spite of an error, which is then about some of its lines.
	if list == nil {
		return err
	}
	printCheck(std.out, w.lister.name, list)
	switch {
	case err != nil:
		return err
	case list.Bad.Count() > 0:
		return errLeftOut(list.Bad.Count())
	}
	// A list without entries is well formed, but a fetch of it would fail.
	return needEntries(list, w.lister.name)
}

// printCheck prints what was understood of a list: the line that mount and fetch print, too,
// and then one line for each thing that is worth a look.
func printCheck(w io.Writer, name string, list *listfile.List) {
	fmt.Fprintln(w, taken(name, list))
	if list.Header > 0 {
		fmt.Fprintf(w, "line %d is a header\n", list.Header)
	}
	if list.Folded > 0 {
		fmt.Fprintln(w, count(list.Folded, "line repeats an earlier one", "lines repeat an earlier one"))
	}
	if list.SharedURLs > 0 {
		fmt.Fprintln(w, count(list.SharedURLs, "entry has the URL of an earlier one", "entries have the URL of an earlier one"))
	}
	if list.LeftOut > 0 {
		fmt.Fprintln(w, count(list.LeftOut, "entry is left out by --include and --exclude", "entries are left out by --include and --exclude"))
	}
	if list.Ignored > 0 {
		fmt.Fprintln(w, count(list.Ignored, "option, column or line means nothing to dlfs and is ignored", "options, columns or lines mean nothing to dlfs and are ignored"))
	}
	c := list.Count()
	if c.Mirrors > 0 {
		fmt.Fprintln(w, count(c.Mirrors, "entry has mirrors", "entries have mirrors"))
	}
	if c.Sizes > 0 {
		fmt.Fprintf(w, "%s, %s in all\n", count(c.Sizes, "entry has a size", "entries have a size"), bytesText(c.Bytes))
	}
	if c.Digests > 0 {
		fmt.Fprintln(w, count(c.Digests, "entry has a digest", "entries have a digest"))
	}
	if first, n := expiry(list.Entries); n > 0 {
		fmt.Fprintln(w, expiryText(first, n))
	}
}

// expiry returns when the first of the entries loses its last URL, and how many entries
// lose all of their URLs at a known time. first is zero if n is 0.
func expiry(entries []listfile.Entry) (first time.Time, n int) {
	for i := range entries {
		at, ok := expiryOf(&entries[i])
		if !ok {
			continue
		}
		if n++; n == 1 || at.Before(first) {
			first = at
		}
	}
	return first, n
}

// expiryOf returns when an entry loses its last URL; false if that is not known. Most
// entries have one URL, for which no slice of URLs is made.
func expiryOf(e *listfile.Entry) (time.Time, bool) {
	if e.Details == nil {
		return origin.Expires(e.URL)
	}
	return origin.LastExpiry(e.URLs())
}
