package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dlfs/cache/hosttest"
	"dlfs/fetch/origintest"
)

// stalled serves two small files and one that stalls, and writes a list of them.
func stalled(t *testing.T, dir string) (list string, stall *origintest.Fault) {
	t.Helper()
	o := origintest.New()
	base := o.Serve(t)
	for i, name := range []string{"/a", "/b"} {
		o.Put(name, origintest.File{Content: origintest.Content{Seed: uint64(i), Size: 1000}})
	}
	o.Put("/stuck", origintest.File{Content: origintest.Content{Seed: 9, Size: 4 << 20}})
	stall = origintest.StallAfter(70_000).Method("GET").On("/stuck")
	o.Inject(stall)
	list = filepath.Join(dir, "list.txt")
	write(t, list, []byte(fmt.Sprintf("a\t%s/a\nb\t%[1]s/b\nstuck\t%[1]s/stuck\n", base)))
	return list, stall
}

// needRoot skips, or fails, where the test is not root's.
func needRoot(t *testing.T) {
	t.Helper()
	need(t, canMount())
	need(t, hosttest.Root())
}

// mountsOfTest returns what is mounted at a path, the topmost last.
func mountsOfTest(t *testing.T, point string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "findmnt", "-n", "-r", "-o", "FSTYPE", "--mountpoint", point).Output()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// TestEndWithASecondView: the filesystem of a mount lives on in a bind mount, or in
// the mount namespace of another process. dlfs ends nevertheless, and says who still
// sees it.
func TestEndWithASecondView(t *testing.T) {
	needRoot(t)
	ends := map[string]func(t *testing.T, p *served, mnt string){
		"SIGTERM":     func(t *testing.T, p *served, _ string) { p.cmd.Process.Signal(syscall.SIGTERM) },
		"dlfs umount": func(t *testing.T, _ *served, mnt string) { umount(t, mnt) },
		"umount":      func(t *testing.T, _ *served, mnt string) { sh(t, ".", "umount "+mnt) },
	}
	views := map[string]struct {
		make func(t *testing.T, dir, mnt string)
		says string
	}{
		"bind mount": {func(t *testing.T, dir, mnt string) {
			view := filepath.Join(dir, "view")
			sh(t, dir, "mkdir view; mount --bind "+mnt+" view")
			t.Cleanup(func() { unix.Unmount(view, unix.MNT_DETACH) })
		}, "another mount at "},
		"mount namespace": {func(t *testing.T, dir, mnt string) {
			cmd := exec.CommandContext(t.Context(), "unshare", "-m", "--propagation", "private", "sh", "-c", "echo ready; exec sleep 600")
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err == nil {
				_, err = io.ReadFull(out, make([]byte, len("ready\n")))
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
		}, "the mount namespace of sleep ("},
	}
	for view, v := range views {
		for how, end := range ends {
			t.Run(view+", "+how, func(t *testing.T) {
				dir := t.TempDir()
				list, _ := stalled(t, dir)
				mnt, out := filepath.Join(dir, "mnt"), filepath.Join(dir, "out")
				p := serveMount(t, mnt, nil, "mount", list, mnt, "-d", out, "--prefetch=none")
				v.make(t, dir, mnt)
				begin := time.Now()
				end(t, p, mnt)
				p.wait()
				wantWithin(t, "end of dlfs", begin, 2*time.Second)
				if !strings.Contains(p.said(), v.says) {
					t.Errorf("said:\n%s\nwant %q", p.said(), v.says)
				}
				if left := mountsOfTest(t, mnt); len(left) > 0 {
					t.Errorf("still mounted: %q", left)
				}
			})
		}
	}
}

// TestOwnMountAlone: what somebody has mounted over the mount, or in its old place,
// stays; the mount is found where it was moved.
func TestOwnMountAlone(t *testing.T) {
	needRoot(t)
	for _, tt := range []struct {
		name, do    string
		kept, taken []string // where a tmpfs stays, and where nothing is left
		code        int
	}{
		{"mounted over", "mount -t tmpfs none mnt; touch mnt/precious", []string{"mnt"}, nil, exitFailed},
		{"moved", "mkdir new; mount --make-private mnt; mount --move mnt new", nil, []string{"mnt", "new"}, exitInterrupted},
		{"renamed", "mv up up2", nil, []string{"up2/mnt"}, exitInterrupted},
		{"renamed, and another in its place", "mv up up2; mkdir -p up/mnt; mount -t tmpfs none up/mnt; touch up/mnt/precious",
			[]string{"up/mnt"}, []string{"up2/mnt"}, exitInterrupted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			base := t.TempDir()
			t.Cleanup(func() { unmountUnder(base) })
			sh(t, base, "mkdir work; mount -t tmpfs none work; mount --make-private work; mkdir -p work/up/mnt work/mnt")
			dir := filepath.Join(base, "work")
			point := "mnt"
			if strings.HasPrefix(tt.name, "renamed") {
				point = "up/mnt"
			}
			list, _ := stalled(t, dir)
			mnt := filepath.Join(dir, point)
			p := serveMount(t, mnt, nil, "mount", list, mnt, "-d", filepath.Join(dir, "out"), "--prefetch=none")
			sh(t, dir, tt.do)
			p.cmd.Process.Signal(syscall.SIGTERM)
			if code := p.wait(); code != tt.code {
				t.Errorf("exit code %d, want %d; said:\n%s", code, tt.code, p.said())
			}
			for _, place := range tt.kept {
				if _, err := os.Stat(filepath.Join(dir, place, "precious")); err != nil {
					t.Error(err)
				}
			}
			for _, place := range tt.taken {
				if left := mountsOfTest(t, filepath.Join(dir, place)); len(left) > 0 {
					t.Errorf("left at %s: %q", place, left)
				}
			}
			if tt.code == exitFailed && !strings.Contains(p.said(), "tmpfs was mounted over it; unmount both") {
				t.Errorf("said:\n%s", p.said())
			}
		})
	}
}

