package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fs"
	"dlfs/listfile"
)

// catCmd prints a file of a list. The help of each field is what a user reads.
type catCmd struct {
	List  string `arg:"" help:"List of names and URLs: a file, a URL, or - for standard input."`
	Name  string `arg:"" help:"The file, named as in the list."`
	Range part   `placeholder:"FROM-TO" help:"Print this part: 0-1M is the first MiB, 5M- all from there on, --range=-1M the last MiB."`
	lookFlags
}

// Run prints a file, or a part of it, and fetches no more than that. There are three ways to the
// bytes: through the mount, if the output directory is one; with the state of the output
// directory, where what is fetched is kept; else with a state in a temporary directory. The last
// one also serves where another process has the output directory, unless --dir names it.
func (c *catCmd) Run(ctx context.Context, std stdio) error {
	w, err := c.work(ctx, std, c.List)
	if err != nil {
		return err
	}
	defer w.end()
	list, err := w.readList(ctx)
	if err != nil {
		return err
	}
	// A wrong name is told before a state is opened, which another process may have.
	i := slices.IndexFunc(list.Entries, func(e listfile.Entry) bool { return e.Name == c.Name })
	if i < 0 {
		return usageError("the list %s has no file %s; \"dlfs ls\" shows its names", w.lister.shownName(), c.Name)
	}
	dir := c.place(c.List)
	if dir != "" {
		if kind, err := fs.Kind(dir); err == nil && kind == "fuse.dlfs" {
			// The process of the mount has the state open, so this one could not open it.
			return c.fromFile(filepath.Join(dir, c.Name), std.contents())
		}
		err := c.fromState(ctx, w, list.Entries, dir, std.contents())
		// ErrInUse comes before a byte is printed, so that starting again from a state of its own
		// prints nothing twice.
		if c.Dir != "" || !errors.Is(err, cache.ErrInUse) {
			return err
		}
	}
	// One entry is enough for a state that is removed again.
	tmp, err := os.MkdirTemp("", "dlfs-cat-")
	if err != nil {
		return err
	}
	w.flags.State = "" // that state belongs to another directory
	return errors.Join(c.fromState(ctx, w, list.Entries[i:i+1], tmp, std.contents()), os.RemoveAll(tmp))
}

// fromFile prints the part of a file below a mountpoint. Reads go through the mount,
// whose process fetches what is missing.
func (c *catCmd) fromFile(path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	off, n := c.Range.of(info.Size())
	_, err = io.Copy(w, io.NewSectionReader(f, off, n))
	return err
}

// fromState prints the file with the state in dir, and fetches what is missing. The
// blocks that it fetches stay in dir for the next command. The error wraps
// cache.ErrInUse if another process has dir.
func (c *catCmd) fromState(ctx context.Context, w *work, entries []listfile.Entry, dir string, out io.Writer) error {
	e, err := w.open(ctx, entries, dir, "dlfs cat "+w.lister.name, fetch.Options{Prefetch: fetch.PrefetchNone, Serve: true})
	if err != nil {
		return err
	}
	ctx, release := e.stoppable(ctx)
	defer release()
	err = c.copy(ctx, e.set.File(c.Name), out)
	// What a read says when it is interrupted differs; the exit code must not.
	if err != nil && ctx.Err() != nil {
		err = &exitError{exitInterrupted, context.Cause(ctx)}
	}
	return errors.Join(err, e.close())
}

// catBuffer is how many bytes are read and printed at once.
const catBuffer = 1 << 20

// copy prints the part of f that --range asks for, all of it without --range. If the version that
// was opened is no longer the file's, and nothing is printed yet, the new version is opened, once:
// HEAD may have told another version than GET.
func (c *catCmd) copy(ctx context.Context, f *fetch.File, out io.Writer) error {
	printed, err := c.print(ctx, f, out)
	if printed == 0 && errors.Is(err, fetch.ErrStale) {
		_, err = c.print(ctx, f, out)
	}
	return err
}

// print is copy for the version that f has now, and returns how many bytes it has printed. A file
// of unknown length is printed to its end.
func (c *catCmd) print(ctx context.Context, f *fetch.File, out io.Writer) (printed int64, err error) {
	h, err := f.Open(ctx)
	if err != nil {
		return 0, catError(f, err)
	}
	defer h.Close()
	size := int64(-1)
	if f.Blob() != nil {
		size = h.Copy().Version().Size
	}
	if size < 0 && c.Range.tail {
		return 0, fmt.Errorf("the origin of %s does not say how long it is, so that it has no last part; leave --range out", f.Name())
	}
	if size < 0 {
		size = 1 << 62 // the length is not known: to the end
	}
	off, left := c.Range.of(size)
	if left == 0 {
		err = h.Ensure(ctx, 0, 1) // a HEAD may have told a wrong size, and no byte is read that would show it
	}
	if err != nil {
		return 0, catError(f, err)
	}
	buf := make([]byte, catBuffer)
	for left > 0 {
		n, err := h.ReadAt(ctx, buf[:min(left, catBuffer)], off)
		if _, err := out.Write(buf[:n]); err != nil {
			return printed, err
		}
		off, left, printed = off+int64(n), left-int64(n), printed+int64(n)
		if errors.Is(err, io.EOF) {
			return printed, nil
		}
		if err != nil {
			return printed, catError(f, err)
		}
	}
	return printed, nil
}

// catError returns the exit for a file that cannot be read: exitNeedsURL where its URLs
// have expired, exitMismatch where its bytes are wrong, else the general one.
func catError(f *fetch.File, err error) error {
	err = fmt.Errorf("%s: %w", f.Name(), err)
	switch s := f.Status(); s.State {
	case stateNeedsURL:
		return &exitError{exitNeedsURL, err}
	case stateMismatch:
		return &exitError{exitMismatch, err}
	}
	return err
}
