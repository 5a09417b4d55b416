package cache

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// A state directory has regular files and directories. Whatever else stands under a name of
// it was put there by another program: it is refused at once, never followed, and never
// waited for.

// readState reads a file of the state whole. What is no regular file is an error that says so.
func readState(state *os.Root, name string) ([]byte, error) {
	content, err := readRegular(state, name)
	return content, inTheWay(err)
}

// writeState writes a file of the state anew. It neither is durable nor replaces the old
// one in one step.
func writeState(state *os.Root, name string, content []byte) error {
	f, err := openRegularAs(state, name, os.O_WRONLY|os.O_CREATE)
	if err != nil {
		return inTheWay(err)
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.Write(content)
	}
	return errors.Join(err, f.Close())
}

// inTheWay has an error say what to do about something that is no regular file.
func inTheWay(err error) error {
	if errors.Is(err, errNotRegular) {
		err = fmt.Errorf(".dlfs/%w; move it away", err)
	}
	return err
}

// openRoot is os.OpenRoot for a path that may be a pipe: os.OpenRoot would wait for a
// writer of the pipe, and openRoot returns an error at once.
func openRoot(path string) (*os.Root, error) {
	info, err := os.Stat(path)
	if err == nil && !info.IsDir() {
		err = &os.PathError{Op: "open", Path: path, Err: syscall.ENOTDIR}
	}
	if err != nil {
		return nil, err
	}
	return os.OpenRoot(path)
}

// readRegular reads a regular file whole.
func readRegular(dir *os.Root, name string) ([]byte, error) {
	f, err := openRegular(dir, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// errNotRegular is wrapped by the error of openRegular when something else than a
// regular file has the name.
var errNotRegular = errors.New("no regular file")

// openRegular opens a file for reading, and refuses what is no regular file at
// once: a symbolic link is not followed, a FIFO not waited for.
func openRegular(dir *os.Root, name string) (*os.File, error) {
	return openRegularAs(dir, name, os.O_RDONLY)
}

// openRegularAs is openRegular with other flags, such as O_CREATE. The file is looked at before and
// after it is opened, since another program may put something else in its place in between.
func openRegularAs(dir *os.Root, name string, flags int) (*os.File, error) {
	// os.Root follows a link that stays inside the root, whatever the flags say.
	if info, err := dir.Lstat(name); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	f, err := dir.OpenFile(name, flags|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.EISDIR) {
		err = fmt.Errorf("%s: %w: %w", name, errNotRegular, err)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", name, errNotRegular)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