// TestAbortedMount: a mount whose connection somebody has aborted ends, and leaves
// nothing behind.
func TestAbortedMount(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	list, _ := stalled(t, dir)
	mnt := filepath.Join(dir, "mnt")
	p := serveMount(t, mnt, nil, "mount", list, mnt, "-d", filepath.Join(dir, "out"), "--prefetch=none")
	var st unix.Stat_t
	if err := unix.Stat(mnt, &st); err != nil {
		t.Fatal(err)
	}
	connection := fmt.Sprintf("/sys/fs/fuse/connections/%d", unix.Minor(st.Dev)) // there already under systemd
	sh(t, dir, "unshare -m sh -c '{ [ -d "+connection+" ] || mount -t fusectl none /sys/fs/fuse/connections; } && echo 1 >"+connection+"/abort'")
	if code := p.wait(); code != exitInterrupted || !strings.Contains(p.said(), "aborted") {
		t.Errorf("exit code %d, said:\n%s", code, p.said())
	}
	if left := mountsOfTest(t, mnt); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// terminal opens a terminal of its own for a process, and returns both of its ends.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	need(t, err)
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprint("/dev/pts/", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	need(t, err)
	return master, slave
}

// TestHangup: a terminal that is closed under a mount unmounts it, however many
// signals come with that.
func TestHangup(t *testing.T) {
	need(t, canMount())
	dir := t.TempDir()
	list, _ := stalled(t, dir)
	mnt := filepath.Join(dir, "mnt")
	master, slave := terminal(t)
	cmd := dlfs(t, "mount", list, mnt, "-d", filepath.Join(dir, "out"), "--prefetch=none", "--progress=none")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", mnt).Run() }) // fails if it is gone already
	slave.Close()
	said := make([]byte, 0, 1000)
	for !strings.Contains(string(said), "stop with Ctrl-C") {
		n, err := master.Read(said[len(said):cap(said)])
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		said = said[:len(said)+n]
	}
	if err := master.Close(); err != nil { // SIGHUP by the kernel
		t.Fatal(err)
	}
	for range 3 {
		cmd.Process.Signal(syscall.SIGHUP)
		cmd.Process.Signal(syscall.SIGUSR1)
	}
	cmd.Wait() // its exit code is looked at below
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if left := mountsOfTest(t, mnt); len(left) > 0 {
		t.Errorf("left: %q", left)
	}
}

// TestNohup: under nohup, which has SIGHUP ignored, a terminal that is closed ends nothing, and
// SIGHUP asks for the list.
func TestNohup(t *testing.T) {
	need(t, canMount())
	dir := t.TempDir()
	list, _ := stalled(t, dir)
	mnt, log := filepath.Join(dir, "mnt"), filepath.Join(dir, "log")
	master, slave := terminal(t)
	cmd := dlfs(t, "mount", list, mnt, "-d", filepath.Join(dir, "out"), "--prefetch=none", "--log-file", log)
	cmd.Stdin = slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	signal.Ignore(syscall.SIGHUP) // which those that this process starts inherit
	defer signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	p := startCommand(t, cmd, nil)
	p.awaitMount(t, mnt)
	slave.Close()
	if err := master.Close(); err != nil { // SIGHUP by the kernel
		t.Fatal(err)
	}
	fresh := filepath.Join(mnt, "fresh")
	write(t, list, []byte("fresh\thttp://127.0.0.1:9/fresh\n"))
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C { // a guard against hanging
		if names, err := os.ReadDir(mnt); err == nil && len(names) == 1 && filepath.Join(mnt, names[0].Name()) == fresh {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the list was not read again: %s", p.said())
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	if code := p.wait(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, p.said())
	}
}

// TestBrokenPipe: a mount goes on when nobody reads any more what it prints.
func TestBrokenPipe(t *testing.T) {
	need(t, canMount())
	dir := t.TempDir()
	list, _ := stalled(t, dir)
	mnt := filepath.Join(dir, "mnt")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := dlfs(t, "mount", list, mnt, "-d", filepath.Join(dir, "out"), "--prefetch=none", "--progress=json", "--stats=10ms")
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	said := make([]byte, 0, 4000)
	for !strings.Contains(string(said), "total_bytes") {
		n, err := r.Read(said[len(said):cap(said)])
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		said = said[:len(said)+n]
	}
	r.Close()
	for range 3 { // each prints what differs
		if out, err := dlfs(t, "reload", mnt).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got, err := os.ReadFile(filepath.Join(mnt, "a")); err != nil || len(got) != 1000 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	umount(t, mnt)
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
}

// TestReaderOfAnAnswerLeaves: who takes the first lines of an answer is told no mistake.
func TestReaderOfAnAnswerLeaves(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"fetch", "--help"}, {"--help-all"}, {"version"}, {"help", "limits"}} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := dlfs(t, args...)
		var said strings.Builder
		cmd.Stdout, cmd.Stderr = w, &said
		err = cmd.Run()
		w.Close()
		if err != nil || said.Len() > 0 {
			t.Errorf("%q: %v, said %q", args, err, said.String())
		}
	}
}

