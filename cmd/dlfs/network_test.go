package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// hang is how long nothing here takes.
const hang = 60 * time.Second

// serveOrigin is this binary as an origin: ADDR RATE SIZE... serves files /0, /1,
// … of these sizes, each answer at RATE bytes a second.
func serveOrigin() {
	o := origintest.New()
	number := func(s string) int64 {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	o.Inject(origintest.Throttle(number(os.Args[2])).Method("GET"))
	for i, size := range os.Args[3:] {
		o.Put(fmt.Sprint("/", i), origintest.File{Content: contentOf(i, number(size))})
	}
	fmt.Fprintln(os.Stderr, http.ListenAndServe(os.Args[1], o))
	os.Exit(1)
}

func contentOf(i int, size int64) origintest.Content {
	return origintest.Content{Seed: uint64(i + 1), Size: size}
}

// link is two network namespaces joined by a cable: dlfs is at one end, the
// origin and a name server at the other.
type link struct {
	t      *testing.T
	ctx    context.Context // ends when the test hangs
	near   string          // the namespace of dlfs
	far    string          // of the origin
	dir    string
	sizes  []int64
	origin *exec.Cmd
	deaf   atomic.Int32 // whose names the name server does not answer
}

const (
	nobody   = iota
	newcomer // all but 0.test and 1.test
	everyone
)

const (
	nearAddr = "10.77.0.1"
	farAddr  = "10.77.0.2"
)

var links atomic.Int64

// newLink lays a cable to an origin of files of these sizes.
func newLink(t *testing.T, rate int64, sizes ...int64) *link {
	t.Helper()
	need(t, canMount())
	if os.Geteuid() != 0 {
		need(t, errors.New("only root makes network namespaces"))
	}
	_, err := exec.LookPath("ip")
	need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	t.Cleanup(cancel)
	name := fmt.Sprintf("dlfs-%d-%d", os.Getpid(), links.Add(1))
	l := &link{t: t, ctx: ctx, near: name + "-near", far: name + "-far", dir: t.TempDir(), sizes: sizes}
	for _, ns := range []string{l.near, l.far} {
		l.ip("netns", "add", ns)
		t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() }) // and the cable with it
	}
	l.ip("link", "add", "cable", "netns", l.near, "type", "veth", "peer", "name", "cable", "netns", l.far)
	for ns, addr := range map[string]string{l.near: nearAddr, l.far: farAddr} {
		l.ip("-n", ns, "addr", "add", addr+"/24", "dev", "cable")
		l.ip("-n", ns, "link", "set", "cable", "up")
		l.ip("-n", ns, "link", "set", "lo", "up")
	}
	args := []string{farAddr + ":80", fmt.Sprint(rate)}
	for _, size := range sizes {
		args = append(args, fmt.Sprint(size))
	}
	l.origin = l.command("dlfs-test-origin", args...)
	l.start(l.far, l.origin)
	l.serveNames()
	l.until("the origin answers", func() bool {
		var conn net.Conn
		l.in(l.far, func() (err error) {
			conn, err = net.DialTimeout("tcp", farAddr+":80", time.Second)
			return err
		})
		if conn != nil {
			conn.Close()
		}
		return conn != nil
	})
	return l
}

func (l *link) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.CommandContext(l.ctx, "ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %v: %v: %s", args, err, out)
	}
}

// in calls f on a thread that is in the namespace ns. What f opens stays there.
func (l *link) in(ns string, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	home, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return err
	}
	defer home.Close()
	there, err := os.Open("/run/netns/" + ns)
	if err != nil {
		return err
	}
	defer there.Close()
	if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
		return err
	}
	err = f()
	if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread is lost in there
	}
	return err
}

// command is this binary under another name.
func (l *link) command(name string, args ...string) *exec.Cmd {
	l.t.Helper()
	cmd := dlfs(l.t)
	cmd.Args = append([]string{name}, args...)
	return cmd
}

// start starts cmd in a namespace. It is killed at the end.
func (l *link) start(ns string, cmd *exec.Cmd) {
	l.t.Helper()
	if err := l.in(ns, cmd.Start); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // it says that it was killed, or that it was waited for
	})
}

