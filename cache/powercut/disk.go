//go:build linux

// Package powercut is a file system in memory that shows what a power cut
// leaves. It is for tests.
//
// A Disk is mounted, and a process works on it as on any other, with shared
// writable mappings, fsync and all. It keeps a log of every change and of every
// fsync. A Replay goes through that log, and at any point of it, Cut returns an
// Image: a state in which a disk may be found after the power went at that
// moment. What was forced to disk is in it; of the rest, any part may be.
//
// What is forced by fsync of a file is its bytes, its size and its time; by
// fsync of a directory, its entries. An entry that was made and not forced by an
// fsync of its directory is forced with the file it leads to, with those of the
// directories above, unless Strict says that it is not. ext4 and XFS are not
// strict, POSIX is.
//
// A rename is two changes: the new name appears, and the old one goes. The second is
// never found without the first.
//
// A Disk can also fail: Refuse has it answer with an error, as a disk that is
// full, over quota or dying does.
package powercut

import (
	"os"
	"sync"
	"syscall"
	"time"
)

type kind uint8

const (
	made     kind = iota // id is a new inode of mode
	linked               // name in dir leads to id
	unlinked             // name in dir leads nowhere
	wrote                // page of id holds data
	sized                // id has size
	touched              // id has time
	synced               // id was forced to disk
)

// change is one step of the log.
type change struct {
	kind  kind
	id    int
	mode  os.FileMode
	dir   int
	name  string
	page  int64
	data  []byte
	size  int64
	time  time.Time
	after bool // the second half of a rename, never without the change before it
	last  bool // of what one system call does
}

// Disk is a file system in memory and all that ever happened to it. It is safe
// for concurrent use.
type Disk struct {
	base tree

	mu struct {
		sync.Mutex
		live   tree
		lastID int
		log    []change
		asked  int // how many changes and forces were asked for
		faults Faults
	}
}

// Faults are what a disk refuses. The zero value is a disk without any.
type Faults struct {
	Err    syscall.Errno
	From   int    // the first change or fsync that is refused, counted from 1
	Before int    // the first that is not refused any more; 0 if all are
	But    string // a file of this name is spared
}

// Refuse has the disk fail from now on as f says.
func (d *Disk) Refuse(f Faults) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.mu.faults = f
}

// Asked returns how many changes and fsyncs the disk was asked for, refused or
// not, but for those of the file Faults spare.
func (d *Disk) Asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.mu.asked
}

// refusedLocked counts one change of a file of that name, and returns why it is
// not to be; 0 if it is.
func (d *Disk) refusedLocked(name string) syscall.Errno {
	f := d.mu.faults
	if f.But != "" && name == f.But {
		return 0
	}
	d.mu.asked++
	if f.Err == 0 || d.mu.asked < f.From || f.Before > 0 && d.mu.asked >= f.Before {
		return 0
	}
	return f.Err
}

// New returns an empty disk.
func New() *Disk { return From(Image{newTree()}) }

// From returns a disk on which, as its first state, an image is found.
func From(image Image) *Disk {
	d := &Disk{base: image.tree.reachable().clone()}
	d.mu.live = d.base.clone()
	for id := range d.mu.live {
		d.mu.lastID = max(d.mu.lastID, id)
	}
	return d
}

// Log returns what happened so far.
func (d *Disk) Log() *Log {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &Log{d.base, d.mu.log[:len(d.mu.log):len(d.mu.log)]}
}

// doLocked does what one system call does, and logs it.
func (d *Disk) doLocked(changes ...change) {
	for i, c := range changes {
		c.last = i == len(changes)-1
		d.mu.live.apply(c)
		d.mu.log = append(d.mu.log, c)
	}
}

// writeLocked writes data at off: a size first if the file grows, then each
// page as it is thereafter, as the page cache has it.
func (d *Disk) writeLocked(id int, data []byte, off int64) {
	n := d.mu.live[id]
	var changes []change
	if end := off + int64(len(data)); end > n.size {
		changes = append(changes, change{kind: sized, id: id, size: end})
	}
	for len(data) > 0 {
		page := make([]byte, pageSize)
		copy(page, n.pages[off/pageSize])
		k := copy(page[off%pageSize:], data)
		changes = append(changes, change{kind: wrote, id: id, page: off / pageSize, data: page})
		data, off = data[k:], off+int64(k)
	}
	changes = append(changes, change{kind: touched, id: id, time: time.Now()})
	d.doLocked(changes...)
}
