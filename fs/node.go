//go:build linux

package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache"
	"dlfs/cache/lockorder"
	"dlfs/fetch"
)

// node is the inode of one version of a file. Another version is another inode,
// so what the kernel caches of this one stays true.
type node struct {
	fusefs.Inode

	// Constant data
	fs    *fileSystem
	file  *fetch.File
	local fetch.Copy // as it was when the node was made; see now

	mu     lockorder.Mutex[lockorder.Node]
	cached int // open handles that read through the page cache of this inode; guarded by mu
}

// growing reports whether the node is of a file of unknown length. It stays so:
// when that is known, another node has the file.
func (n *node) growing() bool {
	_, is := n.local.(*cache.Stream)
	return is
}

// now returns what there is of the node's version. Of a file that is at rest the node was made
// from an outline, and a handle may have been opened since.
func (n *node) now() fetch.Copy {
	if o, resting := n.local.(*cache.Outline); resting {
		if blob, ok := n.file.Known().(*cache.Blob); ok && blob.Generation() == o.Generation() {
			return blob
		}
	}
	return n.local
}

// stable is what tells the node from others. What a growing file becomes may be
// of the same generation: it keeps the inode number then, which programs that follow
// the name compare, but is another inode to the kernel.
func (n *node) stable() fusefs.StableAttr {
	attr := fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: ino(n.file.Name(), n.local.Generation())}
	if n.growing() {
		attr.Gen = 1
	}
	return attr
}

var _ = (fusefs.NodeGetattrer)((*node)(nil))

// Getattr describes the version. It never waits for the network.
func (n *node) Getattr(_ context.Context, _ fusefs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	if _, is := n.local.(lost); is {
		return syscall.ESTALE
	}
	n.attr(&out.Attr)
	out.SetTimeout(n.timeout())
	return 0
}

// attr fills in what stat shows. Blocks counts what is present, so that du adds up what is on
// disk.
func (n *node) attr(a *fuse.Attr) {
	a.Mode = syscall.S_IFREG | 0o666&^n.fs.mask
	a.Nlink = 1
	a.Size = uint64(n.size())
	a.Blocks = uint64(n.now().Present()+511) / 512 // what du adds up
	a.Blksize = cache.BlockSize
	t := n.local.ModTime()
	if t.IsZero() {
		t = n.fs.mounted
	}
	n.fs.stamp(a, t)
}

// size is what the kernel is told. While a file grows it is whole pages: where
// the kernel reads through its page cache nevertheless, as sendfile(2) and a
// private mapping have it do, it keeps the last page as it first saw it.
func (n *node) size() int64 {
	if !n.growing() {
		return n.local.Version().Size
	}
	ended := n.file.Blob() != nil // and nothing is added from here on
	size := n.local.Version().Size
	if !ended {
		size -= size % int64(os.Getpagesize())
	}
	return size
}

// timeout is for how long what the kernel was told of the node holds.
func (n *node) timeout() time.Duration {
	_, fails := n.local.(unreached)
	switch {
	case n.growing() || fails:
		return 0
	case n.now().Published() && !n.fs.set.EvictsComplete():
		return forever
	}
	return whileMoves
}

var _ = (fusefs.NodeOpener)((*node)(nil))

// Open decides how the kernel is to read the file, for the life of the handle.
//
// A published file is handed to the kernel to read by itself (passthrough), and in a mount
// with a bound a complete one, which is then held until the handle is closed. But that is so
// only while no handle reads this inode through the page cache: the kernel
// refuses to mix the two, and the second open gets EIO. A file with a missing
// block is never handed over: passthrough shows holes as zeros.
//
// FOPEN_KEEP_CACHE is always set. Without it an open waits for the pages that a
// stalled read of another program holds, beyond the reach of SIGKILL; and since an
// inode's content never changes there is nothing to drop.
//
// A growing file is read past the page cache, which would end it at a size that
// is out of date. An unreached file gets another attempt: if that succeeds, the file is
// another inode, which the kernel looks up. It gets none if the lookup before has just waited
// for the read timeout.
func (n *node) Open(ctx context.Context, flags uint32) (fusefs.FileHandle, uint32, syscall.Errno) {
	if flags&syscall.O_ACCMODE != syscall.O_RDONLY {
		return nil, 0, syscall.EROFS
	}
	if _, justNow := n.fs.failures.timedOut(n.file); justNow && n.file.Known() == nil {
		return nil, 0, syscall.EIO
	}
	ctx, cancel := n.fs.patient(ctx)
	defer cancel()
	h, err := n.file.Open(ctx)
	if err != nil {
		return nil, 0, n.fail("open", err)
	}
	if h.Copy() != n.now() {
		h.Close()
		return nil, 0, syscall.ESTALE // the kernel looks the name up again
	}
	n.fs.opened(n.file)
	if n.growing() {
		return &handle{node: n, h: h}, fuse.FOPEN_DIRECT_IO, 0
	}
	if n.mayPass(h) {
		n.fs.released() // those of cached handles above all
		return &directHandle{handle{node: n, h: h}}, fuse.FOPEN_KEEP_CACHE, 0
	}
	return &cachedHandle{handle{node: n, h: h, paged: flags&syscall.O_DIRECT == 0}}, fuse.FOPEN_KEEP_CACHE, 0
}