// serveNames answers every question for an address with that of the origin,
// unless it is deaf to it.
func (l *link) serveNames() {
	var c net.PacketConn
	if err := l.in(l.far, func() (err error) {
		c, err = net.ListenPacket("udp", farAddr+":53")
		return err
	}); err != nil {
		l.t.Fatal(err)
	}
	ended := make(chan struct{})
	l.t.Cleanup(func() {
		c.Close()
		<-ended
	})
	go func() { // ends with the socket
		defer close(ended)
		p := make([]byte, 512)
		for {
			n, from, err := c.ReadFrom(p)
			if err != nil {
				return
			}
			deaf := l.deaf.Load()
			if deaf == nobody || deaf == newcomer && p[13] < '2' { // the first letter of the name
				c.WriteTo(answerTo(p[:n]), from)
			}
		}
	}()
}

// answerTo answers a question of the DNS.
func answerTo(question []byte) []byte {
	end := 12 // the header
	for question[end] != 0 {
		end += 1 + int(question[end])
	}
	end += 5
	answer := append([]byte(nil), question[:end]...) // without what EDNS adds
	copy(answer[2:], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0})
	if binary.BigEndian.Uint16(answer[end-4:]) != 1 { // not A
		return answer
	}
	answer[7] = 1
	answer = append(answer, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 1, 0, 4)
	return append(answer, net.ParseIP(farAddr).To4()...)
}

// until polls for a thing of another process.
func (l *link) until(what string, is func() bool) {
	l.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !is() {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			l.t.Fatalf("not within %v: %s", hang, what)
		}
	}
}

// await returns what done gives, once it does.
func await[T any](l *link, what string, done <-chan T) (v T) {
	l.t.Helper()
	select {
	case v = <-done:
	case <-l.ctx.Done():
		l.t.Fatalf("hang: %s", what)
	}
	return v
}

// list lists the files, the i-th on host i.test.
func (l *link) list() string {
	var b strings.Builder
	for i := range l.sizes {
		fmt.Fprintf(&b, "%d\thttp://%d.test/%d\n", i, i, i)
	}
	path := filepath.Join(l.dir, "list.txt")
	write(l.t, path, []byte(b.String()))
	write(l.t, filepath.Join(l.dir, "resolv.conf"), []byte("nameserver "+farAddr+"\noptions timeout:1 attempts:1\n"))
	return path
}

// dlfs starts dlfs at the near end, in a mount namespace of its own where the
// name server is the link's. It logs to dir/log.
func (l *link) dlfs(args ...string) (cmd *exec.Cmd, ended <-chan error) {
	l.t.Helper()
	self, err := os.Executable()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd = exec.CommandContext(l.t.Context(), "bash", "-c", `
		mount --bind "$0/resolv.conf" /etc/resolv.conf && exec -a dlfs "$@"`, l.dir, self)
	cmd.Args = append(cmd.Args, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	log, err := os.OpenFile(filepath.Join(l.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		l.t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := l.in(l.near, cmd.Start); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error, 1)
	exited := make(chan struct{})
	go func() { // ends with the process
		done <- cmd.Wait()
		close(exited)
	}()
	l.t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if l.t.Failed() {
			l.t.Logf("log of dlfs:\n%s", l.log())
		}
	})
	return cmd, done
}

