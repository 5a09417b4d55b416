package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"dlfs/fetch"
)

// statusPrinter prints a status as it comes: head once, then entry for each file, then
// end once. A long list therefore takes no memory. It has an implementation for people
// and one for JSON.
type statusPrinter interface {
	head(s *Status) error
	entry(e fetch.EntryStatus) error
	end() error
}

// alignedTogether is how many entries are aligned in columns together: tabwriter keeps
// all cells of a block in memory.
const alignedTogether = 1000

// filesShown is of how many files status tells unless it is to tell of all.
const filesShown = 20

// textStatus prints for a person: the whole, and a line for each entry. If not all entries
// are wanted, those that are not complete come first.
type textStatus struct {
	w   io.Writer
	all bool

	t        *tabwriter.Writer
	n        int             // entries so far
	left     []numberedEntry // the first that are not complete
	complete []numberedEntry // the first that are
}

// numberedEntry is an entry and its place in the list.
type numberedEntry struct {
	fetch.EntryStatus
	n int
}

// head writes the line of totals, what there is to know besides, and a line for each shard.
func (p *textStatus) head(s *Status) error {
	p.t = tabwriter.NewWriter(p.w, 0, 8, 2, ' ', 0)
	for _, line := range append([]string{s.line()}, s.notes()...) {
		if _, err := fmt.Fprintln(p.w, printable(line)); err != nil {
			return err
		}
	}
	for _, shard := range s.Shards {
		fmt.Fprintf(p.t, "shard %s\t%s\t%s\ton %s, %s\n", shard.Shard, shard.state(time.Now()), totalsText(shard.Totals),
			printable(shard.Host), shard.Told.Format("2006-01-02 15:04:05 UTC"))
	}
	return nil
}

// entry writes one file, or keeps it for end where only a few are shown: those that are not
// complete come first.
func (p *textStatus) entry(e fetch.EntryStatus) error {
	p.n++
	if !p.all {
		list := &p.left
		if e.State == stateComplete {
			list = &p.complete
		}
		if len(*list) < filesShown {
			*list = append(*list, numberedEntry{e, p.n})
		}
		return nil
	}
	p.print(e)
	if p.n%alignedTogether == 0 {
		return p.t.Flush()
	}
	return nil
}

func (p *textStatus) print(e fetch.EntryStatus) {
	fmt.Fprintf(p.t, "%s\t%s\t%s of %s\t%s\n", printable(e.State), percent(e.Present, e.Size), bytesText(e.Present), sizeText(e.Size), printable(nameAndError(e)))
}

// end writes the files that entry has kept, in the order of the list, and how many are left
// out.
func (p *textStatus) end() error {
	// Files that are not complete come first, but what is shown is in the order of the list.
	shown := append(p.left, p.complete...)
	shown = shown[:min(filesShown, len(shown))]
	slices.SortFunc(shown, func(a, b numberedEntry) int { return a.n - b.n })
	for _, e := range shown {
		p.print(e.EntryStatus)
	}
	if err := p.t.Flush(); err != nil {
		return err
	}
	if more := p.n - len(shown); !p.all && more > 0 {
		_, err := fmt.Fprintf(p.w, "and %s; --files tells of each\n", count(more, "file more", "files more"))
		return err
	}
	return nil
}

// nameAndError returns the name of a file, and why it failed if it did.
func nameAndError(e fetch.EntryStatus) string {
	if e.Error == "" {
		return e.Name
	}
	return e.Name + ": " + e.Error
}

// jsonStatus prints JSON, as encoding/json does with the indent.
type jsonStatus struct {
	w      io.Writer
	indent string
	tail   string // what ends it
	n      int
}

// head writes the object of the status up to its list of files, the last of its keys, and
// keeps the rest for end.
func (p *jsonStatus) head(s *Status) error {
	text, err := json.MarshalIndent(s, "", p.indent)
	if err != nil {
		return err
	}
	// The object is encoded with an empty list, and cut there: the entries are written between.
	entries := bytes.LastIndex(text, []byte("[]")) // the entries are the last key
	p.tail = string(text[entries+2:]) + "\n"
	_, err = p.w.Write(text[:entries+1])
	return err
}

// entry writes one file into the list, so that a million of them need no memory.
func (p *jsonStatus) entry(e fetch.EntryStatus) error {
	prefix := p.indent + p.indent
	text, err := json.MarshalIndent(e, prefix, p.indent)
	if err != nil {
		return err
	}
	comma := ","
	if p.n++; p.n == 1 {
		comma = ""
	}
	_, err = fmt.Fprintf(p.w, "%s\n%s%s", comma, prefix, text)
	return err
}

// end closes the list and the object.
func (p *jsonStatus) end() error {
	close := "]"
	if p.n > 0 {
		close = "\n" + p.indent + "]"
	}
	_, err := io.WriteString(p.w, close+p.tail)
	return err
}
