package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A full disk must cost nothing but time, and badger does not survive one by
// itself: it maps its files into memory, so a page the disk has no room for ends
// the process with SIGBUS. Three things keep it from meeting one:
//
//   - no block is stored below the floor, Options.MinFree, and nothing is written
//     to the index below half of its own, indexFloor, so that dlfs notices in
//     time that other programs fill the disk;
//   - the memtable's file, which takes every write, is allocated whole, and so is
//     the next one; a memtable is only filled up, and tables are only merged,
//     where there is room for blocks, and so for the tables this makes;
//   - a ballast file holds room that is given up when the disk turns out to be
//     full in spite of that, or the quota used: the index lives on it meanwhile, and
//     blocks are refused until the ballast can be made again.

// indexFloor is the free space the index is to find. A memtable that is flushed
// and merged takes a few times 2 MiB.
const indexFloor = 16 << 20

// stateFileBytes is how long a file of the state may become: the ballast is the
// longest.
const stateFileBytes = indexFloor

// fileLimit returns how long this process may make a file, in bytes.
func fileLimit() int64 {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_FSIZE, &l); err != nil || l.Cur > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(l.Cur)
}

// room reports ErrNoSpace unless n bytes of blocks can be written above the
// floor.
func (s *Store) room(n int64) error {
	if s.tight.Load() {
		return s.full()
	}
	free, inodes, err := spaceIn(s.blobsDir)
	switch {
	case err != nil:
		return err
	case inodes < inodeFloor:
		return ErrNoInodes
	case free-n < s.opts.MinFree:
		return ErrNoSpace
	}
	return nil
}

// tableRoom reports ErrNoSpace unless the index can begin a new memtable.
func (s *Store) tableRoom() error {
	if s.shared == nil {
		return s.room(0)
	}
	free, inodes, err := spaceIn(s.stateDir)
	if err == nil && (free < s.floor() || inodes < inodeFloor) {
		err = ErrStateFull
	}
	return err
}

// inodeFloor is how many inodes must be free for a block to be stored. The index
// makes a few files before it removes others.
const inodeFloor = 8

// Free returns the bytes an ordinary user can still write to the disk of the
// output directory, math.MaxInt64 where that is not known.
func (s *Store) Free() (int64, error) {
	free, _, err := spaceIn(s.blobsDir)
	return free, err
}

// freeForState is Free for the disk of the state.
func (s *Store) freeForState() (int64, error) {
	free, _, err := spaceIn(s.stateDir)
	return free, err
}

// spaceIn returns the bytes and inodes that are free on the disk of a directory.
func spaceIn(dir *os.File) (bytes, inodes int64, err error) {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
		return 0, 0, fmt.Errorf("statfs %s: %w", dir.Name(), err)
	}
	bytes, inodes = spaceOf(&st)
	return bytes, inodes, nil
}

// fewInodes is how many free inodes count as none when a file could not be made: a
// file that was given up since may have given its own back.
const fewInodes = 4

// full is what a full disk lacks: ErrNoInodes, or ErrNoSpace.
func (s *Store) full() error {
	if _, inodes, err := spaceIn(s.blobsDir); err == nil && inodes < inodeFloor {
		return ErrNoInodes
	}
	if s.shared != nil && s.tight.Load() {
		if free, err := s.freeForState(); err == nil && free < 2*s.floor() {
			return ErrStateFull
		}
	}
	return ErrNoSpace
}

// ErrStateFull is an ErrNoSpace of a disk that has the state alone.
var ErrStateFull = fmt.Errorf("disk of the state directory is full: %w", stateFull{})

type stateFull struct{}

func (stateFull) Error() string        { return syscall.ENOSPC.Error() }
func (stateFull) Is(target error) bool { return target == ErrNoSpace }
func (stateFull) Unwrap() error        { return syscall.ENOSPC }

// Full says why HasRoom reports that there is none: ErrNoInodes, or ErrNoSpace.
func (s *Store) Full() error { return s.full() }

// blameInodes adds to an error of opening a store that no inodes are left, where
// that is so. badger does not tell in its errors what the system said.
func blameInodes(err error, dir string) error {
	var st unix.Statfs_t
	if unix.Statfs(dir, &st) != nil {
		return err
	}
	if _, inodes := spaceOf(&st); inodes < fewInodes && strings.Contains(err.Error(), syscall.ENOSPC.Error()) {
		return fmt.Errorf("%w: %w", ErrNoInodes, err)
	}
	return err
}

