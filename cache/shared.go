package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// An output directory on a shared filesystem, such as NFS or Lustre, may be used by
// several machines at once. There the index, its lock and the socket would not be safe,
// so they are apart, in a state directory on a local disk, one for each process:
//
//	STATE/.dlfs/db, lock, writes   as those of DIR/.dlfs
//	STATE/.dlfs/output             which output directory and which w-* they are of
//	DIR/.dlfs/w-RANDOM/            unfinished files, instead of DIR/.dlfs/blobs
//	DIR/.dlfs/w-RANDOM/alive       written again and again while the store is open
//
// A rename from DIR/.dlfs/w-RANDOM to DIR/name stays within one filesystem. What is
// asked of that filesystem is to write, fsync, mkdir, link and rename, and nothing
// that is known to fail or to be of one machine only: no lock, no shared mapping, no
// flag of renameat2(2), no fallocate(2).
//
// No lock keeps two processes from fetching one file at once, since a scheduler may
// run a task twice when it has lost a machine. Both write to a file of their own.
// The one that publishes later finds the file of the other, and takes it for its own
// if it has the same bytes, see adoptTwin.
//
// What a lost machine leaves in its w-RANDOM is removed by this rule: by a process
// that opens the same output directory, once the file alive there is older by
// orphanAge than the one that the process has just written. Both times are of the
// same filesystem, so no clocks are compared where a server makes them.

const (
	aliveName  = "alive"
	outputName = "output"

	// aliveEvery is how often alive is written, and orphanAge how old it is when
	// no process writes it any more.
	aliveEvery = 10 * time.Minute
	orphanAge  = 24 * time.Hour
)

var (
	workName = regexp.MustCompile(`^w-[0-9a-f]{16}$`)
	blobName = regexp.MustCompile(`^[0-9a-f]{16}$`)
)

// shared is what a store whose state is apart has in its output directory.
type shared struct {
	// Constant data
	root *os.Root // DIR/.dlfs
	dir  *os.File // the same
	work string   // the name of its directory there, "w-RANDOM"

	told time.Time // when alive was last written; the syncer's
}

// binding is what STATE/.dlfs/output says.
type binding struct {
	work   string
	output string // an absolute path without symbolic links
}

// readBinding returns the binding of a state directory, the zero value if it has none.
func readBinding(state *os.Root) (b binding, err error) {
	text, err := readState(state, outputName)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return b, err
	}
	var whole bool
	b.work, b.output, whole = strings.Cut(string(text), "\n")
	if !whole || !workName.MatchString(b.work) || !filepath.IsAbs(b.output) {
		return b, fmt.Errorf("%s/%s is damaged; give another state directory, and unfinished files start again", state.Name(), outputName)
	}
	return b, nil
}

// write writes the binding, durably, all of it or nothing.
func (b binding) write(state *os.Root, stateDir *os.File) error {
	const fresh = outputName + ".new"
	if err := writeState(state, fresh, []byte(b.work+"\n"+b.output)); err != nil {
		return err
	}
	f, err := openRegular(state, fresh)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := state.Rename(fresh, outputName); err != nil {
		return err
	}
	return stateDir.Sync()
}

// OutputOf returns the output directory whose state is in dir, "" if dir is no state
// directory that is apart from its output directory. It blocks for the disk.
func OutputOf(dir string) (string, error) {
	root, err := openRoot(filepath.Join(dir, ".dlfs"))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer root.Close()
	b, err := readBinding(root)
	return b.output, err
}

// refuseState refuses an output directory that is a state directory of another one.
func (s *Store) refuseState() error {
	b, err := readBinding(s.state)
	if err == nil && b.output != "" {
		err = fmt.Errorf("it holds the state of %s; give that directory, with this one by --state", b.output)
	}
	return err
}

// openStateApart opens STATE/.dlfs, and makes it if need be.
func (s *Store) openStateApart() error {
	if err := makeDir(s.opts.State); err != nil {
		return err
	}
	local, err := openRoot(s.opts.State)
	if err != nil {
		return err
	}
	defer local.Close()
	if s.state, s.stateDir, err = subdir(local, ".dlfs"); err != nil {
		return fmt.Errorf("state directory %s: %w", s.opts.State, err)
	}
	return nil
}

// openWork opens the directory for unfinished files of a store whose state is apart: one with a
// name of its own below the output directory's .dlfs, on the filesystem of the finished files, so
// that they can be renamed. The state remembers the name. Other processes see by a file in it that
// this one is alive.
func (s *Store) openWork() error {
	b, err := s.bound()
	if err != nil {
		return err
	}
	s.shared = &shared{}
	if s.shared.root, s.shared.dir, err = subdir(s.root, ".dlfs"); err != nil {
		return err
	}
	if same, err := sameDir(s.stateDir, s.shared.dir); err != nil {
		return err
	} else if same {
		return errors.New("the state directory must be another one than the output directory; give another path with --state")
	}
	if b.work == "" {
		b.work = fmt.Sprintf("w-%016x", newGeneration())
		if err := b.write(s.state, s.stateDir); err != nil {
			return fmt.Errorf("state directory %s: %w", s.opts.State, err)
		}
	}
	s.shared.work = b.work
	if s.blobs, s.blobsDir, err = subdir(s.shared.root, b.work); err != nil {
		return err
	}
	if err := errors.Join(s.syncDir("."), s.shared.dir.Sync()); err != nil {
		return err
	}
	return s.tellAlive()
}

