package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"
)

// logCmd prints the log of a directory. The help of each field is what a user reads.
type logCmd struct {
	Dir    string `arg:"" help:"Output directory or mountpoint."`
	Lines  int    `short:"n" placeholder:"N" help:"Print the last N lines only."`
	Follow bool   `short:"f" help:"Go on printing until the process that writes the log ends."`
	stateFlag
}

// Run prints the log of the process that has the directory, or had it last. A process
// that runs in the foreground has one only where its standard error is a file.
func (c *logCmd) Run(ctx context.Context, std stdio) error {
	c.Dir = c.or(c.Dir)
	pid := 0
	s, err := briefRunning(ctx, c.Dir)
	switch {
	case err == nil:
		pid = s.PID
	case errors.Is(err, errNoProcess):
		pid = ending(ctx, c.Dir, "log")
	default:
		return fmt.Errorf("%s: %w", c.Dir, err)
	}
	if err := needState(c.Dir); err != nil {
		return err
	}
	f, err := c.open(ctx)
	if errors.Is(err, os.ErrNotExist) {
		return c.none(pid)
	}
	if err != nil {
		return fmt.Errorf("log of %s: %w", c.Dir, err)
	}
	// follow replaces f, so the file that is open at the end is the one to close.
	defer func() { f.Close() }()
	if err := c.skip(f); err != nil {
		return fmt.Errorf("log of %s: %w", c.Dir, err)
	}
	if _, err := io.Copy(std.out, f); err != nil || !c.Follow || pid == 0 {
		return err
	}
	return c.follow(ctx, &f, pid, std.out)
}

// briefRunning asks the running process for its status without entries. The error is
// errNoProcess if there is no process.
func briefRunning(ctx context.Context, dir string) (whole *Status, err error) {
	err = visitStatus(ctx, dir, selection{none: true}, func(s *Status) error {
		whole = s
		return nil
	}, nil)
	return whole, err
}

// open opens the log in the state directory, which lies beside the control socket. The
// error is os.ErrNotExist if the process writes its log elsewhere.
func (c *logCmd) open(ctx context.Context) (*os.File, error) {
	state, err := openState(ctx, c.Dir)
	if err != nil {
		return nil, err
	}
	defer state.Close()
	return openIn(state, "log")
}

// none returns the error that says why there is no log, by whether a process has the
// directory; pid is 0 if none has.
func (c *logCmd) none(pid int) error {
	if pid != 0 {
		return fmt.Errorf("process %d on %s writes its log where it was started, or to its --log-file", pid, c.Dir)
	}
	return fmt.Errorf("%s has no log; a dlfs that is started with --daemon writes one", c.Dir)
}

// skip moves the file to where the last c.Lines lines begin, or leaves it at the start
// if --lines was not given. It reads at most twice logMost bytes, which is more than
// the writer lets a log become.
func (c *logCmd) skip(f *os.File) error {
	if c.Lines <= 0 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, 2*logMost))
	if err != nil {
		return err
	}
	rest := bytes.TrimSuffix(text, []byte("\n"))
	for range c.Lines {
		i := bytes.LastIndexByte(rest, '\n')
		if i < 0 {
			_, err = f.Seek(0, io.SeekStart)
			return err
		}
		rest = rest[:i]
	}
	_, err = f.Seek(int64(len(rest)+1), io.SeekStart)
	return err
}

// follow prints what is added to the log until the process pid ends, and then the rest.
// The writer replaces a log that has become too long by another file of the same name;
// the old file is then read to its end before *f becomes the new one. The caller closes
// *f. The end of ctx is no error: Ctrl-C is how a user ends it.
func (c *logCmd) follow(ctx context.Context, f **os.File, pid int, w io.Writer) error {
	t := time.NewTicker(askEvery)
	defer t.Stop()
	for running := true; running; {
		select {
		case <-t.C:
		case <-ctx.Done():
			return nil
		}
		_, err := os.Stat("/proc/" + strconv.Itoa(pid))
		// The process is looked for before its log is read: what it wrote before it ended is printed
		// by this round, which is then the last one.
		running = err == nil
		if _, err := io.Copy(w, *f); err != nil {
			return err
		}
		next, err := c.open(ctx)
		if err != nil {
			continue // the mount may be going
		}
		if sameFile(*f, next) {
			next.Close()
			continue
		}
		if _, err := io.Copy(w, *f); err != nil { // what came before the old log was replaced
			return errors.Join(err, next.Close())
		}
		(*f).Close()
		*f = next
		if _, err := io.Copy(w, *f); err != nil {
			return err
		}
	}
	return nil
}

// sameFile reports whether two open files are one; false if that cannot be told.
func sameFile(a, b *os.File) bool {
	x, err := a.Stat()
	y, err2 := b.Stat()
	return err == nil && err2 == nil && os.SameFile(x, y)
}
