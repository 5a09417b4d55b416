package listfile

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// Answer is what an origin calls a file.
type Answer struct {
	Name string // "" if the origin does not say
	Err  error  // why the origin could not be asked; nil if it was
}

var errUnnamed = errors.New("the origin does not name the file, and its URL's path does not end in a name")

// Rename gives the entries whose name is guessed the name that their origin has
// for them: answers[i] is about Entries[i]. Where the origin does not say, the
// guess becomes the name. The names that stand in the list come first, then the
// others in the order of the list.
//
// An entry is refused if its origin could not be asked, if its name breaks the
// rules of names, or if another entry has the name: Details.Refused says why, and
// the entry keeps the guess as its name, made different where that is taken. The
// error is that of a wrong pattern in opts, or that the list is too long; the list
// is of no use then.
func (l *List) Rename(answers []Answer, opts Options) error {
	keep, err := newSelection(opts.Include, opts.Exclude)
	if err != nil {
		return err
	}
	r := renamer{list: l, keep: keep, index: newIndex(l), stays: make([]bool, len(l.Entries))}
	for i := range l.Entries {
		if e := &l.Entries[i]; !e.guessed() {
			if err := r.place(i, *e); err != nil { // only if the index is full
				return fmt.Errorf("line %d: %w", e.Line, err)
			}
		}
	}
	// Refused entries get their names last: the name of an entry that is fetched must
	// not depend on the guess for one that is not.
	var refused []int
	for i := range l.Entries {
		e := &l.Entries[i]
		if !e.guessed() {
			continue
		}
		if err := r.rename(i, answers[i]); err != nil {
			e.Details.Refused = err
			refused = append(refused, i)
		}
	}
	for _, i := range refused {
		if err := r.keepGuess(i); err != nil {
			return fmt.Errorf("line %d: %w", l.Entries[i].Line, err)
		}
	}
	n := 0
	for i, stays := range r.stays {
		if stays {
			l.Entries[n] = l.Entries[i]
			n++
		}
	}
	l.Entries = l.Entries[:n]
	l.SharedURLs = r.index.sharedURLs()
	return nil
}

// guessed reports whether the entry's name is to be asked for.
func (e *Entry) guessed() bool { return e.Details != nil && e.Details.Guessed }

// renamer finds out which names the entries of a list can have.
type renamer struct {
	list  *List
	keep  selection
	index *index // of the names given so far
	stays []bool // by entry: it is not left out
}

// place records that entry i is e from now on, unless the patterns of the user leave it
// out or an earlier entry has its name and URLs; both are counted in the list. The
// error says which other entry e contradicts, or is errFull.
func (r *renamer) place(i int, e Entry) error {
	if !r.keep.keeps(e.Name) {
		r.list.LeftOut++
		return nil
	}
	repeated, err := r.index.add(e, i)
	switch {
	case err != nil:
		return err
	case repeated:
		r.list.Folded++
		return nil
	}
	r.list.Entries[i], r.stays[i] = e, true
	return nil
}

// rename gives entry i the name that its origin has for it, or makes the guess its name
// where the origin does not say. The error is the reason why the entry is refused.
// Details.Guessed stays true where the origin does not say.
func (r *renamer) rename(i int, a Answer) error {
	if a.Err != nil {
		return a.Err
	}
	e := r.list.Entries[i]
	e.Name = cmp.Or(a.Name, e.Name)
	if e.Name == "" {
		return errUnnamed
	}
	err := checkName(e.Name)
	if err == nil {
		err = r.place(i, e)
	}
	if err != nil && a.Name != "" {
		return fmt.Errorf("its origin's name for it cannot be used: %w", err)
	}
	if err == nil && a.Name != "" {
		e.Details.Guessed = false
	}
	return err
}

// maxGuess is how many bytes of a guess keepGuess uses: 32 bytes of the component are
// left for the line and the number that make the name different.
const maxGuess = maxComponent - 32

// keepGuess gives entry i, which is refused, a name that no other entry has. The
// error is that the list is too long.
func (r *renamer) keepGuess(i int) error {
	e := r.list.Entries[i]
	e.Name = cmp.Or(e.Name, "unnamed")
	guess := strings.ToValidUTF8(e.Name[:min(len(e.Name), maxGuess)], "")
	r.keep = selection{} // the user's patterns are not about guesses
	for n := 1; ; n++ {
		err := r.place(i, e)
		if err == nil || errors.Is(err, errFull) {
			return err
		}
		e.Name = fmt.Sprintf("%s~%d", guess, e.Line)
		if n > 1 {
			e.Name = fmt.Sprintf("%s~%d.%d", guess, e.Line, n)
		}
	}
}
