package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"dlfs/fetch"
	"dlfs/listfile"
)

// lookFlags are those of commands that look into a list without fetching all of it: ls
// and cat.
type lookFlags struct {
	Dir string `short:"d" placeholder:"DIR" help:"The output directory, whose state is used; the list's name without extension if not given and if there is one."`
	stateFlag

	listFlags    `group:"The list"`
	requestFlags `group:"Requests"`
	logFlags     `group:"Progress and log"`
}

// work returns the work on the list, to be ended by end. Flags that the command does not have
// get values here that look at a few files: no progress, few requests at once.
func (c *lookFlags) work(ctx context.Context, std stdio, list string) (*work, error) {
	f := workFlags{listFlags: c.listFlags, requestFlags: c.requestFlags, logFlags: c.logFlags}
	// The last three numbers are the defaults of --jobs, --split and --max-per-host.
	f.Quiet, f.Progress = true, "none"
	f.Stats, f.MinFree = 1, defaultMinFree
	f.Jobs, f.Split, f.MaxPerHost = 8, 4, 8
	f.State = c.State
	return f.begin(ctx, std, list, c.place(list))
}

// place returns the output directory whose state is used: --dir, or the directory named
// after the list if it has a state. It is "" if there is none, and the commands then
// work without a state.
func (c *lookFlags) place(list string) string {
	if c.Dir != "" {
		return c.Dir
	}
	if dir, err := defaultDir(list); err == nil && needState(dir) == nil {
		return dir
	}
	return ""
}

// lsCmd lists the files of a list, without a mount. The help of each field is what a user
// reads.
type lsCmd struct {
	List     string   `arg:"" help:"List of names and URLs: a file, a URL, or - for standard input."`
	Patterns []string `arg:"" optional:"" name:"pattern" help:"Tell only of names that match, as --include has them."`
	Long     bool     `short:"l" help:"Tell the state and the size of each file, as far as the list or the directory knows."`
	JSON     bool     `help:"Print JSON, an object a line, with the keys that the entries of status have."`
	lookFlags
}

// Run prints the names of a list, and with --long their states and sizes as far as the list or
// the directory knows them. No origin is asked for a file. Columns are aligned alignedTogether
// lines at a time, so that a long list is printed while it is walked.
func (c *lsCmd) Run(ctx context.Context, std stdio) error {
	w, err := c.work(ctx, std, c.List)
	if err != nil {
		return err
	}
	defer w.end()
	patterns, err := listfile.NewPatterns(c.Patterns)
	if err != nil {
		return usageError("%w", err)
	}
	list, err := w.readList(ctx)
	if err != nil {
		return err
	}
	known := map[string]fetch.EntryStatus{}
	if dir := c.place(c.List); dir != "" && (c.Long || c.JSON) {
		if known, err = knownFiles(ctx, list.Entries, c.or(dir), w.display.log); err != nil {
			return err
		}
	}
	// The writer aligns what was printed since the last Flush.
	t := tabwriter.NewWriter(std.out, 0, 8, 2, ' ', 0)
	shown := 0
	for i := range list.Entries {
		e := &list.Entries[i]
		if len(c.Patterns) > 0 && !patterns.Match(e.Name) {
			continue
		}
		if err := c.print(t, entryOf(e, known)); err != nil {
			return err
		}
		if shown++; shown%alignedTogether == 0 {
			if err := t.Flush(); err != nil {
				return err
			}
		}
	}
	// A pattern that matches nothing is most often a wrong pattern.
	if shown == 0 {
		return fmt.Errorf("no file of %s matches %s; write patterns as for --include, such as *.tar or sub/**", w.lister.shownName(), strings.Join(c.Patterns, ", "))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// Wrong lines are an error here as with fetch, but after the names that are right.
	if n := w.bad.Count(); n > 0 {
		return fmt.Errorf("%s left out of the list", lines(n))
	}
	return nil
}

// print writes one entry in the form that the flags ask for: a JSON object, a row of
// state, size and name, or the name. Names are escaped except in JSON, which escapes by
// itself.
func (c *lsCmd) print(w io.Writer, e fetch.EntryStatus) error {
	var err error
	switch {
	case c.JSON:
		err = json.NewEncoder(w).Encode(e)
	case c.Long:
		_, err = fmt.Fprintf(w, "%s\t%s\t%s\n", e.State, sizeText(e.Size), printable(e.Name))
	default:
		_, err = fmt.Fprintln(w, printable(e.Name))
	}
	return err
}

// entryOf returns what the directory knows of an entry, else what the list says of it.
// A size that neither knows is -1.
func entryOf(e *listfile.Entry, known map[string]fetch.EntryStatus) fetch.EntryStatus {
	s, there := known[e.Name]
	if !there || s.State == "" {
		s = fetch.EntryStatus{Name: e.Name, Size: -1, State: "unknown"}
	}
	if s.Size < 0 {
		s.Size = e.Said().Size
	}
	return s
}
