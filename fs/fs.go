//go:build linux

package fs

import (
	"cmp"
	"context"
	"fmt"
	"log"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	fusefs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"dlfs/cache/lockorder"
	"dlfs/fetch"
)

// Mount is a live mount.
type Mount struct {
	fs     *fileSystem
	server *fuse.Server
	point  string // where it was mounted
	id     int    // of the mount in mountinfo, 0 if there is no /proc
	device string // "major:minor" of the filesystem, "" if there is no /proc

	ended       chan struct{} // closed when the kernel has closed the connection
	gone        chan struct{} // closed when the mount is not in the tree any more, or ended
	watching    sync.WaitGroup
	unwatch     chan struct{} // closed when gone is to be waited for no longer
	unwatchOnce sync.Once
}

// fileSystem is what all nodes share.
type fileSystem struct {
	// Constant data
	opts        Options
	log         *slog.Logger
	set         *fetch.Set
	mounted     time.Time
	owner       fuse.Owner
	mask        uint32 // bits that no mode has
	passthrough bool
	root        *dir
	bridge      *bridge
	device      int32 // the descriptor that the kernel asks through

	releasing lockorder.RWMutex[lockorder.Release] // held, shared, while a RELEASE is under way

	refreshing lockorder.Mutex[lockorder.Refresh] // held over a Refresh; no handler takes it
	closing    bool                               // no Refresh any more; guarded by refreshing
	failures   failures                           // why reads and opens failed

	notifying sync.WaitGroup // those who tell the kernel what is gone
	stop      chan struct{}  // closed when they are to end

	tree struct {
		lockorder.Mutex[lockorder.Leaf]
		catalog *catalog        // of the list as it is shown
		dirs    map[string]*dir // by path: the root, and those in a listing that was made
	}
}

// released waits for every RELEASE under way.
func (f *fileSystem) released() {
	f.releasing.Lock()
	defer f.releasing.Unlock()
}

// New mounts the files of set at mountpoint, an existing directory, and returns
// once the mount is live. Root mounts directly; others through fusermount3.
func New(set *fetch.Set, mountpoint string, opts Options) (*Mount, error) {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	opts.MaxRead = cmp.Or(opts.MaxRead, 1<<20)
	if opts.ReadTimeout == 0 {
		opts.ReadTimeout = time.Minute
	}
	point, err := resolve(mountpoint)
	if err != nil {
		return nil, err
	}
	if err := preflight(point, opts.AllowOther); err != nil {
		return nil, err
	}
	root := os.Geteuid() == 0
	f := &fileSystem{opts: opts, log: opts.Log, set: set, mounted: time.Now(),
		owner: fuse.Owner{Uid: uint32(os.Getuid()), Gid: uint32(os.Getgid())}, mask: 0o022, passthrough: root && !opts.NoPassthrough,
		stop: make(chan struct{})}
	if opts.Owner != nil {
		f.owner = fuse.Owner{Uid: opts.Owner.UID, Gid: opts.Owner.GID}
	}
	if opts.Umask != nil {
		f.mask = *opts.Umask & 0o777
	}
	f.show(set.Files())
	never := time.Duration(0)
	fuseLog := log.New(logWriter{opts.Log}, "", 0)
	raw := fusefs.NewNodeFS(f.root, &fusefs.Options{
		NegativeTimeout: &never,
		RootStableAttr:  &fusefs.StableAttr{Ino: 1}, // else stat says 0
		Logger:          fuseLog,
	})
	server, err := fuse.NewServer(newBridge(raw, f), point, &fuse.MountOptions{
		Name:                     "dlfs",
		FsName:                   cmp.Or(opts.Source, "dlfs"),
		Logger:                   fuseLog,
		AllowOther:               opts.AllowOther,
		Options:                  mountOptions(root),
		DirectMountStrict:        root,
		DirectMountFlags:         syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV,
		ExplicitDataCacheControl: true,
		MaxWrite:                 opts.MaxRead, // also the largest READ
		MaxReadAhead:             opts.MaxRead,
		MaxBackground:            64,
		ExtraCapabilities:        fuse.CAP_ASYNC_DIO, // else the kernel sends asynchronous O_DIRECT reads one by one
		PanicHandler:             f.panicked,
	})
	if err != nil {
		return nil, fmt.Errorf("mount %s: %w", point, mountError(err))
	}
	// The mount is live and initialized. WaitMount would do nothing but open a
	// file of it, to have POLL refused early. If a process is killed while it
	// waits for its own mount, it never ends, and programs that use the mount wait for
	// ever, too. So nothing here may ask the mount anything.
	f.device = device()
	go server.Serve() // ends with the mount
	m := &Mount{fs: f, server: server, point: point,
		ended: make(chan struct{}), gone: make(chan struct{}), unwatch: make(chan struct{})}
	m.identify()
	m.watch()
	if root {
		m.raiseReadAhead()
	}
	return m, nil
}

