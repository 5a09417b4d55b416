package fetch

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Query selects files of a Set. The zero value selects all, in the order of the list.
type Query struct {
	Match string // text that the name contains, in any case; "" for every name
	State string // as in EntryStatus, or Trouble; "" for every state
	Sort  string // name, size, progress or state; "" for the order of the list
	Desc  bool   // the last one first
}

// Trouble is the State of a Query for files whose last attempt failed, for any reason.
const Trouble = "trouble"

// IsAll reports whether the query selects all files in the order of the list.
func (q Query) IsAll() bool { return q == Query{} }

// Select returns the files that q selects. It does not block for the network or the disk:
// a file that was not loaded yet is unknown. It looks at every file, unless q selects all;
// then the slice is the set's. The error says what q asks for that there is not.
func (s *Set) Select(q Query) ([]*File, error) {
	wanted, err := q.states()
	if err != nil {
		return nil, err
	}
	order, err := q.order()
	if err != nil {
		return nil, err
	}
	if q.IsAll() {
		return s.Files(), nil
	}
	picked := s.pick(strings.ToLower(q.Match), wanted)
	if order != nil {
		slices.SortStableFunc(picked, order)
	}
	if q.Desc {
		slices.Reverse(picked)
	}
	files := make([]*File, len(picked))
	for i, c := range picked {
		files[i] = c.file
	}
	return files, nil
}

// states returns for each state whether q wants it.
func (q Query) states() (wanted [states]bool, err error) {
	known := false
	for st := range states {
		wanted[st] = q.State == "" || q.State == st.String() || q.State == Trouble && st.trouble()
		known = known || wanted[st]
	}
	if !known {
		return wanted, fmt.Errorf("there is no state %q", q.State)
	}
	return wanted, nil
}

// trouble reports whether the last attempt failed.
func (s state) trouble() bool { return s == failed || s == needsURL || s == mismatch }

// candidate is a file, and what a Query looks at.
type candidate struct {
	file    *File
	tally   tally
	present int64
}

// order returns the comparison that q sorts by, nil for the order of the list.
func (q Query) order() (func(a, b candidate) int, error) {
	switch q.Sort {
	case "":
		return nil, nil
	case "name":
		return func(a, b candidate) int { return strings.Compare(a.file.name, b.file.name) }, nil
	case "size":
		return func(a, b candidate) int { return cmp.Compare(a.size(), b.size()) }, nil
	case "progress":
		return func(a, b candidate) int { return cmp.Compare(a.progress(), b.progress()) }, nil
	case "state":
		return func(a, b candidate) int { return cmp.Compare(a.tally.state, b.tally.state) }, nil
	}
	return nil, fmt.Errorf("files cannot be sorted by %q", q.Sort)
}

// size is the size of the file, -1 while it is not known.
func (c candidate) size() int64 {
	if !c.tally.known {
		return -1
	}
	return c.tally.size
}

// progress is the part of the file that is present, below 0 while its size is not known.
func (c candidate) progress() float64 {
	switch {
	case !c.tally.known:
		return -1
	case c.tally.size == 0:
		return 1
	}
	return float64(c.present) / float64(c.tally.size)
}

// pick returns the files whose names contain match, which is in lower case, and whose
// states are wanted.
func (s *Set) pick(match string, wanted [states]bool) (picked []candidate) {
	for _, f := range s.Files() {
		if match != "" && !strings.Contains(strings.ToLower(f.name), match) {
			continue
		}
		if c := f.candidate(); wanted[c.tally.state] {
			picked = append(picked, c)
		}
	}
	return picked
}

func (f *File) candidate() candidate {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := candidate{file: f, tally: f.mu.counted}
	if f.mu.cur != nil {
		c.present = f.copy().Present()
	}
	return c
}

// States returns how many files are in each state, by its name as in EntryStatus. It does
// not block.
func (s *Set) States() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	counts := make(map[string]int, states)
	for st, n := range s.mu.tallies.counts {
		counts[state(st).String()] = n
	}
	return counts
}