func (l *link) log() string {
	b, err := os.ReadFile(filepath.Join(l.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// mount mounts the list, and returns where its root is to be found by this
// process, which is in another mount namespace.
func (l *link) mount(args ...string) (cmd *exec.Cmd, ended <-chan error, root string) {
	l.t.Helper()
	mnt := filepath.Join(l.dir, "mnt")
	cmd, ended = l.dlfs(append([]string{"mount", l.list(), mnt, "--prefetch=none", "--timeout=2s",
		"--connect-timeout=1s", "--retry-wait=100ms", "--tries=0"}, args...)...)
	l.until("the mount is live", func() bool {
		if len(ended) > 0 {
			l.t.Fatalf("dlfs ended: %s", l.log())
		}
		return strings.Contains(l.log(), "files at ")
	})
	return cmd, ended, fmt.Sprintf("/proc/%d/root%s", cmd.Process.Pid, mnt)
}

// read opens file i, reads n bytes at off, and compares them.
func (l *link) read(root string, i int, off, n int64) error {
	f, err := os.Open(filepath.Join(root, fmt.Sprint(i)))
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, n)
	if _, err := f.ReadAt(p, off); err != nil && err != io.EOF {
		return err
	}
	return contentOf(i, l.sizes[i]).Check(p, off)
}

// outages are ways a network dies. Somebody gets stuck in file 1, of which some
// is there; or in one whose host nobody has found yet.
var outages = []struct {
	name      string
	stuck     int    // the file to get stuck with
	off       int64  // and where in it
	tailed    string // the file that somebody gets interrupted in: the kernel has two first lookups of a name wait in line
	cut, heal func(l *link)
}{
	{"packets vanish", 1, 60 << 20, "1",
		func(l *link) { l.ip("-n", l.far, "route", "add", "blackhole", nearAddr+"/32") },
		func(l *link) { l.ip("-n", l.far, "route", "del", "blackhole", nearAddr+"/32") }},
	{"cable is pulled", 1, 60 << 20, "1",
		func(l *link) { l.ip("-n", l.far, "link", "set", "cable", "down") },
		func(l *link) { l.ip("-n", l.far, "link", "set", "cable", "up") }},
	{"server is frozen", 1, 60 << 20, "1",
		func(l *link) { l.origin.Process.Signal(syscall.SIGSTOP) },
		func(l *link) { l.origin.Process.Signal(syscall.SIGCONT) }},
	{"names are not answered", 2, 0, "4",
		func(l *link) { l.deaf.Store(everyone) },
		func(*link) {}},
}

// TestDeadNetwork has the network die under readers: nothing outlives the read
// timeout, what needs no network does not wait for it, and all goes on when the
// network does. Then it dies again, and dlfs is to end.
func TestDeadNetwork(t *testing.T) {
	for _, o := range outages {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			// What ends by the read timeout alone is to be told from what is slow
			// for another reason.
			const size, present, readTimeout = 64 << 20, 1 << 20, busyMachine + 4*time.Second
			l := newLink(t, 1<<28, size, size, 1<<20, 1<<20, 1<<20)
			l.deaf.Store(newcomer)
			cmd, ended, root := l.mount(fmt.Sprint("--read-timeout=", readTimeout))
			for _, i := range []int{0, 1} {
				if err := l.read(root, i, 0, present); err != nil {
					t.Fatal(err)
				}
			}
			o.cut(l)
			begin := time.Now()
			stuck := make(chan error, 1)
			go func() { stuck <- l.read(root, o.stuck, o.off, 100) }() // bounded by the read timeout
			first := make(chan error, 1)
			go func() { // bounded, too
				_, err := os.Stat(filepath.Join(root, "3"))
				first <- err
			}()
			interrupted := exec.CommandContext(l.ctx, "tail", "-c", "100", filepath.Join(root, o.tailed))
			if err := interrupted.Start(); err != nil {
				t.Fatal(err)
			}
			waitsForMount(l, interrupted.Process.Pid)
			if err := l.offline(root, present); err != nil {
				t.Error(err)
			}
			t.Logf("answered offline after %v", time.Since(begin))
			interrupted.Process.Signal(os.Interrupt)
			asked := time.Now()
			if err := interrupted.Wait(); err == nil {
				t.Error("tail ended well without a network")
			}
			t.Logf("Ctrl-C freed a reader after %v", time.Since(asked))
			if len(stuck) > 0 || len(first) > 0 {
				t.Errorf("what needs no network, and a Ctrl-C, took as long as --read-timeout")
			}
			for what, done := range map[string]chan error{"read": stuck, "stat": first} {
				if err := await(l, what, done); !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: %v", what, err)
				}
				wantWithin(t, "failed "+what, begin, readTimeout)
			}
			l.told(root, o.stuck, fmt.Sprint("gave up after --read-timeout, ", readTimeout))

			o.heal(l)
			l.deaf.Store(nobody)
			back := time.Now()
			l.until("reads go on", func() bool { return l.read(root, o.stuck, o.off, 100) == nil })
			t.Logf("went on %v after the network", time.Since(back))
			if err := l.read(root, 2, 0, 1<<20); err != nil {
				t.Error(err)
			}

			o.cut(l)
			defer o.heal(l)
			go func() { stuck <- l.read(root, 1, 40<<20, 100) }() // ends with dlfs
			if o.stuck == 1 {
				tail := exec.CommandContext(l.ctx, "dd", "bs=4096", "skip=12000", "count=1", "status=none", "if="+filepath.Join(root, "1"))
				if err := tail.Start(); err != nil {
					t.Fatal(err)
				}
				defer tail.Wait() // it fails when dlfs ends
				waitsForMount(l, tail.Process.Pid)
			}
			asked = time.Now()
			cmd.Process.Signal(syscall.SIGTERM)
			if err := await(l, "end of dlfs", ended); exitCode(err) != exitInterrupted {
				t.Errorf("dlfs ended with %v", err)
			}
			wantWithin(t, "end by SIGTERM", asked, 2*time.Second)
			await(l, "end of a read", stuck)
		})
	}
}

