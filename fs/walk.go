//go:build linux

package fs

import (
	"time"

	"dlfs/fetch"
)

// Programs go through the files of a directory in the order of their names, or nearly:
// tar, md5sum * and ls -l. One file after the other, each would wait for the network, so
// what comes next is foreseen. cp -r goes by inode numbers, which is no order of names: then
// any files of the directory are foreseen, once so many of them were opened in quick
// succession that all of them are likely to be.
const (
	walkProves = 3               // files in order, and more will follow
	walkAhead  = 16              // how many are foreseen at most
	walkMany   = 8               // files in no order, at least, and all will follow;
	walkShare  = 32              // and one of so many in the directory
	walkPause  = 2 * time.Second // ends a succession
)

// walk is how far a program has come in the names of a directory.
type walk struct {
	next   int       // of listing.items
	run    int       // how many came in order
	many   int       // how many came in quick succession
	last   time.Time // when the last one came
	cursor int       // up to where names were foreseen in no order
}

// step goes on to the name at i of so many, and returns which names are to be foreseen: n of
// them from the one at from.
func (w *walk) step(i, names int) (from, n int) {
	d, now := i-w.next, time.Now()
	if now.Sub(w.last) > walkPause {
		w.many = 0
	}
	w.next, w.last = i+1, now
	switch {
	case d == -1: // once more
	case -walkAhead <= d && d <= walkAhead: // the order may be that of another language
		w.run++
		w.many++
	default:
		w.run = 1
		w.many++
	}
	if w.run >= walkProves {
		return i + 1, min(2*w.run, walkAhead)
	}
	if w.many < max(walkMany, names/walkShare) {
		return 0, 0
	}
	if w.cursor >= names {
		w.cursor = 0
	}
	from = w.cursor
	w.cursor += walkAhead / 2
	return from, walkAhead / 2
}

// after returns the files among the names that are to be foreseen after a program has come to
// a file. The result of says which walk that was a step of.
func (d *dir) after(name string, of func(*walks) *walk) (files []*fetch.File) {
	l := d.now()
	i, ok := l.at(name)
	if !ok {
		return nil
	}
	d.mu.Lock()
	from, n := of(&d.mu.walks).step(i, len(l.items))
	d.mu.Unlock()
	from = min(from, len(l.items))
	for i := from; i < min(from+n, len(l.items)); i++ {
		if _, next := l.item(i); next != nil {
			files = append(files, next)
		}
	}
	return files
}

// walks are who goes through a directory: one opens its files, one asks for their sizes.
type walks struct{ opens, stats walk }

// opened notes that a file was opened, and has those fetched that are likely to be next.
func (f *fileSystem) opened(file *fetch.File) {
	parent, name := split(file.Name())
	f.tree.Lock()
	d := f.tree.dirs[parent]
	f.tree.Unlock()
	if d == nil { // the list has it no longer
		return
	}
	for _, next := range d.after(name, func(w *walks) *walk { return &w.opens }) {
		next.Foresee()
	}
}

// asked notes that a program asks for the unknown size of a file. It asks the origins for the
// sizes that the program is likely to ask for next.
func (d *dir) asked(name string) {
	for _, next := range d.after(name, func(w *walks) *walk { return &w.stats }) {
		if next.Known() == nil {
			next.ForeseeStat()
		}
	}
}