// TestOneInterruptEnds: whatever a start waits for, one SIGINT ends it.
func TestOneInterruptEnds(t *testing.T) {
	for name, args := range map[string][]string{
		"list":                 {"fetch", "fifo", "out"},
		"list of a check":      {"check", "fifo"},
		"list of a mount":      {"mount", "fifo", "out"},
		"list of a daemon":     {"mount", "--daemon", "fifo", "out"},
		"standard input":       {"fetch", "-", "out"},
		"checksums":            {"fetch", "list.txt", "out", "--checksums", "fifo"},
		"checksums of a check": {"check", "list.txt", "--checksums", "fifo"},
		"cookies":              {"fetch", "list.txt", "out", "--load-cookies", "fifo"},
		"netrc":                {"fetch", "list.txt", "out", "--netrc-path", "fifo"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			stalled(t, dir)
			fifo := filepath.Join(dir, "fifo")
			if err := unix.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := dlfs(t, args...)
			cmd.Dir = dir
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			p := startCommand(t, cmd, nil)
			if name == "standard input" {
				awaitReader(t, in.(*os.File))
			} else {
				defer awaitOpen(t, fifo).Close()
			}
			begin := time.Now()
			cmd.Process.Signal(syscall.SIGINT)
			if code := p.wait(); code != exitInterrupted {
				t.Errorf("exit code %d, said:\n%s", code, p.said())
			}
			wantWithin(t, "end", begin, 2*time.Second)
		})
	}
}

