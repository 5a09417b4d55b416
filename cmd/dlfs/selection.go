package main

import (
	"net/url"
	"slices"

	"dlfs/fetch"
)

// selection says which entries of a status are wanted. The zero value wants all.
type selection struct {
	none   bool     // only what is told of the whole
	names  []string // only these; all if empty
	states []string // only files in one of these states; in any if empty
}

// The states of a file, as fetch.EntryStatus has them.
const (
	stateComplete = "complete"
	stateFailed   = "failed"
	stateNeedsURL = "needs-url"
	stateMismatch = "mismatch"
)

// selectionOf reads what query wrote.
func selectionOf(q url.Values) selection {
	return selection{none: q.Has("brief"), names: q["name"], states: q["state"]}
}

// query is the selection in a request: brief, or any number of name and state. A process
// of an older version answers with every entry, and matches selects the wanted ones.
func (s selection) query() string {
	q := url.Values{"name": s.names, "state": s.states}
	if s.none {
		q.Set("brief", "1")
	}
	if text := q.Encode(); text != "" {
		return "?" + text
	}
	return ""
}

// matches reports whether an entry is wanted.
func (s selection) matches(e fetch.EntryStatus) bool {
	return !s.none &&
		(len(s.names) == 0 || slices.Contains(s.names, e.Name)) &&
		(len(s.states) == 0 || slices.Contains(s.states, e.State))
}

// files are the files of set that may match.
func (s selection) files(set *fetch.Set) []*fetch.File {
	if s.none {
		return nil
	}
	// The states of files change while they are listed, so they are compared one by one (matches).
	if len(s.names) == 0 {
		return set.Files()
	}
	var files []*fetch.File
	for _, name := range s.names {
		if f := set.File(name); f != nil {
			files = append(files, f)
		}
	}
	return files
}