// sameDir reports whether two open directories are one.
func sameDir(a, b *os.File) (bool, error) {
	ai, err := a.Stat()
	bi, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(ai, bi), errors.Join(err, err2)
}

// bound returns the binding of the state directory, without a work directory if it is
// new. One of another output directory is an error.
func (s *Store) bound() (binding, error) {
	output, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return binding{}, err
	}
	b, err := readBinding(s.state)
	if err != nil {
		return b, err
	}
	if b.output != "" && b.output != output {
		return b, fmt.Errorf("%s holds the state of %s; give each output directory a state directory of its own", s.opts.State, b.output)
	}
	b.output = output
	return b, nil
}

// openWorkReadOnly is openWork for a store that is read only, which makes nothing. A
// work directory that is not there is made in spare.
func (s *Store) openWorkReadOnly(spare *os.Root) error {
	b, err := s.bound()
	if err != nil {
		return err
	}
	s.shared = &shared{work: b.work}
	s.shared.root, s.shared.dir, err = openSubdir(s.root, ".dlfs")
	if err == nil && b.work != "" {
		if s.blobs, s.blobsDir, err = openSubdir(s.shared.root, b.work); err == nil {
			return nil
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.blobs, s.blobsDir, err = subdir(spare, "blobs")
	return err
}

// tellAlive writes alive.
func (s *Store) tellAlive() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	text := fmt.Sprintf("process %d on %s (%s)\n", os.Getpid(), host, s.opts.Owner)
	if err := writeState(s.blobs, aliveName, []byte(text)); err != nil {
		return err
	}
	s.shared.told = time.Now()
	return nil
}

// keepAlive is tellAlive when it is time, for the syncer.
func (s *Store) keepAlive() {
	if s.shared == nil || time.Since(s.shared.told) < aliveEvery {
		return
	}
	if err := s.tellAlive(); err != nil {
		s.shared.told = time.Now() // so that the log does not say it each second
		s.log.Warn("other machines cannot be told that this process is alive", "dir", s.workPath(), "err", err)
	}
}

// sweepWorks removes the directories of processes that have not been alive for
// orphanAge. Another process may do so at the same time.
func (s *Store) sweepWorks() error {
	now, err := s.blobs.Stat(aliveName)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(s.shared.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if name == s.shared.work || !workName.MatchString(name) || !e.IsDir() {
			continue
		}
		seen, err := s.shared.lastAlive(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && now.ModTime().Sub(seen) < orphanAge {
			continue
		}
		if err == nil {
			err = s.shared.root.RemoveAll(name)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("unfinished files of a process that is gone are not removed", "dir", filepath.Join(s.path, ".dlfs", name), "err", err)
			continue
		}
		s.log.Info("unfinished files of a process that is gone were removed", "dir", filepath.Join(s.path, ".dlfs", name), "last_alive", seen.UTC())
	}
	return nil
}

// lastAlive is when the process of a work directory was last alive. A process that died
// before it wrote alive was so when it made the directory.
func (sh *shared) lastAlive(work string) (time.Time, error) {
	info, err := sh.root.Lstat(work + "/" + aliveName)
	if errors.Is(err, fs.ErrNotExist) {
		info, err = sh.root.Lstat(work)
	}
	if err != nil {
		return time.Time{}, err
	}
	return info.ModTime(), nil
}

// leaveWork removes the work directory if nothing unfinished is in it. The next start
// makes it again.
func (s *Store) leaveWork() error {
	if s.shared == nil || s.readOnly() {
		return nil
	}
	left, err := fs.ReadDir(s.blobs.FS(), ".")
	if err != nil || len(left) != 1 || left[0].Name() != aliveName {
		return nil // other files are left, or the directory has gone; the next start looks
	}
	if err := s.blobs.Remove(aliveName); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := s.shared.root.Remove(s.shared.work); err != nil { // NFS keeps names of files that are open
		s.log.Debug("empty directory for unfinished files stays", "dir", s.workPath(), "err", err)
	}
	return nil
}

// WriteShared writes a file DIR/.dlfs/name for other machines, in the place of the one
// that is there: they find the old content or the new one, whole. It is for stores
// whose state is apart, see IsShared; name is no name that this package uses. It
// blocks for the disk.
func (s *Store) WriteShared(name string, content []byte) error {
	fresh := name + ".new"
	if err := writeState(s.blobs, fresh, content); err != nil {
		return err
	}
	return s.shared.root.Rename(s.shared.work+"/"+fresh, name)
}

// IsShared reports whether the state is apart from the output directory, which other
// processes may then use at the same time.
func (s *Store) IsShared() bool { return s.shared != nil }

// work is where unfinished files are: a directory, and the name of that in it.
func (s *Store) work() (parent *os.Root, name string) {
	if s.shared != nil {
		return s.shared.root, s.shared.work
	}
	return s.state, "blobs"
}

// workPath is the path of the directory for unfinished files, for messages.
func (s *Store) workPath() string {
	_, name := s.work()
	return filepath.Join(s.path, ".dlfs", name)
}