// fail is fileSystem.fail, and keeps the reason for user.dlfs.error.
func (n *node) fail(what string, err error, more ...any) syscall.Errno {
	code, why := n.fs.fail(what, n.file, err, more...)
	if why != "" {
		n.fs.failures.note(n.file, why)
	}
	return code
}

// mayPass decides how a handle reads, and counts it if through the page cache.
// While a handle is open for which it was true, it stays so.
func (n *node) mayPass(h *fetch.Handle) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cached == 0 && n.fs.passthrough && h.Passes() {
		return true
	}
	n.cached++
	return false
}

var _ = (fusefs.NodeFsyncer)((*node)(nil))

// Fsync has nothing to do, since nothing is written here, and succeeds: some
// programs call fsync(2) also on files that they only read.
func (n *node) Fsync(context.Context, fusefs.FileHandle, uint32) syscall.Errno { return 0 }

// timeoutMemory is for how long a read that timed out answers the next one of
// its handle, and a lookup the next one of its name. One failing read of an
// application comes as two, the kernel's read-ahead and then a single page, and
// must not wait twice.
const timeoutMemory = time.Second

// handle is an open file, read past the page cache.
type handle struct {
	node  *node
	h     *fetch.Handle
	paged bool         // the kernel asks for more than the application does, and page by page if it must
	until atomic.Int64 // reads that would wait fail, in nanoseconds since the mount began: clocks are set at times
}

var _ = (fusefs.FileReader)((*handle)(nil))

// Read returns the bytes asked for, all of them unless the file ends, or an
// error: to the application, a short read in mid-file would be its end. Of a
// growing file it is not, and only nothing at all is.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	waits := !h.h.Has(off, int64(len(dest)))
	if waits {
		if time.Since(h.node.fs.mounted) < time.Duration(h.until.Load()) {
			return nil, syscall.EIO
		}
		var cancel context.CancelFunc
		ctx, cancel = h.node.fs.patient(ctx)
		defer cancel()
		ctx, cancel = h.pageByPage(ctx, off, len(dest))
		defer cancel()
	}
	n, err := h.h.ReadAt(ctx, dest, off)
	if err != nil && context.Cause(ctx) == errPageByPage {
		return nil, syscall.EIO // the application does not see it: the kernel asks again page by page
	}
	if err != nil && err != io.EOF {
		if timedOut(err) {
			h.until.Store(int64(time.Since(h.node.fs.mounted) + timeoutMemory))
		}
		return nil, h.node.fail("read of", err, "range", fmt.Sprintf("[%d +%d)", off, len(dest)))
	}
	if waits {
		h.node.fs.failures.note(h.node.file, "")
	}
	return fuse.ReadResultData(dest[:n]), 0
}

// What an application reads and what the kernel adds to it come as one request.
// When the first page is there and others stay out for pagePatience, the request
// fails: the kernel then asks for the page that is read alone, so that what is
// present does not wait for a network that is dead.
const (
	pageSize     = 4096
	pagePatience = time.Second
)

var errPageByPage = errors.New("first page is present; ask for one alone")

// pageByPage returns a context that ends with errPageByPage when a read of
// [off +n) had better be done in pages.
func (h *handle) pageByPage(ctx context.Context, off int64, n int) (context.Context, context.CancelFunc) {
	if !h.paged || n <= pageSize {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() { // ends with the read, which waits for it
		defer close(done)
		tick := time.NewTicker(pagePatience)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if h.h.Has(off, pageSize) {
					cancel(errPageByPage)
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

var _ = (fusefs.FileReleaser)((*handle)(nil))

// Release ends the handle.
func (h *handle) Release(context.Context) syscall.Errno {
	h.h.Close()
	return 0
}

// cachedHandle reads through the page cache of its inode.
type cachedHandle struct{ handle }

// Release ends the handle. The kernel has let go of the cached mode before it
// sends this.
func (h *cachedHandle) Release(ctx context.Context) syscall.Errno {
	h.node.mu.Lock()
	h.node.cached--
	h.node.mu.Unlock()
	return h.handle.Release(ctx)
}

// directHandle is of a published or held file, which the kernel reads by itself. Where
// it turns out that it cannot, Read serves it.
type directHandle struct{ handle }

var _ = (fusefs.FilePassthroughFder)((*directHandle)(nil))

// PassthroughFd returns the file. The handle keeps it open.
func (h *directHandle) PassthroughFd() (int, bool) {
	if f := h.h.File(); f != nil {
		return int(f.Fd()), true
	}
	return 0, false
}
