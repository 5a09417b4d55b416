package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dlfs/cache/hosttest"

	"golang.org/x/sys/unix"
)

// hang is how long nothing here takes.
const hang = 60 * time.Second

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
	need(t, hosttest.Root())
	_, err := exec.LookPath("ip")
	need(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), hang)
	t.Cleanup(cancel)
	name := fmt.Sprintf("dlfs-%d-%d", os.Getpid(), links.Add(1))
	l := &link{t: t, ctx: ctx, near: name + "-near", far: name + "-far", dir: t.TempDir(), sizes: sizes}
	for _, ns := range []string{l.near, l.far} {
		if out, err := exec.CommandContext(ctx, "ip", "netns", "add", ns).CombinedOutput(); err != nil {
			need(t, fmt.Errorf("no network namespace can be made: %w: %s", err, out))
		}
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
		return strings.Contains(l.log(), "stop with Ctrl-C")
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
