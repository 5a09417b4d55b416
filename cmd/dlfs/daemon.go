package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"dlfs/cache"
)

// A daemon is this program started again, detached, with the same arguments. The parent
// waits for one answer, which the daemon writes to a pipe on descriptor 3 (daemonFD):
//
//   - "live" and remarks for the user, once the mount can be read or the fetch has opened its
//     directory. The parent prints the remarks and ends with 0;
//   - what went wrong, before that. The parent prints it and ends with the daemon's exit code;
//   - nothing, if the daemon died. The parent refers to the log.
//
// Descriptor 4 (logDirFD) is the directory of the daemon's log. The value of daemonEnv is the
// name of the log in it, "" if the log cannot be replaced by a new one, as a pipe cannot.
const (
	daemonEnv = "DLFS_IS_DAEMON"
	daemonFD  = 3
	logDirFD  = 4
	liveWord  = "live\n"
)

// background is what a command with --daemon does before and in a daemon.
type background struct {
	list  string                                     // standard input, if "-", goes to the daemon
	log   func(notes io.Writer) (*logFile, error)    // opens the daemon's log, in the parent; notes gets remarks for the user
	doing func() string                              // what the daemon does once it is live, as "mounted at DIR"; called after log
	work  func(ctx context.Context, std stdio) error // what the command is for
}

// run does the work in this process, or has a daemon do it if daemon is set: run returns then
// when the daemon is live or has failed. In the daemon, an error of the work is told to the
// parent that still waits.
func (b *background) run(ctx context.Context, std stdio, daemon bool) error {
	switch {
	case isDaemon(): // the parent has opened the log and waits for one word (tellLive)
		var err error
		if std, err = daemonStreams(std); err != nil {
			return tellParent(err)
		}
	case daemon:
		log, err := b.log(std.err)
		if err != nil {
			return err
		}
		return daemonize(ctx, std, b.list, log, b.doing())
	}
	return tellParent(b.work(ctx, std))
}

// isDaemon reports whether this process is a daemon that its parent still waits for, until
// tellLive or tellParent.
func isDaemon() bool {
	_, is := os.LookupEnv(daemonEnv)
	return is
}

// daemonStreams returns the streams of a daemon, whose log standard output and
// standard error are.
func daemonStreams(std stdio) (stdio, error) {
	fd, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return stdio{}, fmt.Errorf("log of the daemon: %w", err)
	}
	unix.CloseOnExec(logDirFD)
	dir := os.NewFile(logDirFD, "directory of the log")
	name := os.Getenv(daemonEnv)
	if name == "" {
		dir = nil
	}
	l := newLogFile(dir, name, os.NewFile(uintptr(fd), "log"), io.Discard)
	l.follow = []int{1, 2} // where the runtime says why it dies
	s := stdio{in: os.Stdin, out: l, err: l, signals: std.signals, log: l}.plain()
	if m, ok := std.err.(*messages); ok { // where the error goes that ends the program
		m.w = s.err.(*messages).w
		s.err = m
	}
	return s, nil
}

// tellLive tells a waiting parent that this process is live, with lines to be noted.
func tellLive(notes string) {
	if !isDaemon() {
		return
	}
	os.Unsetenv(daemonEnv)
	pipe := os.NewFile(daemonFD, "parent")
	defer pipe.Close()
	io.WriteString(pipe, liveWord+notes) // a parent that is gone needs no word
}

// tellParent tells a waiting parent why the start failed. It returns err, which is not
// printed again if a parent was told.
func tellParent(err error) error {
	if err == nil || !isDaemon() {
		return err
	}
	os.Unsetenv(daemonEnv)
	pipe := os.NewFile(daemonFD, "parent")
	defer pipe.Close()
	fmt.Fprint(pipe, advised(err))
	return &exitError{codeOf(err), nil}
}

// daemonize starts the daemon, which logs to log and closes it here, and waits until it
// is live or has failed. doing is what it does then, as "mounted at DIR". If ctx ends
// first, the daemon is told to stop.
func daemonize(ctx context.Context, std stdio, list string, log *logFile, doing string) error {
	defer log.close()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	cmd := &exec.Cmd{Path: self, Args: os.Args}
	cmd.Env = append(os.Environ(), daemonEnv+"=")
	cmd.ExtraFiles = []*os.File{w} // becomes daemonFD
	if log.dir != nil {
		cmd.Env[len(cmd.Env)-1] += log.name
		cmd.ExtraFiles = append(cmd.ExtraFiles, log.dir) // becomes logDirFD
	}
	cmd.Stdout, cmd.Stderr = log.file, log.file
	if list == "-" {
		cmd.Stdin = std.in
	}
	// Until it has mounted, a process of mount(8) stays in its group: to no other does
	// autofs show the directory below an automount.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: !isHelper()}
	if err := cmd.Start(); err != nil {
		w.Close()
		return err
	}
	w.Close()
	said, err := abandonable(ctx, func() ([]byte, error) { return io.ReadAll(r) })
	if ctx.Err() != nil {
		return errors.Join(err, cmd.Process.Signal(syscall.SIGTERM))
	}
	if err != nil {
		return err
	}
	if notes, live := bytes.CutPrefix(said, []byte(liveWord)); live {
		fmt.Fprintf(std.err, "dlfs: %s by process %d; it logs to %s\n", printable(doing), cmd.Process.Pid, printable(log.file.Name()))
		_, err := std.err.Write(notes)
		return err
	}
	err = cmd.Wait()
	code := exitFailed
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		code = exit.ExitCode()
	}
	if len(said) == 0 {
		return &exitError{code, fmt.Errorf("the daemon died before it was live; see %s", log.file.Name())}
	}
	return &exitError{code, errors.New(string(said))}
}

// stateLog opens DIR/.dlfs/log, and makes DIR if need be. No symbolic link is followed: where
// others may write to DIR, it could lead to any file of this user.
func stateLog(dir string) (*logFile, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	at, err := cache.OpenState(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, ".dlfs", "log")
	fd, err := unix.Openat(int(at.Fd()), "log", unix.O_CREAT|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC|logFileFlags, 0o600)
	if err != nil {
		return nil, errors.Join(notALog(path, err), at.Close())
	}
	f := os.NewFile(uintptr(fd), path)
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(notALog(path, err), f.Close(), at.Close())
	}
	return newLogFile(at, "log", f, io.Discard), nil
}

// notALog says why a log is not opened. For a symbolic link and for a pipe that no
// process reads, the system has an error of its own.
func notALog(path string, err error) error {
	if err == nil || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("%s is not a regular file; move it away", path)
	}
	return &os.PathError{Op: "open", Path: path, Err: err}
}
