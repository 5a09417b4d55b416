package main

import (
	"fmt"
	"io"
	"os"

	"dlfs/fetch"
	"dlfs/listfile"
)

// unfinished is what --save-failed saves: the entries that are not complete, why, and
// the lines that were left out of the list.
type unfinished struct {
	entries []listfile.Entry
	why     map[string]string // by name
	bad     listfile.Errors   // lines that were left out of the list
}

// unfinished returns the entries of the engine's list that are not complete, and the
// lines that were left out of it. It takes reloading.
func (e *engine) unfinished() unfinished {
	u := unfinishedOf(e.set)
	e.reloading.Lock()
	defer e.reloading.Unlock()
	u.bad = e.bad
	return u
}

// unfinishedOf gathers the entries that are not complete, with the reason of each.
func unfinishedOf(set *fetch.Set) (u unfinished) {
	u.why = map[string]string{}
	for _, f := range set.Files() {
		s := f.Status()
		if s.State == "complete" {
			continue
		}
		u.entries = append(u.entries, *f.Entry())
		u.why[s.Name] = printable(s.Error)
		if s.Error == "" {
			u.why[s.Name] = "not fetched yet"
		}
	}
	return u
}

// save writes the entries to path, as a list that can be run as it is, and says
// so to notes. If there is none, a file that is there is left empty, and no other
// is made.
func (u unfinished) save(path string, notes io.Writer) error {
	if len(u.entries) == 0 && len(u.bad) == 0 {
		return emptySink(path, notes)
	}
	err := writeSink(path, 0o600, func(w io.Writer) error {
		for _, bad := range u.bad {
			if _, err := fmt.Fprintf(w, "# left out: %s\n", printable(bad.Error())); err != nil {
				return err
			}
		}
		return listfile.Write(w, u.entries, func(name string) string { return u.why[name] })
	})
	if err != nil {
		return fmt.Errorf("--save-failed: %w", err)
	}
	also := ""
	if n := u.bad.Count(); n > 0 {
		also = fmt.Sprintf(", and %s that were left out", lines(n))
	}
	fmt.Fprintf(notes, "dlfs: %s lists what is not complete: %d of the entries%s\n", path, len(u.entries), also)
	return nil
}

// emptySink leaves an earlier list of failed entries empty, so that a script which goes
// by the size of the file sees that nothing has failed. A file that is not there is not
// made, and no device or pipe is written to.
func emptySink(path string, notes io.Writer) error {
	done := "not written"
	if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && !isDescriptor(path) {
		if err := writeSink(path, 0o600, func(io.Writer) error { return nil }); err != nil {
			return fmt.Errorf("--save-failed: %w", err)
		}
		done = "empty now"
	}
	fmt.Fprintf(notes, "dlfs: every file is complete; %s is %s\n", path, done)
	return nil
}
