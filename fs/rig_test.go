//go:build linux

package fs

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"dlfs/cache"
	"dlfs/cache/hosttest"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

const (
	bs     = cache.BlockSize
	rigEnv = "DLFS_FS_TEST_RIG"
	hang   = 2 * time.Minute // nothing here takes so long, on however busy a machine
	nobody = 65534
)

// rigConfig is what a child is told: one mount to serve.
type rigConfig struct {
	MaxSize       int64    // of the store; 0 for no bound
	Pinned        []string // names
	EvictComplete bool
	Dir           string
	Point         string
	Entries       []listfile.Entry
	Prefetch      fetch.Mode
	Run           bool // call Set.Run, with Keep
	ReadTimeout   time.Duration
	NoPassthrough bool
	Owner         *Owner
	Umask         *uint32
	ControlSocket string
	Tries         int // of a request; 2 if 0
}

// TestMain makes this binary the child that serves a mount, too: the process
// that uses a mount is never the one that serves it.
func TestMain(m *testing.M) {
	text := os.Getenv(rigEnv)
	if text == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := serveRig(text); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// rigRequest is a line the child reads. It answers with a rigState.
type rigRequest struct {
	Reload  bool // replace the list by Entries
	Entries []listfile.Entry
	Remount bool   // close everything, and open it again
	Evict   string // a name; its blocks are taken off the disk, as far as they may be
}

// rigState is what a child holds.
type rigState struct{ Goroutines, Descriptors, Nodes int }

// stateOf counts. The nodes are those the kernel knows.
func stateOf(m *Mount) rigState {
	fds, _ := os.ReadDir("/proc/self/fd")
	bridge := reflect.ValueOf(m.fs.root.EmbeddedInode()).Elem().FieldByName("bridge").Elem()
	ids := bridge.FieldByName("ids")
	mu := (*sync.Mutex)(unsafe.Pointer(ids.FieldByName("mu").UnsafeAddr()))
	mu.Lock()
	defer mu.Unlock()
	const inbox = 1
	return rigState{runtime.NumGoroutine(), len(fds), ids.FieldByName("nodes").Len() - inbox + m.fs.bridge.files.len()}
}

// serveRig is the child: a mount that lives until stdin is closed. The process
// that uses the mount is never the one that serves it.
func serveRig(text string) error {
	var c rigConfig
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	s, err := serve(c)
	if err != nil {
		return err
	}
	fmt.Println("live", s.mount.Point())
	requests := json.NewDecoder(os.Stdin)
	for {
		var r rigRequest
		if requests.Decode(&r) != nil {
			break
		}
		switch {
		case r.Reload:
			s.set.Reload(r.Entries)
			s.mount.Refresh()
		case r.Evict != "":
			if _, err := s.set.File(r.Evict).Evict(); err != nil {
				return err
			}
		case r.Remount:
			if _, err := s.close(); err != nil {
				return err
			}
			if s, err = serve(c); err != nil {
				return err
			}
		}
		state, err := json.Marshal(stateOf(s.mount))
		if err != nil {
			return err
		}
		fmt.Println("state", string(state))
	}
	busy, err := s.close()
	if err != nil {
		return err
	}
	fmt.Println("busy:", strings.Join(busy, ", "))
	fmt.Println("done")
	return nil
}

// served is a mount and what is below it.
type served struct {
	store  *cache.Store
	client *origin.Client
	set    *fetch.Set
	mount  *Mount
	ran    chan error
	waited chan struct{}
	cancel context.CancelFunc
}

func serve(c rigConfig) (*served, error) {
	s := &served{ran: make(chan error, 1), waited: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(os.Stdout, nil))
	var err error
	s.store, err = cache.Open(c.Dir, cache.Options{SyncEvery: 20 * time.Millisecond, MinFree: 1, MaxSize: c.MaxSize, Log: log})
	if err != nil {
		return nil, err
	}
	s.client = origin.New(origin.Options{Tries: cmp.Or(c.Tries, 2), RetryWait: 10 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.set = fetch.New(ctx, s.store, s.client, c.Entries, fetch.Options{Prefetch: c.Prefetch, Serve: true, EvictComplete: c.EvictComplete, Log: log})
	for _, name := range c.Pinned {
		s.set.File(name).SetPinned(true)
	}
	s.mount, err = New(s.set, c.Point, Options{Log: log, ReadTimeout: c.ReadTimeout,
		NoPassthrough: c.NoPassthrough, ControlSocket: c.ControlSocket, Owner: c.Owner, Umask: c.Umask})
	if err != nil {
		return nil, err
	}
	go func() { // ends with the mount
		s.mount.Wait()
		fmt.Println("unserved")
		close(s.waited)
	}()
	if c.Run {
		go func() { s.ran <- s.set.Run(ctx) }() // ends with set.Close
	} else {
		s.ran <- nil
	}
	return s, nil
}

func (s *served) close() (busy []string, err error) {
	defer s.cancel()
	s.set.Close()
	<-s.ran
	busy, err = s.mount.Close()
	// Tests of other packages make mount namespaces, which have all mounts in them.
	busy = slices.DeleteFunc(busy, func(holder string) bool { return strings.HasPrefix(holder, "the mount namespace of ") })
	if err != nil {
		return nil, err
	}
	if len(busy) == 0 {
		<-s.waited
	}
	s.client.Close()
	return busy, s.store.Close()
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func needFUSE(tb testing.TB) {
	tb.Helper()
	hosttest.Need(tb, hosttest.FUSE())
}

func needRoot(tb testing.TB) {
	tb.Helper()
	hosttest.Need(tb, hosttest.Root())
}

// rig is an origin in this process and a mount of its files in a child.
type rig struct {
	*origintest.Origin
	tb      testing.TB
	ctx     context.Context // ends with the hang guard
	guard   *time.Timer
	url     string
	config  rigConfig
	content map[string]origintest.Content
	child   *child
	seen    []string // lines of the child that wait went past
	cred    *syscall.Credential
}

// child is a process that serves a mount.
type child struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines chan string   // what it prints; closed at its end
	done  chan struct{} // closed when the process is gone
}

// newRig makes an origin; add fills it and start mounts it.
func newRig(tb testing.TB) *rig {
	tb.Helper()
	needFUSE(tb)
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	guard := time.AfterFunc(hang, cancel)
	tb.Cleanup(func() { guard.Stop() })
	x := &rig{guard: guard, Origin: origintest.New(), tb: tb, ctx: ctx, content: map[string]origintest.Content{}}
	x.url = x.Serve(tb)
	base := tb.TempDir()
	x.config = rigConfig{Dir: filepath.Join(base, "dir"), Point: filepath.Join(base, "mnt"),
		Prefetch: fetch.PrefetchNone, ReadTimeout: 20 * time.Second}
	must(tb, os.Mkdir(x.config.Dir, 0o755))
	must(tb, os.Mkdir(x.config.Point, 0o755))
	return x
}

// add lists a file of size bytes and puts it on the origin.
func (x *rig) add(name string, size int64) origintest.Content {
	c := origintest.Content{Seed: uint64(len(x.config.Entries)) + 1, Size: size}
	x.content[name] = c
	x.Put("/"+name, origintest.File{Content: c})
	x.list(name, "/"+name)
	return c
}

func (x *rig) list(name, path string) {
	x.config.Entries = append(x.config.Entries, listfile.Entry{Name: name, URL: x.url + path})
}

// start mounts, and returns when the mount is live.
func (x *rig) start() {
	x.tb.Helper()
	text, err := json.Marshal(x.config)
	must(x.tb, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), rigEnv+"="+string(text), "GORACE=halt_on_error=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: x.cred}
	stdin, err := cmd.StdinPipe()
	must(x.tb, err)
	out, in, err := os.Pipe()
	must(x.tb, err)
	cmd.Stdout, cmd.Stderr = in, in
	must(x.tb, cmd.Start())
	in.Close()
	c := &child{cmd: cmd, stdin: stdin, lines: make(chan string, 10000), done: make(chan struct{})}
	x.child = c
	point := x.config.Point
	go func() { // ends with the child
		defer out.Close()
		for sc := bufio.NewScanner(out); sc.Scan(); {
			c.lines <- sc.Text()
		}
		close(c.lines)
	}()
	go func() { // ends with the child
		cmd.Wait()
		close(c.done)
	}()
	x.tb.Cleanup(func() {
		cmd.Process.Kill()
		select {
		case <-c.done:
			c.check(x.tb)
		case <-time.After(hang):
			x.tb.Error("the child cannot be killed")
		}
		for ours, _ := mounted(point); ours; ours, _ = mounted(point) {
			if err := unix.Unmount(point, unix.MNT_DETACH); err != nil && Detach(point) != nil {
				x.tb.Error(err)
				break
			}
		}
		if x.tb.Failed() {
			for _, line := range x.seen {
				x.tb.Log("child: ", line)
			}
			for line := range c.lines {
				x.tb.Log("child: ", line)
			}
		}
	})
	x.wait("live")
}

// check fails the test if the child, which is gone, died of a panic, or of a
// data race, which ends it with 66. With 1 it says what failed, to wait.
func (c *child) check(tb testing.TB) {
	tb.Helper()
	ws, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || ws.Exited() && ws.ExitStatus() > 1 || ws.Signaled() && ws.Signal() != syscall.SIGKILL {
		tb.Errorf("the child: %v", c.cmd.ProcessState)
	}
}

// wait returns the child's next line that starts with prefix.
func (x *rig) wait(prefix string) string {
	x.tb.Helper()
	for {
		select {
		case line, ok := <-x.child.lines:
			if !ok {
				x.tb.Fatalf("the child ended without %q", prefix)
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
			x.seen = append(x.seen, line)
			if strings.HasPrefix(line, "failed:") {
				x.tb.Fatal(line)
			}
		case <-x.ctx.Done():
			x.tb.Fatalf("no %q: hang", prefix)
		}
	}
}

// ask sends the child a request.
func (x *rig) ask(r rigRequest) (state rigState) {
	x.tb.Helper()
	must(x.tb, json.NewEncoder(x.child.stdin).Encode(r))
	must(x.tb, json.Unmarshal([]byte(strings.TrimPrefix(x.wait("state "), "state ")), &state))
	return state
}

// reload replaces the list by those of the files added that have these names.
func (x *rig) reload(names ...string) rigState {
	x.tb.Helper()
	r := rigRequest{Reload: true}
	for _, name := range names {
		i := slices.IndexFunc(x.config.Entries, func(e listfile.Entry) bool { return e.Name == name })
		r.Entries = append(r.Entries, x.config.Entries[i])
	}
	return x.ask(r)
}

// stop unmounts and returns whom the mount was busy for.
func (x *rig) stop() string {
	x.tb.Helper()
	x.child.stdin.Close()
	busy := strings.TrimSpace(strings.TrimPrefix(x.wait("busy:"), "busy:"))
	x.wait("done")
	x.join(x.child.done, "end of the child")
	return busy
}

// kill is kill -9.
func (x *rig) kill() {
	x.tb.Helper()
	must(x.tb, x.child.cmd.Process.Kill())
	x.join(x.child.done, "end of the child")
}

// until asks again and again whether something holds, with a pause: each call of a file that
// fails is a line of the child, which stands still when it has written many that the test does
// not read.
func (x *rig) until(what string, holds func() bool) {
	x.tb.Helper()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for !holds() {
		select {
		case <-pause.C:
		case <-x.ctx.Done():
			x.tb.Fatalf("not %s: hang", what)
		}
	}
}

// join waits for done.
func (x *rig) join(done <-chan struct{}, what string) {
	x.tb.Helper()
	select {
	case <-done:
	case <-x.ctx.Done():
		x.tb.Fatalf("no %s: hang", what)
	}
}

// path is a file's in the mount.
func (x *rig) path(name string) string { return filepath.Join(x.config.Point, name) }

func (x *rig) open(name string) *os.File {
	x.tb.Helper()
	f, err := os.Open(x.path(name))
	must(x.tb, err)
	x.tb.Cleanup(func() { f.Close() })
	return f
}

// read reads n bytes at off, or up to the end, and compares them.
func (x *rig) read(f *os.File, name string, off, n int64) {
	x.tb.Helper()
	must(x.tb, pread(f, x.content[name], off, n))
}

// pread reads n bytes at off, or up to the end, and compares them with c.
func pread(f *os.File, c origintest.Content, off, n int64) error {
	p := make([]byte, n)
	k, err := f.ReadAt(p, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if want := max(0, min(n, c.Size-off)); int64(k) != want {
		return fmt.Errorf("[%d +%d): %d bytes, want %d", off, n, k, want)
	}
	if k == 0 {
		return nil
	}
	return c.Check(p[:k], off)
}

// published returns once the mount knows that the file is published.
func (x *rig) published(name string) {
	x.tb.Helper()
	for x.ctx.Err() == nil {
		if state, err := xattr(x.path(name), xattrState); err != nil && !errors.Is(err, syscall.EINTR) {
			x.tb.Fatal(err)
		} else if state == "complete" {
			return
		}
	}
	x.tb.Fatalf("%s is not published: hang", name)
}

// xattr returns an extended attribute.
func xattr(path, name string) (string, error) {
	buf := make([]byte, 4096)
	n, err := unix.Getxattr(path, name, buf)
	return string(buf[:max(n, 0)]), err
}