// HasRoom reports whether a block could be stored. On a disk that was full it
// first takes back the room that the index was given.
func (s *Store) HasRoom() bool {
	if s.tight.Load() && s.relax() != nil {
		return false
	}
	return s.room(BlockSize) == nil
}

// noSpace is ErrNoSpace, for an error that isFull. If it is the system's word,
// the ballast is given up; the floor's says that there is room left.
func (s *Store) noSpace(err error) error {
	s.noteFull()
	if !errors.Is(err, ErrNoSpace) {
		s.squeeze()
	}
	return s.full()
}

// isFull reports whether an error says that the disk is full or the quota used.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// floor is what the index needs, in bytes.
func (s *Store) floor() int64 { return min(indexFloor, s.opts.MinFree) }

// watchRoom gives the ballast up when others have filled the disk.
func (s *Store) watchRoom() {
	if free, err := s.freeForState(); err == nil && free < s.floor() {
		s.squeeze()
	}
}

// indexRoom reports ErrNoSpace unless the index can be written.
func (s *Store) indexRoom() error {
	free, err := s.freeForState()
	if err == nil && free < s.floor() {
		s.squeeze()
		free, err = s.freeForState()
	}
	if err != nil {
		return err
	}
	if free < s.floor()/2 {
		s.noteFull()
		if s.shared != nil {
			return ErrStateFull
		}
		return ErrNoSpace
	}
	return nil
}

// squeeze gives the ballast up for the index. Until it is made again, no block
// is stored.
func (s *Store) squeeze() {
	s.ballast.Lock()
	defer s.ballast.Unlock()
	if s.tight.Swap(true) {
		return
	}
	if err := s.dropBallast(); err != nil {
		s.log.Warn("ballast cannot be given up", "err", err)
	}
}

// relax makes the ballast again, if there is room for it above the floor.
func (s *Store) relax() error {
	s.ballast.Lock()
	defer s.ballast.Unlock()
	free, err := s.freeForState()
	if err != nil {
		return err
	}
	above := s.opts.MinFree
	if s.shared != nil {
		above = s.floor() // no blocks are stored there
	}
	if free-s.floor() < above {
		return ErrNoSpace
	}
	if err := s.makeBallast(); err != nil {
		return err
	}
	s.tight.Store(false)
	return nil
}

const ballastName = "ballast"

// makeBallast has the ballast stand whole, or not at all. A filesystem that
// cannot allocate ahead has none.
func (s *Store) makeBallast() error {
	f, err := openRegularAs(s.state, ballastName, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return inTheWay(err)
	}
	err = errors.Join(allocate(f, false, s.floor()), f.Close())
	if err != nil {
		return errors.Join(err, s.dropBallast())
	}
	return nil
}

// dropBallast removes the ballast, if there is one, so that the index has its room.
func (s *Store) dropBallast() error {
	if err := s.state.Remove(ballastName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// reserve allocates the files that take badger's writes: that of the memtable,
// and the one that the next memtable will have. badger makes them sparse, maps
// them, and takes an empty file for a new one.
func (x *index) reserve() error {
	entries, err := fs.ReadDir(x.files.FS(), ".")
	if err != nil {
		return err
	}
	newest, size := -1, int64(0)
	for _, e := range entries {
		var id int
		info, err := e.Info()
		if err != nil || info.Size() == 0 {
			continue // flushed meanwhile, or allocated ahead
		}
		if _, err := fmt.Sscanf(e.Name(), "%05d.mem", &id); err == nil && id > newest {
			newest, size = id, info.Size()
		}
	}
	if newest < 0 {
		return nil
	}
	if name := memFile(newest); name != x.current {
		if err := x.allocate(name, false, size); err != nil {
			return err
		}
		x.current, x.written = name, 0
		x.flushed++
	}
	return x.allocate(memFile(newest+1), true, 2*memTableSize)
}

// memFile returns the name of the file in which badger keeps the memtable of that
// number.
func memFile(id int) string { return fmt.Sprintf("%05d.mem", id) }

// allocate gives a file of the database n bytes, if it has not got them.
func (x *index) allocate(name string, keepSize bool, n int64) error {
	f, err := openRegularAs(x.files, name, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks*512 >= n {
		return nil
	}
	return allocate(f, keepSize, n)
}
