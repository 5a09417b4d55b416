package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"dlfs/fetch"
	"dlfs/listfile"
)

// unfinished is the entries that are not complete, and why.
type unfinished struct {
	entries []listfile.Entry
	why     map[string]string // by name
	bad     listfile.Errors   // lines that were left out of the list
}

// unfinished is the entries of the engine's list that are not complete, and the lines
// that were left out of it.
func (e *engine) unfinished() unfinished {
	u := unfinishedOf(e.set)
	e.reloading.Lock()
	defer e.reloading.Unlock()
	u.bad = e.bad
	return u
}

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
// so to notes. If there is none, there is no such file afterwards.
func (u unfinished) save(path string, notes io.Writer) error {
	if len(u.entries) == 0 && len(u.bad) == 0 {
		done := "removed"
		if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
			done = "not written"
		} else if err != nil {
			return fmt.Errorf("--save-failed: %w", err)
		}
		fmt.Fprintf(notes, "dlfs: every file is complete; %s is %s\n", path, done)
		return nil
	}
	err := writeFile(path, func(f *os.File) error {
		for _, bad := range u.bad {
			if _, err := fmt.Fprintf(f, "# left out: %s\n", printable(bad.Error())); err != nil {
				return err
			}
		}
		return listfile.Write(f, u.entries, func(name string) string { return u.why[name] })
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

// writeFile has write fill a file that only its user may read, and which is
// there whole or not at all.
func writeFile(path string, write func(f *os.File) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // 0600
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
