package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
)

// stateFlag is of the commands that ask a running dlfs or look at its state.
type stateFlag struct {
	State string `placeholder:"LOCAL" help:"Where the state is, as mount or fetch was told by --state."`
}

// or returns the directory whose .dlfs has the state and the socket, for an output
// directory or a mountpoint.
func (f stateFlag) or(dir string) string { return cmp.Or(f.State, dir) }

// isElsewhere reports whether dir is an output directory whose state was always kept
// elsewhere, by --state.
func isElsewhere(dir string) bool {
	if _, err := os.Stat(filepath.Join(dir, ".dlfs", "db")); err == nil {
		return false
	}
	for _, pattern := range []string{"w-*", shardFiles} {
		if found, err := filepath.Glob(filepath.Join(quoteGlob(dir), ".dlfs", pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// errElsewhere is the error of a command that needs the state of a directory whose state is in
// another place.
func errElsewhere(dir string) error {
	return fmt.Errorf("the state of %s is not there, but where --state said; give the same --state", dir)
}
