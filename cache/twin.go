package cache

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// adoptTwin has the file that stands under the blob's name, which another process has
// published meanwhile, be the blob's own. It must have the same bytes: readers may have
// read the blob, and then get no other ones. What differs is an *InTheWayError. The
// blob's file goes once its record says that it is published.
//
// It blocks for the disk, over reading both files.
func (s *Store) adoptTwin(b *Blob, dir *os.File, base string) error {
	if _, err := s.fits(b.name, b.version); err != nil {
		return err
	}
	twin, err := s.openFinished(b.name)
	if err != nil {
		return err
	}
	defer twin.Close()
	// What is compared below must still stand under the name afterwards (isAt).
	before, err := standingOf(twin)
	if err != nil {
		return err
	}
	if b.version.Size > 0 {
		same, err := s.sameBytes(twin, b.file.Load())
		if err != nil {
			return fmt.Errorf("compare %q with the file that another process has put there: %w", b.name, err)
		}
		if !same {
			return &InTheWayError{b.name, "was put there meanwhile with other bytes, as of another version"}
		}
	}
	// The other process may not have made the bytes durable yet, and the record will say they are.
	if err := twin.Sync(); err != nil {
		return err
	}
	if !before.isAt(dir, base) {
		return &InTheWayError{b.name, "was changed while it was being fetched"}
	}
	b.mu.Lock()
	// As after an exchange, the blob's own file is no longer needed, and dropReplaced removes it
	// once the record says that the file under the name is the published one.
	b.mu.exchanged = true
	b.mu.Unlock()
	return nil
}

// sameBytes reports whether two open files have the same bytes. When the store is closed,
// it gives up on long files: the next start publishes them.
func (s *Store) sameBytes(a, b *os.File) (bool, error) {
	const atOnce, patience = 1 << 20, 256 << 20
	pa, pb := make([]byte, atOnce), make([]byte, atOnce)
	for off := int64(0); ; off += atOnce {
		select {
		case <-s.stop:
			if off >= patience {
				return false, fs.ErrClosed
			}
		default:
		}
		na, err := a.ReadAt(pa, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		nb, err := b.ReadAt(pb, off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !bytes.Equal(pa[:na], pb[:nb]) {
			return false, nil
		}
		if na < atOnce {
			return true, nil
		}
	}
}

// isUnsupported reports whether an error says that a filesystem has not got a system
// call, a flag of it, or links between directories.
func isUnsupported(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSYS) || errors.Is(err, syscall.EOPNOTSUPP)
}

// linkOrRename is renameNoReplace for a filesystem that cannot refuse to replace: by
// link and unlink, which no crash can turn into a loss. Where there are no links
// either, as on BeeGFS between directories, a file that appears between a look and
// the rename is replaced.
func linkOrRename(ffd int, from string, tfd int, to string) error {
	err := unix.Linkat(ffd, from, tfd, to, 0)
	if err == nil || errors.Is(err, fs.ErrExist) && sameFile(ffd, from, tfd, to) {
		return unix.Unlinkat(ffd, from, 0)
	}
	if !isUnsupported(err) && !errors.Is(err, syscall.EPERM) && !errors.Is(err, syscall.EXDEV) {
		return err
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(tfd, to, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case err == nil:
		return unix.EEXIST
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return unix.Renameat(ffd, from, tfd, to)
}

// mayBeTwin reports whether an error says that a regular file is in the way of a version
// of unknown size, and another process may have published it.
func (s *Store) mayBeTwin(err error) bool {
	var way *InTheWayError
	return s.shared != nil && errors.As(err, &way) && way.Why == sizeUnknown
}
