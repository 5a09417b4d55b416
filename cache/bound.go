package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"dlfs/cache/lockorder"
)

// ErrBound is the ErrNoSpace of a store whose bound, Options.MaxSize, is reached. The disk
// itself may have room.
var ErrBound = fmt.Errorf("the room that --max-size gives is used up: %w", noBound{})

// noBound is an ErrNoSpace whose text does not speak of the disk.
type noBound struct{}

func (noBound) Error() string        { return "nothing more is stored" }
func (noBound) Is(target error) bool { return target == ErrNoSpace }
func (noBound) Unwrap() error        { return syscall.ENOSPC }

const (
	// stateSpare is how much more than it has now the state is taken to need: it grows
	// between two looks at it, a merge of tables has the old ones and the new ones, and a
	// file of many pieces has blocks of its own for where they are.
	stateSpare = 16 << 20

	// leastRoom is how much of a bound there must be for blocks.
	leastRoom = 8 << 20

	// diskBlock is what a file's length is rounded up to on disk.
	diskBlock = 4 << 10
)

// account is that of a store that may have so many bytes on disk and no more. Room is
// taken before anything is written, and what was written is then counted as the filesystem
// counts it (st_blocks), so that the sum is never above the bound.
//
// INVARIANT: blobs + taken + state is at most max, unless max was lowered, or the state or a
// file that dlfs did not write has grown.
type account struct {
	on atomic.Bool // set before the store is used, and never again

	mu struct {
		lockorder.Mutex[lockorder.Leaf]
		max   int64 // bytes
		blobs int64 // of blobs, streams and finished files
		taken int64 // room that was granted and is not written to yet
		state int64 // of all else in the state directory, with what it may grow by
	}
}

// Room is how much a bounded store has, in bytes. Of a store without a bound, all are 0.
type Room struct {
	Max   int64 // the bound
	Used  int64 // on disk, and what the state may grow by
	State int64 // of that, the state and what it may grow by
	Free  int64 // can be taken now
}

// Room returns the account as it is now.
func (s *Store) Room() Room {
	if !s.account.on.Load() {
		return Room{}
	}
	m := &s.account.mu
	m.Lock()
	defer m.Unlock()
	return Room{Max: m.max, Used: m.blobs + m.state, State: m.state, Free: max(0, m.max-m.blobs-m.state-m.taken)}
}

// SetMaxSize changes the bound of a store that has one. What is above it stays until it is
// evicted. The error says which bound is the least.
func (s *Store) SetMaxSize(n int64) error {
	if !s.account.on.Load() {
		return errors.New("the store has no bound; mount it with --max-size")
	}
	if err := s.measureState(); err != nil {
		return err
	}
	m := &s.account.mu
	m.Lock()
	defer m.Unlock()
	if least := m.state + leastRoom; n < least {
		return fmt.Errorf("a bound of %d MiB is too small here: the state in %s/.dlfs and a few blocks need %d MiB; raise it", n>>20, s.path, (least+1<<20-1)>>20)
	}
	m.max = n
	return nil
}

// openAccount counts what is there, before anything is stored. It does nothing if the store
// has no bound.
func (s *Store) openAccount() error {
	if s.opts.MaxSize == 0 {
		return nil
	}
	if err := s.mayPunch(); err != nil {
		return err
	}
	if err := s.index.write(s.index.batch()); err != nil { // the first one makes files
		return err
	}
	blobs, err := diskBytes(s.blobs, nil)
	if err != nil {
		return err
	}
	err = s.index.scan(recordPrefix, func(key, value []byte) {
		name := string(key[len(recordPrefix):])
		if r, ok := s.index.decode(name, value); ok && (r.published || r.own != 0) {
			if info, err := s.root.Lstat(name); err == nil && (r.published || r.ownOf(info) != 0) { // else Lookup says so
				blobs += allocated(info)
			}
		}
	})
	if err != nil && !errors.Is(err, errDamaged) {
		return err
	}
	s.account.mu.blobs = blobs
	s.account.on.Store(true)
	return s.SetMaxSize(s.opts.MaxSize)
}

