package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"dlfs/fetch"
)

// maxNeighbours is how many names of a directory are looked at.
const maxNeighbours = 10_000

// tellHidden writes to w which files and directories of dir a mount over it will hide,
// because no entry of the list is called so or lies there. It names one of them and
// counts the others. Of a directory with more than maxNeighbours names only that many
// are looked at. The error is of reading the directory.
func tellHidden(w io.Writer, dir string, set *fetch.Set) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close() // it was only read: an error of Close tells nothing
	names, err := d.Readdirnames(maxNeighbours)
	if err != nil && err != io.EOF {
		return err
	}
	if len(names) == 0 || len(names) == 1 && names[0] == ".dlfs" {
		return nil
	}
	listed := map[string]bool{".dlfs": true}
	for _, f := range set.Files() {
		first, _, _ := strings.Cut(f.Name(), "/")
		listed[first] = true
	}
	var hidden []string
	for _, name := range names {
		if !listed[name] {
			hidden = append(hidden, name)
		}
	}
	switch len(hidden) {
	case 0:
	case 1:
		fmt.Fprintf(w, "dlfs: %s is not in the list, and is hidden while %s is mounted over\n", printable(hidden[0]), printable(dir))
	default:
		fmt.Fprintf(w, "dlfs: %d files and directories are not in the list, such as %s, and are hidden while %s is mounted over\n",
			len(hidden), printable(hidden[0]), printable(dir))
	}
	return nil
}
