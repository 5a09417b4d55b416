package cache

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// watchState closes removed once a directory of the state has been removed. What is
// there already can be read on; nothing more can be kept.
func (s *Store) watchState() {
	select {
	case <-s.removed:
		return
	default:
	}
	if s.IsRemoved() {
		close(s.removed)
	}
}

// IsRemoved reports whether another program has removed the state, DIR/.dlfs, or a part
// of it. Then nothing more can be made durable or published.
func (s *Store) IsRemoved() bool {
	return isRemoved(s.stateDir) || isRemoved(s.blobsDir) || isRemoved(s.index.dir)
}

// isRemoved reports whether an open directory has no name any more. Then it has no
// link either, also on btrfs, where a directory has one at most. Of a directory that
// another machine has removed, NFS says ESTALE.
func isRemoved(dir *os.File) bool {
	var st unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &st)
	return err == nil && st.Nlink == 0 || errors.Is(err, unix.ESTALE)
}

// Removed is closed within Options.SyncEvery after IsRemoved has become true.
func (s *Store) Removed() <-chan struct{} { return s.removed }