// measureState measures how many bytes the state takes on disk beside the blobs, for the account
// of a bounded store; it does nothing in another one. What the state is taken for changes only if
// it has grown beyond that, or shrunk much, so that the room for blobs does not go up and down
// with each table that badger writes or removes.
func (s *Store) measureState() error {
	if !s.account.on.Load() {
		return nil
	}
	tables := int64(0)
	state, err := diskBytes(s.state, func(name string, n int64) bool {
		if strings.HasSuffix(name, ".sst") {
			tables += n
		}
		return name != "blobs"
	})
	if err != nil {
		return fmt.Errorf("look how large the state is: %w", err)
	}
	m := &s.account.mu
	m.Lock()
	defer m.Unlock()
	if need := state + tables + stateSpare/2; need > m.state || need+stateSpare < m.state {
		m.state = need + stateSpare/2
	}
	return nil
}

// diskBytes is what the files under root take on disk. counts may be nil; it is told each
// name and what that takes, and reports whether to count it.
func diskBytes(root *os.Root, counts func(name string, n int64) bool) (sum int64, err error) {
	err = fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil {
			info, err = e.Info()
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		}
		if err != nil {
			return err
		}
		n := allocated(info)
		if counts != nil && !counts(name, n) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		sum += n
		return nil
	})
	return sum, err
}

// allocated is what a file takes on disk, in bytes.
func allocated(info fs.FileInfo) int64 {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return info.Size()
	}
	return st.Blocks * 512
}

// Grant is room of a bounded store that its owner has taken and not used yet. The zero
// value has none; that of a store without a bound needs none. It is for one goroutine at a
// time.
type Grant struct {
	store *Store
	left  int64
}

// Left is how many bytes it has.
func (g *Grant) Left() int64 { return g.left }

// Take adds n bytes of free room, all or none, and reports whether there were so many.
func (g *Grant) Take(s *Store, n int64) bool {
	if !s.account.on.Load() {
		return true
	}
	m := &s.account.mu
	m.Lock()
	defer m.Unlock()
	if n > m.max-m.blobs-m.state-m.taken {
		return false
	}
	m.taken += n
	g.store, g.left = s, g.left+n
	return true
}

// Free gives back what is left.
func (g *Grant) Free() {
	if g.store == nil || g.left == 0 {
		return
	}
	m := &g.store.account.mu
	m.Lock()
	defer m.Unlock()
	m.taken -= g.left
	g.left = 0
}

// need has the grant have room for n bytes of a file, as the disk rounds them.
func (g *Grant) need(s *Store, n int64) error {
	n = (n + diskBlock - 1) / diskBlock * diskBlock
	if g.left >= n || g.Take(s, n-g.left) {
		return nil
	}
	return ErrBound
}

// spend says that n bytes of the grant may have been written to a file, and that the file
// takes so much more on disk than it did.
func (g *Grant) spend(s *Store, n, more int64) {
	if !s.account.on.Load() {
		return
	}
	n = min((n+diskBlock-1)/diskBlock*diskBlock, g.left)
	m := &s.account.mu
	m.Lock()
	defer m.Unlock()
	g.left -= n
	m.taken -= n
	m.blobs += more
}

// counted adds to what blobs and finished files take on disk.
func (b *account) counted(more int64) {
	if !b.on.Load() || more == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.mu.blobs += more
}

// growth looks what the blob's file takes on disk, and returns how much more that is than
// when it was last looked at.
func (b *Blob) growth() int64 {
	f := b.file.Load()
	if !b.store.account.on.Load() || f == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now, err := fileBytes(f)
	if err != nil {
		return 0 // stat of an open file does not fail
	}
	more := now - b.mu.counted
	b.mu.counted = now
	return more
}

// fileBytes returns the bytes a file takes on disk; holes take none.
func fileBytes(f *os.File) (int64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, err
	}
	return st.Blocks * 512, nil
}