// mountOptions returns the options of the mount. A mount by root has
// ro, nosuid and nodev from DirectMountFlags; another user asks fusermount3 for them.
func mountOptions(root bool) []string {
	if root {
		return []string{"default_permissions"}
	}
	return []string{"default_permissions", "ro", "nosuid", "nodev"}
}

// stamp sets owner and times.
func (f *fileSystem) stamp(a *fuse.Attr, t time.Time) {
	a.Owner = f.owner
	a.SetTimes(&t, &t, &t)
}

// fail logs why a call fails and returns what the application is told, and why
// unless it was interrupted.
//
// The message is the same for every call of that kind, and what tells one from
// others is an attribute: a log can fold what repeats.
func (f *fileSystem) fail(what string, file *fetch.File, err error, more ...any) (code syscall.Errno, why string) {
	code = errno(err)
	if code == syscall.EINTR {
		return code, ""
	}
	if timedOut(err) {
		err = fmt.Errorf("gave up after --read-timeout, %v", f.opts.ReadTimeout)
	}
	f.log.Warn(what+" file failed", append([]any{"name", file.Name(), "err", err, "errno", code}, more...)...)
	return code, err.Error()
}

// panicked has one call fail instead of the mount.
func (f *fileSystem) panicked(v any) fuse.Status {
	f.log.Error("bug: a call panicked", "panic", v, "stack", string(debug.Stack()))
	return fuse.EIO
}

// hidden returns what is found by name at the root but not listed: .dlfs, with the
// reasons of failures, and symbolic links to the control socket and the log, whose own paths are under the mount.
func (f *fileSystem) hidden(ctx context.Context, d *dir, name string) *fusefs.Inode {
	if d == f.root && name == inboxName {
		return d.NewInode(ctx, &inbox{fs: f}, fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino(inboxName, 0)})
	}
	if d != f.root || name != ".dlfs" || f.opts.ControlSocket == "" {
		return nil
	}
	state := d.NewInode(ctx, &fusefs.Inode{}, fusefs.StableAttr{Mode: syscall.S_IFDIR, Ino: ino(".dlfs/", 0)})
	for name, target := range map[string]string{"control.sock": f.opts.ControlSocket, "log": f.opts.LogFile} {
		if target == "" {
			continue
		}
		link := d.NewInode(ctx, &fusefs.MemSymlink{Data: []byte(target)},
			fusefs.StableAttr{Mode: syscall.S_IFLNK, Ino: ino(".dlfs/"+name, 0)})
		state.AddChild(name, link, true)
	}
	reasons := d.NewInode(ctx, &reasons{fs: f}, fusefs.StableAttr{Mode: syscall.S_IFREG, Ino: ino(".dlfs/errors", 0)})
	state.AddChild("errors", reasons, true)
	return state
}

// logWriter takes what go-fuse prints to a log.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug("fuse: " + strings.TrimSpace(string(p)))
	return len(p), nil
}
