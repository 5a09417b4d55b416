package cache

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"dlfs/cache/hosttest"
)

var fullRuns = flag.Int("fullruns", 4, "how often TestFullDisk fills a disk under a process")

// TestFullDisk fills the disk under a process that stores blocks and writes much
// to its index, to the last byte, at a random moment; then it makes room again,
// kills the process, or asks it to end. badger by itself dies of SIGBUS there.
func TestFullDisk(t *testing.T) {
	hosttest.NeedTime(t)
	rng := random(t)
	disk := smallDisk(t, 256)
	dir := filepath.Join(disk, "out")
	filler := filepath.Join(disk, "filler")
	met, refused := 0, 0
	for run := range *fullRuns {
		p := startFiller(t, dir)
		if line := p.line(); line == "refused\n" {
			refused++ // full from the last run, and it says so
			check(t, os.Remove(filler))
			p.ended(t, 3)
			continue
		}
		p.pass(1 + rng.IntN(200))
		check(t, fillUp(filler, rng))
		if met += p.until("full\n"); rng.IntN(2) == 0 {
			check(t, os.Remove(filler))
			p.until("stored\n")
		}
		if rng.IntN(2) == 0 {
			check(t, p.cmd.Process.Kill())
			p.ended(t, -1)
		} else {
			p.stdin.Close()
			p.ended(t, 0)
		}
		if rng.IntN(3) > 0 {
			if err := os.Remove(filler); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Fatal(err)
			}
			checkFilled(t, dir, run)
		}
	}
	if met == 0 {
		t.Error("no process ever met a full disk")
	}
	t.Logf("%d runs, %d refused to start", *fullRuns, refused)
}

// checkFilled checks every block that is there, and that the index was not lost.
func checkFilled(t *testing.T, dir string, run int) {
	t.Helper()
	var log logLines
	s := open(t, dir, Options{Log: log.logger()})
	log.wantNone(t)
	known := 0
	check(t, s.Each(func(name string, b *Blob) error {
		known++
		wantAtLeast(t, acquire(t, b), nil)
		return nil
	}))
	if known == 0 {
		t.Errorf("after run %d nothing is known", run)
	}
	check(t, s.Close())
}

// smallDisk mounts an ext4 filesystem of so many MiB in a file.
func smallDisk(t *testing.T, mib int64) string {
	t.Helper()
	hosttest.Need(t, hosttest.Root())
	point := t.TempDir()
	f, err := os.CreateTemp("/dev/shm", "disk") // in memory: its syncs cost nothing
	if err != nil {
		f, err = os.CreateTemp(t.TempDir(), "disk")
	}
	check(t, err)
	image := f.Name()
	t.Cleanup(func() { os.Remove(image) })
	check(t, errors.Join(f.Truncate(mib<<20), f.Close()))
	for _, args := range [][]string{{"mkfs.ext4", "-q", image}, {"mount", "-o", "loop", image, point}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			hosttest.Need(t, fmt.Errorf("%v: %w: %s", args, err, out))
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", point).CombinedOutput(); err != nil {
			t.Errorf("unmount %s: %s", point, out)
		}
	})
	return point
}

// fillUp writes to path until the disk is full, fast or in small steps.
func fillUp(path string, rng *rand.Rand) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 4096<<rng.IntN(9))
	for {
		if _, err := f.Write(p); errors.Is(err, syscall.ENOSPC) {
			if len(p) == 512 {
				return nil
			}
			p = p[:len(p)/2]
		} else if err != nil {
			return err
		}
	}
}

// fillerProcess is a process that stores blocks.
type fillerProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *bufio.Reader
}

func startFiller(t *testing.T, dir string) *fillerProcess {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], dir)
	cmd.Env = append(os.Environ(), role+"=filler")
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	return &fillerProcess{t, cmd, stdin, bufio.NewReader(stdout)}
}

// line is the next line of the process, "" at its end.
func (p *fillerProcess) line() string {
	line, err := p.out.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		p.t.Fatal(err)
	}
	return line
}

func (p *fillerProcess) pass(lines int) {
	for range lines {
		p.line()
	}
}

// until waits for a line, and returns 1, or 0 if the process ended.
func (p *fillerProcess) until(want string) int {
	for {
		switch line := p.line(); line {
		case want:
			return 1
		case "":
			return 0
		}
	}
}

// ended checks how the process ended; -1 is by our signal.
func (p *fillerProcess) ended(t *testing.T, code int) {
	t.Helper()
	io.Copy(io.Discard, p.out)
	p.cmd.Wait() // its error is in the state
	state := p.cmd.ProcessState
	if ws := state.Sys().(syscall.WaitStatus); state.ExitCode() != code || ws.Signaled() && ws.Signal() != syscall.SIGKILL {
		t.Fatalf("the process ended with %v, want %d", state, code)
	}
}
