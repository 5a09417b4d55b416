package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

type statusCmd struct {
	Dir  string `arg:"" help:"Output directory or mountpoint."`
	JSON bool   `help:"Print JSON."`
}

// Run asks the running process, or else reads the state on disk.
func (c *statusCmd) Run(ctx context.Context, std stdio) error {
	s, err := askStatus(ctx, c.Dir)
	if errors.Is(err, errNoProcess) {
		s, err = readStatus(ctx, c.Dir)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(std.out)
		enc.SetIndent("", "  ")
		return enc.Encode(s)
	}
	return printStatus(std.out, s)
}

func askStatus(ctx context.Context, dir string) (*Status, error) {
	resp, err := ask(ctx, dir, "GET", "/status")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var s Status
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		return nil, fmt.Errorf("status of %s: %w", dir, err)
	}
	return &s, nil
}

// readStatus reads the state while no process has it. Nothing is fetched.
func readStatus(ctx context.Context, dir string) (*Status, error) {
	if _, err := os.Stat(filepath.Join(dir, ".dlfs")); err != nil {
		return nil, fmt.Errorf("%s holds no state of dlfs; give the directory of a mount or fetch", dir)
	}
	store, err := cache.Open(dir, cache.Options{Owner: "dlfs status"})
	if err != nil {
		return nil, err
	}
	names, err := store.List()
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	entries := make([]listfile.Entry, len(names))
	for i, name := range names {
		entries[i].Name = name.Name
	}
	set := fetch.New(ctx, store, origin.New(origin.Options{}), entries, fetch.Options{})
	s := &Status{Entries: []fetch.EntryStatus{}}
	for _, f := range set.Files() {
		s.Entries = append(s.Entries, f.Status())
	}
	s.Totals = set.Totals()
	set.Close()
	return s, store.Close()
}

func printStatus(w io.Writer, s *Status) error {
	running := "not running"
	if s.PID != 0 {
		running = fmt.Sprintf("process %d", s.PID)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, e := range s.Entries {
		size := "?"
		if e.Size >= 0 {
			size = bytesText(e.Size)
		}
		fmt.Fprintf(t, "%s\t%s\t%s of %s\t%s\n", e.State, percent(e.Present, e.Size), bytesText(e.Present), size, printable(nameAndError(e)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", running, totalsText(s.Totals))
	return err
}

func nameAndError(e fetch.EntryStatus) string {
	if e.Error == "" {
		return e.Name
	}
	return e.Name + ": " + e.Error
}

type checkCmd struct {
	List string `arg:"" help:"List of names and URLs; - for standard input."`
}

// Run prints what the list is, and every problem it has.
func (c *checkCmd) Run(std stdio) error {
	list, err := readList(c.List, std.in)
	if list == nil {
		return err
	}
	printCheck(std.out, c.List, list)
	return err
}

func printCheck(w io.Writer, path string, list *listfile.List) {
	fmt.Fprintf(w, "%s: %s, %d entries\n", path, dialectText(list.Dialect), len(list.Entries))
	if list.Header > 0 {
		fmt.Fprintf(w, "line %d is a header\n", list.Header)
	}
	if list.Folded > 0 {
		fmt.Fprintf(w, "%d lines repeat an earlier one\n", list.Folded)
	}
	if list.SharedURLs > 0 {
		fmt.Fprintf(w, "%d entries have the URL of an earlier one\n", list.SharedURLs)
	}
}

func dialectText(d listfile.Dialect) string {
	return map[listfile.Dialect]string{
		listfile.Tab: "NAME<TAB>URL", listfile.Colon: "NAME : URL", listfile.URLs: "plain URLs",
		listfile.Mixed: "NAME and URL in mixed forms", listfile.Empty: "empty",
	}[d]
}
