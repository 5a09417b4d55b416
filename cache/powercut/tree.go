//go:build linux

package powercut

import (
	"errors"
	"hash/maphash"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	pageSize   = 4096
	sectorSize = 512
	rootID     = 1
)

// tree is a state of a file system: its inodes, by number. An inode
// that no directory names any more stays, since a program may have it open.
type tree map[int]*inode

// inode is a directory or a file.
type inode struct {
	mode    os.FileMode
	entries map[string]int // of a directory; nil for a file
	size    int64
	pages   map[int64][]byte // what is not here is a hole; a page never changes
	mtime   time.Time
}

func newTree() tree { return tree{rootID: newInode(os.ModeDir | 0o755)} }

func newInode(mode os.FileMode) *inode {
	if mode.IsDir() {
		return &inode{mode: mode, entries: map[string]int{}}
	}
	return &inode{mode: mode, pages: map[int64][]byte{}}
}

// clone returns a copy that shares nothing that changes.
func (t tree) clone() tree {
	c := make(tree, len(t))
	for id, n := range t {
		m := *n
		m.entries, m.pages = maps.Clone(n.entries), maps.Clone(n.pages)
		c[id] = &m
	}
	return c
}

// apply does one change.
func (t tree) apply(c change) {
	switch n := t[c.id]; c.kind {
	case made:
		t[c.id] = newInode(c.mode)
	case linked:
		t[c.dir].entries[c.name] = c.id
	case unlinked:
		delete(t[c.dir].entries, c.name)
	case wrote:
		n.pages[c.page] = c.data
	case sized:
		n.resize(c.size)
	case touched:
		n.mtime = c.time
	}
}

// resize cuts a file short or lets it grow by a hole.
func (n *inode) resize(size int64) {
	if size < n.size {
		for page, data := range n.pages {
			switch start := page * pageSize; {
			case start >= size:
				delete(n.pages, page)
			case start+pageSize > size:
				cut := make([]byte, pageSize)
				copy(cut, data[:size-start])
				n.pages[page] = cut
			}
		}
	}
	n.size = size
}

// read copies the file's bytes at off to p, and returns how many there are.
func (n *inode) read(p []byte, off int64) int {
	p = p[:max(0, min(int64(len(p)), n.size-off))]
	for done := 0; done < len(p); {
		at := off + int64(done)
		rest := p[done:min(len(p), done+int(pageSize-at%pageSize))]
		if data := n.pages[at/pageSize]; data != nil {
			copy(rest, data[at%pageSize:])
		} else {
			clear(rest)
		}
		done += len(rest)
	}
	return len(p)
}

// links counts the names of an inode.
func (t tree) links(id int) (n uint32) {
	for _, dir := range t {
		for _, entry := range dir.entries {
			if entry == id {
				n++
			}
		}
	}
	return n
}

// reachable returns the tree without what no name leads to.
func (t tree) reachable() tree {
	r := tree{}
	var walk func(id int)
	walk = func(id int) {
		r[id] = t[id]
		for _, child := range t[id].entries {
			walk(child)
		}
	}
	walk(rootID)
	return r
}

var hashSeed = maphash.MakeSeed()

// hash tells trees apart by what a program sees from id on, times aside.
func (t tree) hash(id int) uint64 {
	var h maphash.Hash
	h.SetSeed(hashSeed)
	var walk func(id int)
	walk = func(id int) {
		n := t[id]
		if n == nil {
			return
		}
		maphash.WriteComparable(&h, n.size)
		for _, page := range slices.Sorted(maps.Keys(n.pages)) {
			if page*pageSize < n.size {
				maphash.WriteComparable(&h, page)
				h.Write(n.pages[page])
			}
		}
		for _, name := range slices.Sorted(maps.Keys(n.entries)) {
			maphash.WriteComparable(&h, name)
			walk(n.entries[name])
		}
		maphash.WriteComparable(&h, len(n.entries))
	}
	walk(id)
	return h.Sum64()
}

// write makes the tree in a directory, which exists and is empty. Holes stay
// holes, times are kept where they are known, and two names of one file are.
func (t tree) write(dir string) error {
	written := map[int]string{}
	var walk func(id int, path string) error
	walk = func(id int, path string) error {
		n := t[id]
		if first, ok := written[id]; ok {
			return os.Link(first, path)
		}
		written[id] = path
		if !n.mode.IsDir() {
			return n.write(path)
		}
		if id != rootID {
			if err := os.Mkdir(path, n.mode.Perm()); err != nil {
				return err
			}
		}
		for name, child := range n.entries {
			if err := walk(child, filepath.Join(path, name)); err != nil {
				return err
			}
		}
		return nil
	}
	return walk(rootID, dir)
}

func (n *inode) write(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, n.mode.Perm())
	if err != nil {
		return err
	}
	err = f.Truncate(n.size)
	for page, data := range n.pages {
		if at := page * pageSize; err == nil && at < n.size {
			_, err = f.WriteAt(data[:min(pageSize, n.size-at)], at)
		}
	}
	if err = errors.Join(err, f.Close()); err == nil && !n.mtime.IsZero() {
		err = os.Chtimes(path, n.mtime, n.mtime)
	}
	return err
}
