//go:build linux

package fs

import (
	"dlfs/cache/lockorder"
	"dlfs/fetch"
)

// fileNodes are the inodes of files that the kernel knows. For a file that is not open there
// is nothing else in memory: a go-fuse node for each file that was ever listed would cost
// half a kilobyte a file. It is safe for concurrent use.
type fileNodes struct {
	lockorder.Mutex[lockorder.Leaf]
	pages []*filePage // nodes by their number; the slice grows, a page stays where it is
	free  []uint32    // numbers not in use
	used  uint32      // numbers below it have been in use
	of    map[*fetch.File]uint32
}

// fileNode is one version of a file. The zero value is free.
type fileNode struct {
	file    *fetch.File
	gen     uint64 // of the version
	lookups uint64 // times that the kernel was told of it, and has not forgotten
}

const pageNodes = 1024

type filePage [pageNodes]fileNode

// fileBit tells the IDs of these nodes from those of go-fuse, which counts from 1.
const fileBit = 1 << 62

// isFileID reports whether a node ID is that of a file, and not of a node of go-fuse.
func isFileID(id uint64) bool { return id&fileBit != 0 }

// at returns the node of a number. The caller holds the lock.
func (n *fileNodes) at(number uint32) *fileNode {
	return &n.pages[number/pageNodes][number%pageNodes]
}

// tell returns the ID of a version of a file, and counts that the kernel is told it.
func (n *fileNodes) tell(f *fetch.File, gen uint64) uint64 {
	n.Lock()
	defer n.Unlock()
	number, known := n.of[f]
	if !known || n.at(number).gen != gen {
		number = n.newNumber()
		n.of[f] = number
		*n.at(number) = fileNode{file: f, gen: gen}
	}
	n.at(number).lookups++
	return fileBit | uint64(number)
}

// newNumber returns a number that is not in use. The caller holds the lock.
func (n *fileNodes) newNumber() uint32 {
	if last := len(n.free) - 1; last >= 0 {
		number := n.free[last]
		n.free = n.free[:last]
		return number
	}
	if n.used%pageNodes == 0 {
		n.pages = append(n.pages, new(filePage))
	}
	if n.of == nil {
		n.of = map[*fetch.File]uint32{}
	}
	n.used++
	return n.used - 1
}

// get returns the file and the version of an ID.
func (n *fileNodes) get(id uint64) (f *fetch.File, gen uint64) {
	n.Lock()
	defer n.Unlock()
	node := n.at(uint32(id))
	return node.file, node.gen
}

// forget takes back as many lookups. The last one frees the node.
func (n *fileNodes) forget(id, lookups uint64) {
	n.Lock()
	defer n.Unlock()
	number := uint32(id)
	node := n.at(number)
	if node.lookups -= lookups; node.lookups > 0 {
		return
	}
	if n.of[node.file] == number {
		delete(n.of, node.file)
	}
	*node = fileNode{}
	n.free = append(n.free, number)
}

// len is how many nodes there are.
func (n *fileNodes) len() int {
	n.Lock()
	defer n.Unlock()
	return int(n.used) - len(n.free)
}

// dirNodes are the directories that the kernel knows, by the IDs that go-fuse has given
// them, and the handles of those that are being listed. It is safe for concurrent use.
type dirNodes struct {
	lockorder.Mutex[lockorder.Leaf]
	dirs    map[uint64]*dirNode
	handles map[uint64]*openDir
	last    uint64 // handle
}

type dirNode struct {
	dir     *dir
	lookups uint64
}

// dirHandle tells the handles of directories from those of go-fuse.
const dirHandle = 1 << 63

// tell notes that the kernel is told the ID of a directory.
func (n *dirNodes) tell(id uint64, d *dir) {
	n.Lock()
	defer n.Unlock()
	if n.dirs[id] == nil {
		n.dirs[id] = &dirNode{dir: d}
	}
	n.dirs[id].lookups++
}

// get returns the directory of an ID, nil if it is none of the list.
func (n *dirNodes) get(id uint64) *dir {
	n.Lock()
	defer n.Unlock()
	if node := n.dirs[id]; node != nil {
		return node.dir
	}
	return nil
}

// forget takes back as many lookups.
func (n *dirNodes) forget(id, lookups uint64) {
	n.Lock()
	defer n.Unlock()
	if node := n.dirs[id]; node != nil {
		if node.lookups -= min(lookups, node.lookups); node.lookups == 0 {
			delete(n.dirs, id)
		}
	}
}

// open returns a handle of o, until close.
func (n *dirNodes) open(o *openDir) (fh uint64) {
	n.Lock()
	defer n.Unlock()
	n.last++
	n.handles[dirHandle|n.last] = o
	return dirHandle | n.last
}

// opened returns the directory that a handle is of, nil if there is no such handle.
func (n *dirNodes) opened(fh uint64) *openDir {
	n.Lock()
	defer n.Unlock()
	return n.handles[fh]
}

// close forgets a handle.
func (n *dirNodes) close(fh uint64) {
	n.Lock()
	defer n.Unlock()
	delete(n.handles, fh)
}
