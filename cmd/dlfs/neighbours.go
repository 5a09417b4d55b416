package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"dlfs/fetch"
)

// maxNeighbours is how many names in a directory and below are looked at.
const maxNeighbours = 10_000

// tellHidden writes to w which files and directories of dir a mount over it will hide,
// because no entry of the list is called so or lies there. It names one of them and
// counts the others; what lies in a hidden directory is not counted. Of a directory with
// more than maxNeighbours names in it and below only that many are looked at. The error
// is of reading the directory.
func tellHidden(w io.Writer, dir string, set *fetch.Set) error {
	there, err := neighbours(dir)
	if err != nil || len(there) == 0 {
		return err
	}
	listed := map[string]bool{".": true} // of those that are there
	for _, f := range set.Files() {
		// An entry makes its directories part of the list. "." ends the walk up, since it is listed.
		for name := f.Name(); !listed[name]; name = path.Dir(name) {
			if _, is := there[name]; is {
				listed[name] = true
			}
		}
	}
	var hidden []string
	for name := range there {
		// Of a hidden directory only the topmost name counts.
		if !listed[name] && listed[path.Dir(name)] {
			hidden = append(hidden, name)
		}
	}
	switch len(hidden) {
	case 0:
	case 1:
		fmt.Fprintf(w, "dlfs: %s is not in the list, and is hidden while %s is mounted over\n", printable(hidden[0]), printable(dir))
	default:
		fmt.Fprintf(w, "dlfs: %d files and directories are not in the list, such as %s, and are hidden while %s is mounted over\n",
			len(hidden), printable(slices.Min(hidden)), printable(dir))
	}
	return nil
}

// neighbours returns the names of what lies in dir and below, without .dlfs: the upper
// directories first, and no more than maxNeighbours. No link is followed.
func neighbours(dir string) (map[string]struct{}, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close() // it was only read: an error of Close tells nothing
	there := map[string]struct{}{}
	for dirs := []string{"."}; len(dirs) > 0 && len(there) < maxNeighbours; dirs = dirs[1:] {
		entries, err := firstEntries(root, dirs[0], maxNeighbours-len(there))
		// A directory below that may not be read is one name, and its content is not told of.
		if err != nil && dirs[0] == "." {
			return nil, err
		}
		for _, e := range entries { // none of a directory that may not be read
			name := path.Join(dirs[0], e.Name())
			if name == ".dlfs" {
				continue
			}
			there[name] = struct{}{}
			if e.IsDir() {
				dirs = append(dirs, name)
			}
		}
	}
	return there, nil
}

// firstEntries reads at most n entries of a directory.
func firstEntries(root *os.Root, name string, n int) ([]os.DirEntry, error) {
	d, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close() // it was only read: an error of Close tells nothing
	entries, err := d.ReadDir(n)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return entries, err
}
