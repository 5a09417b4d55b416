package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"path"

	"golang.org/x/sys/unix"
)

// place tells which files can be renamed to one another: those of one filesystem
// that are under one mount (rename(2), EXDEV).
type place struct {
	device uint64
	mount  uint64 // 0 where the kernel does not tell: Linux before 5.8, and other systems
}

// reaches reports why a finished file cannot be moved to name, nil if it can: name
// is to be in a directory where something is mounted. Without this, that would be
// seen when the file is complete, since the file cannot be moved then. The caller has found
// that nothing stands under name, and that no symbolic link on the way leads elsewhere.
func (s *Store) reaches(name string) error {
	for d := path.Dir(name); d != "."; d = path.Dir(d) {
		there, err := placeOf(s.dir, d)
		if errors.Is(err, fs.ErrNotExist) {
			continue // the directory will be made in the one above
		}
		here, err2 := placeOf(s.blobsDir, ".")
		if err := errors.Join(err, err2); err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if there != here {
			return fmt.Errorf("%q cannot be put there, since %s is mounted apart from the rest of the output directory; unmount it, or fetch to it alone: %w", name, d, unix.EXDEV)
		}
		return nil
	}
	return nil
}