// offline does all that needs no network.
func (l *link) offline(root string, present int64) error {
	entries, err := os.ReadDir(root)
	if err != nil || len(entries) != len(l.sizes) {
		return fmt.Errorf("listing: %v, %w", entries, err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil || fs.Blocks == 0 {
		return fmt.Errorf("statfs: %+v, %w", fs, err)
	}
	for i := range 2 {
		path := filepath.Join(root, fmt.Sprint(i))
		var st unix.Statx_t
		err := unix.Statx(unix.AT_FDCWD, path, unix.AT_STATX_FORCE_SYNC, unix.STATX_ALL, &st)
		if err != nil || int64(st.Size) != l.sizes[i] {
			return fmt.Errorf("stat: size %d, %w", st.Size, err)
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil { // have dlfs asked
			return err
		}
		if err := l.read(root, i, 0, present-1); err != nil {
			return fmt.Errorf("read of what is there: %w", err)
		}
		if _, err := unix.Getxattr(path, "user.dlfs.state", make([]byte, 100)); err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	return nil
}

// told checks that the log says why a read of file i failed, and so does its
// attribute if it is a file that somebody has found.
func (l *link) told(root string, i int, why string) {
	l.t.Helper()
	if log := l.log(); !strings.Contains(log, why) {
		l.t.Errorf("the log does not say: %s", why)
	}
	if i != 1 {
		return
	}
	p := make([]byte, 1000)
	n, err := unix.Getxattr(filepath.Join(root, "1"), "user.dlfs.error", p)
	if err != nil || string(p[:n]) != why {
		l.t.Errorf("user.dlfs.error is %q, want %q: %v", p[:max(n, 0)], why, err)
	}
}

// waitsForMount returns once a process waits in the kernel for a FUSE answer.
func waitsForMount(l *link, pid int) {
	l.t.Helper()
	l.until("the process waits", func() bool {
		where, err := os.ReadFile(fmt.Sprintf("/proc/%d/wchan", pid))
		if err != nil {
			l.t.Fatal(err)
		}
		for _, s := range []string{"fuse", "folio", "page", "request_wait"} {
			if strings.Contains(string(where), s) {
				return true
			}
		}
		return false
	})
}

// TestFlappingLink fetches over a cable that is pulled and put back, again and
// again while bytes come.
func TestFlappingLink(t *testing.T) {
	t.Parallel()
	const flaps = 5
	l := newLink(t, 1<<20, 9<<20, 3<<20)
	dir := filepath.Join(l.dir, "out")
	cmd, ended := l.dlfs("fetch", l.list(), dir, "--timeout=2s", "--connect-timeout=1s", "--retry-wait=100ms")
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for seen, n := int64(0), 0; n < flaps; n++ {
		l.until("more bytes come", func() bool {
			s, err := askStatus(l.ctx, dir)
			more := err == nil && s.PresentBytes > seen
			if more {
				seen = s.PresentBytes
			}
			return more || len(ended) > 0
		})
		if len(ended) > 0 {
			t.Fatalf("fetch ended after %d flaps", n)
		}
		l.ip("-n", l.far, "link", "set", "cable", "down")
		for range 1 + n%3 {
			<-tick.C
		}
		l.ip("-n", l.far, "link", "set", "cable", "up")
	}
	if err := await(l, "fetch", ended); err != nil {
		t.Fatalf("fetch: %v", err)
	}
	if cmd.ProcessState.ExitCode() != 0 {
		t.Error(cmd.ProcessState)
	}
	for i, size := range l.sizes {
		b, err := os.ReadFile(filepath.Join(dir, fmt.Sprint(i)))
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b)) != size {
			t.Errorf("file %d has %d bytes, want %d", i, len(b), size)
		} else if err := contentOf(i, size).Check(b, 0); err != nil {
			t.Errorf("file %d: %v", i, err)
		}
	}
}
