package main

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/fetch/origintest"
)

// notified is what a service manager would hear.
type notified struct {
	socket string
	conn   *net.UnixConn
}

func listenNotify(t *testing.T) *notified {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &notified{socket, conn}
}

// until returns what comes up to a message with that line.
func (n *notified) until(t *testing.T, line string) (heard []string) {
	t.Helper()
	buf := make([]byte, 4096)
	n.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		k, err := n.conn.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %s: %v; heard %q", line, err, heard)
		}
		heard = append(heard, string(buf[:k]))
		if slices.Contains(strings.Split(string(buf[:k]), "\n"), line) {
			return heard
		}
	}
}

// TestSupervised: a supervisor hears that a mount is live, not before it is, how far it
// is, that it answers, and that it stops.
func TestSupervised(t *testing.T) {
	need(t, canMount())
	o := origintest.New()
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 200_000}})
	dir := t.TempDir()
	list, mnt := filepath.Join(dir, "list"), filepath.Join(dir, "mnt")
	write(t, list, []byte("f\t"+o.Serve(t)+"/f\n"))
	n := listenNotify(t)
	p := startDlfs(t, []string{"NOTIFY_SOCKET=" + n.socket, "WATCHDOG_USEC=200000"}, "mount", list, mnt)
	if heard := n.until(t, "READY=1"); heard[0] != "STATUS=reading the list" {
		t.Errorf("heard %q first", heard)
	}
	p.awaitMount(t, mnt)
	var st unix.Statfs_t
	if err := unix.Statfs(mnt, &st); err != nil || st.Type != unix.FUSE_SUPER_MAGIC {
		t.Errorf("ready, and the mount is of type %#x, %v", st.Type, err)
	}
	heard := n.until(t, "WATCHDOG=1")
	heard = append(heard, n.until(t, "WATCHDOG=1")...)
	if !slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "STATUS=") && strings.Contains(s, "/1 files") }) {
		t.Errorf("heard no status in %q", heard)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	n.until(t, "STOPPING=1")
	p.wait()
}

// TestSupervisedFetch: a batch job says as much.
func TestSupervisedFetch(t *testing.T) {
	o := origintest.New()
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 200_000}})
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	write(t, list, []byte("f\t"+o.Serve(t)+"/f\n"))
	n := listenNotify(t)
	p := startDlfs(t, []string{"NOTIFY_SOCKET=" + n.socket}, "fetch", list, filepath.Join(dir, "out"))
	n.until(t, "READY=1")
	n.until(t, "STOPPING=1")
	if code := p.wait(); code != exitOK {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}

// TestAbortedBySupervisor: a process that the watchdog ends dies of the signal. Exit code 2, as
// of other Go programs, would be a wrong command line, and the service would stay down.
func TestAbortedBySupervisor(t *testing.T) {
	o := origintest.New()
	release := make(chan struct{})
	defer close(release)
	o.Put("/f", origintest.File{Content: origintest.Content{Size: 200_000}})
	o.Inject(origintest.HoldAfter(10, release))
	dir := t.TempDir()
	list := filepath.Join(dir, "list")
	write(t, list, []byte("f\t"+o.Serve(t)+"/f\n"))
	n := listenNotify(t)
	p := startDlfs(t, []string{"NOTIFY_SOCKET=" + n.socket}, "fetch", list, filepath.Join(dir, "out"))
	n.until(t, "READY=1")
	if err := p.cmd.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	p.wait()
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGABRT {
		t.Errorf("ended with %v", p.cmd.ProcessState)
	}
}

// heardConn keeps what is written.
type heardConn struct {
	net.Conn
	mu    sync.Mutex
	heard []string
}

func (c *heardConn) SetWriteDeadline(time.Time) error { return nil }

func (c *heardConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.heard = append(c.heard, string(p))
	return len(p), nil
}

func (c *heardConn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.heard)
}

// TestWatchdogHearsAnswersOnly: an error and a question without an answer are no signs of
// life, and no second question is asked before the first is answered.
func TestWatchdogHearsAnswersOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &heardConn{}
		s := supervisor{conn: c, watchdog: 10 * time.Second}
		ctx, cancel := context.WithCancel(t.Context())
		var asked atomic.Int64
		answer := make(chan error)
		ended := make(chan struct{})
		go func() { // ends with ctx, which is waited for below
			defer close(ended)
			s.feed(ctx, func(ctx context.Context) error {
				asked.Add(1)
				select {
				case err := <-answer:
					return err
				case <-ctx.Done():
					return ctx.Err()
				}
			})
		}()
		time.Sleep(time.Hour) // fake
		if asked.Load() != 1 || c.count() != 0 {
			t.Errorf("asked %d times without an answer, and said %d things", asked.Load(), c.count())
		}
		answer <- fmt.Errorf("no")
		time.Sleep(4 * time.Second)
		if c.count() != 0 {
			t.Errorf("after an error: %d things were said", c.count())
		}
		time.Sleep(4 * time.Second) // it has asked again
		answer <- nil
		synctest.Wait()
		if c.count() != 1 || c.heard[0] != "WATCHDOG=1" {
			t.Errorf("after an answer: %q", c.heard)
		}
		cancel()
		<-ended
	})
}
