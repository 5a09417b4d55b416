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
	key, err := q.key()
	if err != nil {
		return nil, err
	}
	if q.IsAll() {
		return s.Files(), nil
	}
	picked := s.pick(strings.ToLower(q.Match), wanted, key)
	if q.Sort != "" {
		slices.SortFunc(picked, q.compare)
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

// candidate is a file, and the number that a Query sorts by. It is small: there may be a
// million.
type candidate struct {
	file *File
	key  int64
}

// key returns what q sorts by as a number; names are compared as they are.
func (q Query) key() (func(t tally, present int64) int64, error) {
	switch q.Sort {
	case "", "name":
		return func(tally, int64) int64 { return 0 }, nil
	case "size":
		return func(t tally, _ int64) int64 { return t.sizeOr(-1) }, nil
	case "progress":
		return progress, nil
	case "state":
		return func(t tally, _ int64) int64 { return int64(t.state) }, nil
	}
	return nil, fmt.Errorf("files cannot be sorted by %q", q.Sort)
}

// compare is the order of q. What is equal stays in the order of the list.
func (q Query) compare(a, b candidate) int {
	by := cmp.Compare(a.key, b.key)
	if q.Sort == "name" {
		by = strings.Compare(a.file.name, b.file.name)
	}
	return cmp.Or(by, cmp.Compare(a.file.order.Load(), b.file.order.Load()))
}

// sizeOr is the size of the file, or n while that is not known.
func (t tally) sizeOr(n int64) int64 {
	if !t.known {
		return n
	}
	return t.size
}

// progress is the part of a file that is present, in millionths, and -1 while its size is
// not known.
func progress(t tally, present int64) int64 {
	const whole = 1_000_000
	switch size := t.sizeOr(-1); {
	case size < 0:
		return -1
	case present >= size:
		return whole
	default:
		return int64(float64(present) / float64(size) * whole)
	}
}

// pick returns the files whose names contain match, which is in lower case, and whose
// states are wanted.
func (s *Set) pick(match string, wanted [states]bool, key func(tally, int64) int64) (picked []candidate) {
	for _, f := range s.Files() {
		if match != "" && !strings.Contains(strings.ToLower(f.name), match) {
			continue
		}
		if t, present := countedOf(f); wanted[t.state] {
			picked = append(picked, candidate{f, key(t, present)})
		}
	}
	return picked
}

// countedOf is a file as the set counts it, and how many bytes are present.
func countedOf(f *File) (t tally, present int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.mu.cur != nil {
		present = f.copy().Present()
	}
	return f.mu.counted, present
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
