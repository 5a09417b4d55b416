package fs

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache"
	"dlfs/fetch"
)

// node is the inode of one version of a file. Another version is another inode,
// so whatever the kernel keeps of this one stays true.
type node struct {
	fusefs.Inode

	// Constant data
	fs   *fileSystem
	file *fetch.File
	blob *cache.Blob

	mu     sync.Mutex
	cached int // open handles that read through the page cache of this inode; guarded by mu
}

var _ = (fusefs.NodeGetattrer)((*node)(nil))

// Getattr describes the version. It never waits for the network.
func (n *node) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	n.attr(&out.Attr)
	out.SetTimeout(n.timeout())
	return 0
}

func (n *node) attr(a *fuse.Attr) {
	v := n.blob.Version()
	a.Mode = syscall.S_IFREG | 0o644
	a.Nlink = 1
	a.Size = uint64(v.Size)
	a.Blocks = uint64(n.blob.Present()+511) / 512 // what du adds up
	a.Blksize = cache.BlockSize
	t := v.ModTime()
	if t.IsZero() {
		t = n.fs.mounted
	}
	n.fs.stamp(a, t)
}

// timeout is for how long what the kernel was told of the node holds.
func (n *node) timeout() time.Duration {
	if n.blob.Published() {
		return forever
	}
	return whileMoves
}

var _ = (fusefs.NodeOpener)((*node)(nil))

// Open decides how the kernel is to read the file, for the life of the handle.
//
// A published file is handed to the kernel to read by itself (passthrough), but
// only while no handle reads this inode through the page cache: the kernel
// refuses to mix the two, with EIO for whoever opens second. A file with a
// missing block never is: passthrough shows holes as zeros.
//
// FOPEN_KEEP_CACHE is always set. Without it an open waits for the pages that a
// stalled read of somebody else holds, beyond the reach of SIGKILL; and since an
// inode's content never changes there is nothing to drop.
func (n *node) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	ctx, cancel := context.WithTimeout(ctx, n.fs.opts.ReadTimeout)
	defer cancel()
	h, err := n.file.Open(ctx)
	if err != nil {
		return nil, 0, n.fs.fail("open", n.file, err)
	}
	if h.Blob() != n.blob {
		h.Close()
		return nil, 0, syscall.ESTALE // the kernel looks the name up again
	}
	if n.mayPass() {
		n.fs.released() // those of cached handles above all
		return &directHandle{handle{node: n, h: h}}, fuse.FOPEN_KEEP_CACHE, 0
	}
	return &cachedHandle{handle{node: n, h: h}}, fuse.FOPEN_KEEP_CACHE, 0
}

// mayPass decides how a handle reads, and counts it if through the page cache.
// Once true it stays so.
func (n *node) mayPass() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cached == 0 && n.blob.Published() && n.fs.passthrough {
		return true
	}
	n.cached++
	return false
}

// timeoutMemory is for how long a read that timed out answers the next one of
// its handle. One failing read of an application comes as two, the kernel's
// read-ahead and then a single page, and must not wait twice.
const timeoutMemory = time.Second

// handle is an open file.
type handle struct {
	node     *node
	h        *fetch.Handle
	timedOut atomic.Int64 // when a read last did, in Unix nanoseconds
}

var _ = (fusefs.FileReader)((*handle)(nil))

// Read returns the bytes asked for, all of them unless the file ends, or an
// error: to the application, a short read in mid-file would be its end.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	if !h.h.Blob().Has(off, int64(len(dest))) {
		if time.Since(time.Unix(0, h.timedOut.Load())) < timeoutMemory {
			return nil, syscall.EIO
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.node.fs.opts.ReadTimeout)
		defer cancel()
	}
	n, err := h.h.ReadAtContext(ctx, dest, off)
	if err != nil && err != io.EOF {
		if timedOut(err) {
			h.timedOut.Store(time.Now().UnixNano())
		}
		return nil, h.node.fs.fail(fmt.Sprintf("read [%d +%d) of", off, len(dest)), h.node.file, err)
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// cachedHandle reads through the page cache of its inode.
type cachedHandle struct{ handle }

var _ = (fusefs.FileReleaser)((*cachedHandle)(nil))

// Release ends the handle. The kernel has let go of the cached mode before it
// sends this.
func (h *cachedHandle) Release(context.Context) syscall.Errno {
	h.node.mu.Lock()
	h.node.cached--
	h.node.mu.Unlock()
	h.h.Close()
	return 0
}

// directHandle is of a published file, which the kernel reads by itself. Where
// it turns out that it cannot, Read serves it.
type directHandle struct{ handle }

var _ = (fusefs.FilePassthroughFder)((*directHandle)(nil))

// PassthroughFd returns the published file. The handle keeps it open.
func (h *directHandle) PassthroughFd() (int, bool) {
	if f := h.h.Blob().File(); f != nil {
		return int(f.Fd()), true
	}
	return 0, false
}

var _ = (fusefs.FileReleaser)((*directHandle)(nil))

// Release ends the handle.
func (h *directHandle) Release(context.Context) syscall.Errno {
	h.h.Close()
	return 0
}