// awaitOpen opens a FIFO for writing once somebody waits to read it.
func awaitOpen(t *testing.T, fifo string) *os.File {
	t.Helper()
	for {
		f, err := os.OpenFile(fifo, os.O_WRONLY|unix.O_NONBLOCK, 0)
		if err == nil {
			return f
		}
		if !errors.Is(err, unix.ENXIO) || t.Context().Err() != nil {
			t.Fatal(err)
		}
		runtime.Gosched()
	}
}

// awaitReader writes to a pipe, and returns when that was read.
func awaitReader(t *testing.T, pipe *os.File) {
	t.Helper()
	if _, err := pipe.WriteString("# a list that does not end\n"); err != nil {
		t.Fatal(err)
	}
	for t.Context().Err() == nil {
		left, err := unix.IoctlGetInt(int(pipe.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return
		}
		runtime.Gosched()
	}
}

// TestListUnderTheMount: a list that lies in the directory that is mounted over can
// be read again.
func TestListUnderTheMount(t *testing.T) {
	need(t, canMount())
	dir := t.TempDir()
	mnt := filepath.Join(dir, "mnt")
	if err := os.Mkdir(mnt, 0o755); err != nil {
		t.Fatal(err)
	}
	list, _ := stalled(t, mnt)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(mnt, link); err != nil {
		t.Fatal(err)
	}
	serveMount(t, mnt, nil, "mount", list, mnt, "--prefetch=none")
	for _, args := range [][]string{{"reload", mnt}, {"reload", mnt, list}, {"reload", mnt, filepath.Join(link, "list.txt")}} {
		if out, err := dlfs(t, args...).CombinedOutput(); err != nil || string(out) != "list unchanged\n" {
			t.Errorf("%q: %v, %s", args, err, out)
		}
	}
	umount(t, mnt)
}

// TestStateIsRemoved: what is to end when everything is complete ends when the state
// is removed under it.
func TestStateIsRemoved(t *testing.T) {
	hosttest.NeedTime(t)
	for _, cmd := range []string{"fetch", "mount"} {
		t.Run(cmd, func(t *testing.T) {
			dir := t.TempDir()
			list, stall := stalled(t, dir)
			mnt, out := filepath.Join(dir, "mnt"), filepath.Join(dir, "out")
			var p *served
			if cmd == "mount" {
				need(t, canMount())
				p = serveMount(t, mnt, nil, "mount", list, mnt, "-d", out, "--until-complete")
			} else {
				p = startDlfs(t, nil, "fetch", list, out)
			}
			if err := stall.Wait(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			for os.RemoveAll(filepath.Join(out, ".dlfs")) != nil { // dlfs makes files there meanwhile
				if t.Context().Err() != nil {
					t.Fatal("the state cannot be removed")
				}
			}
			want := out + "/.dlfs: the state was removed while it was in use; run the same command again"
			if code := p.wait(); code != exitFailed || !strings.Contains(p.said(), want) {
				t.Errorf("exit code %d, said:\n%s\nwant %q", code, p.said(), want)
			}
			wantWithin(t, "end of dlfs", begin, 4*time.Second)
		})
	}
}
