package cache

import (
	"os"
	"path"
	"slices"
	"strings"
)

// foldsCase reports whether the disk of a directory, which has a file of that name in
// lower case, takes names that differ in case for one, as FAT and exFAT do, and ext4
// in a directory with the flag F, which is inherited.
func foldsCase(dir *os.Root, name string) bool {
	lower, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	upper, err := dir.Lstat(strings.ToUpper(name))
	return err == nil && os.SameFile(lower, upper)
}

// FoldsNames reports whether the disk of the output directory takes names that
// differ in case for one. ext4 then takes other forms of accents for one, too.
func (s *Store) FoldsNames() bool { return s.folds }

// spelled reports whether what stands under name has just that name. Where the disk
// ignores case, it may be the file of another entry.
func (s *Store) spelled(name string) (bool, error) {
	if !s.folds {
		return true, nil
	}
	for at := name; at != "."; at = path.Dir(at) {
		dir, err := s.root.Open(path.Dir(at))
		if err != nil {
			return false, err
		}
		names, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil {
			return false, err
		}
		if !slices.Contains(names, path.Base(at)) {
			return false, nil
		}
	}
	return true, nil
}
