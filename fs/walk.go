package fs

import "dlfs/fetch"

// Programs go through the files of a directory in the order of their names, or nearly:
// cp -r, tar, md5sum * and ls -l. One file after the other, each would wait for the
// network, so what comes next is foreseen.
const (
	walkProves = 3  // files in order, and more will follow
	walkAhead  = 16 // how many are foreseen at most
)

// walk is where somebody is in the names of a directory.
type walk struct {
	next int // of listing.items
	run  int // how many came in order
}

// step goes on to the name at i, and returns how many names after it are to be foreseen.
func (w *walk) step(i int) int {
	switch d := i - w.next; {
	case d == -1: // once more
	case -walkAhead <= d && d <= walkAhead: // the order may be that of another language
		w.run++
	default:
		w.run = 1
	}
	w.next = i + 1
	if w.run < walkProves {
		return 0
	}
	return min(2*w.run, walkAhead)
}

// after returns the files among the next names after a file that somebody has come to;
// of says which walk that was a step of.
func (d *dir) after(name string, of func(*walks) *walk) (files []*fetch.File) {
	l := d.now()
	i, ok := l.at(name)
	if !ok {
		return nil
	}
	d.mu.Lock()
	n := of(&d.mu.walks).step(i)
	d.mu.Unlock()
	for _, next := range l.items[i+1 : min(i+1+n, len(l.items))] {
		if next.file != nil {
			files = append(files, next.file)
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

// asked notes that somebody asks for the size of a file that is not known, and has the
// sizes found out that are likely to be asked for next.
func (d *dir) asked(name string) {
	for _, next := range d.after(name, func(w *walks) *walk { return &w.stats }) {
		if next.Known() == nil {
			next.ForeseeStat()
		}
	}
}
