package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// command returns a command with a plain environment: no proxy, no
// configuration of the user who runs this. It ends with ctx, and with this process.
func command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "LC_ALL=C"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// shape changes how a command runs: where, or as whom. A nil one changes
// nothing.
type shape func(*exec.Cmd)

// apply changes a command that has not started yet. A nil shape changes nothing.
func (f shape) apply(cmd *exec.Cmd) {
	if f != nil {
		f(cmd)
	}
}

// asNobody has a command run as the user nobody if this program runs as root; otherwise
// the command runs as the ordinary user that this program has already.
func asNobody(cmd *exec.Cmd) {
	if os.Geteuid() != 0 {
		return
	}
	cmd.SysProcAttr.Credential = nobody
	if self, err := os.Executable(); err == nil && cmd.Path == self {
		cmd.Path = "/proc/self/exe" // go run keeps it where others may not go
	}
}

// nobody is the user and the group of the same name (65534), which own no files.
var nobody = &syscall.Credential{Uid: 65534, Gid: 65534}

// spent is what a process took.
type spent struct {
	wall, cpu time.Duration

	// peak is the most memory it had, in bytes. The kernel counts in what this
	// program had when it started the other, so this one stays small.
	peak int64
}

// spend runs cmd to its end. Its last words are in the error if it fails.
func spend(cmd *exec.Cmd) (spent, error) {
	said := new(tail)
	cmd.Stderr = said
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return spent{}, fmt.Errorf("%s: %w: %s", cmd, err, said)
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return spent{}, errors.New("the system tells no resource usage")
	}
	return spent{
		wall: took,
		cpu:  time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
		peak: usage.Maxrss << 10,
	}, nil
}

// sample returns what was spent on so many bytes.
func (x spent) sample(bytes int64) sample {
	return sample{
		wall:  x.wall.Seconds(),
		cpu:   x.cpu.Seconds() * (1 << 30) / float64(bytes),
		peak:  float64(x.peak),
		speed: float64(bytes) / x.wall.Seconds(),
	}
}

// counter counts the lines written to it that hold a text.
type counter struct {
	text  string
	lines int
	rest  []byte // of a line that has not ended
}

func (c *counter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	all := c.rest
	for {
		line, rest, ok := bytes.Cut(all, []byte("\n"))
		if !ok {
			c.rest = append(c.rest[:0], all...)
			return len(p), nil
		}
		if bytes.Contains(line, []byte(c.text)) {
			c.lines++
		}
		all = rest
	}
}

// countLines runs cmd and returns how many lines of what it says hold text.
func countLines(cmd *exec.Cmd, text string) (int, error) {
	out, said := &counter{text: text}, new(tail)
	cmd.Stdout, cmd.Stderr = out, said
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd, err, said)
	}
	return out.lines, nil
}

// tail keeps the last of what is written to it.
type tail struct {
	mu struct {
		sync.Mutex
		bytes.Buffer
	}
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.Buffer.Write(p)
	if over := t.mu.Len() - 64<<10; over > 0 {
		t.mu.Next(over)
	}
	return len(p), nil
}

// String returns the last two lines in one.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(t.mu.Buffer.String()), "\n")
	return strings.Join(lines[max(0, len(lines)-2):], " / ")
}
