package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dlfs/fetch/origintest"
)

// load is the files of a row: Count files of Size bytes each. Their bytes are made from
// seeds, so that origins, readers and checks know the same bytes without a file in
// common. The fields are exported because orders to other processes are JSON.
type load struct {
	Count int
	Size  int64
}

// String returns, say, "16 × 64 MiB".
func (l load) String() string {
	if l.Count == 1 {
		return sizeText(l.Size)
	}
	return fmt.Sprintf("%d × %s", l.Count, sizeText(l.Size))
}

// bytes is the size of all files together.
func (l load) bytes() int64 { return int64(l.Count) * l.Size }

// content is the content of file i, counted from 0. The seed is the number of the file, so that
// every process can make the same bytes.
func (l load) content(i int) origintest.Content {
	return origintest.Content{Seed: uint64(i + 1), Size: l.Size}
}

// folder is where an origin has the files, whose names there are numbers.
func (l load) folder() string { return fmt.Sprintf("%dx%d", l.Count, l.Size) }

// url returns the URL of file i, counted from 0, at the origin with that base.
func (l load) url(base string, i int) string {
	return fmt.Sprintf("%s/%s/%d", base, l.folder(), i)
}

// name returns the name of file i in a list, and so in the directory where it is
// fetched to.
func (l load) name(i int) string { return fmt.Sprintf("f%06d", i) }

// paths are the paths of all files where they land in dir.
func (l load) paths(dir string) []string {
	all := make([]string, l.Count)
	for i := range all {
		all[i] = filepath.Join(dir, l.name(i))
	}
	return all
}

// sparse makes files of these names and sizes in dir. They are holes throughout, and
// take no room on the disk.
func (l load) sparse(dir string) error {
	for _, path := range l.paths(dir) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Truncate(l.Size), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// list writes the list of the files at an origin and returns its path.
func (l load) list(dir, base string) (string, error) {
	return write(dir, "list.txt", func(w io.Writer) {
		for i := range l.Count {
			fmt.Fprintf(w, "%s\t%s\n", l.name(i), l.url(base, i))
		}
	})
}

// store writes the files into dir/folder, for nginx to serve. It does nothing if the
// directory is there: the files are written beside it and renamed at the end, so a
// directory of that name is complete.
func (l load) store(dir string) error {
	final := filepath.Join(dir, l.folder())
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	if err := os.Mkdir(final+".new", 0o755); err != nil {
		return err
	}
	buf := make([]byte, mib) // one for all, see spent.peak
	for i := range l.Count {
		if err := storeFile(filepath.Join(final+".new", fmt.Sprint(i)), l.content(i), buf); err != nil {
			return err
		}
	}
	return os.Rename(final+".new", final)
}

// storeFile writes a file in pieces of buf. The page cache of the kernel is then made
// of pieces of that size, for all files alike.
func storeFile(path string, c origintest.Content, buf []byte) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, c.Reader(), buf)
	return err
}

// check compares the files in dir with what they must be: in size, and if deep in every
// byte. nameOf returns the name of file i there. The error names the first file that is
// wrong.
func (l load) check(dir string, nameOf func(int) string, deep bool) error {
	buf := make([]byte, 64<<10) // one for all, see spent.peak
	for i := range l.Count {
		path := filepath.Join(dir, nameOf(i))
		info, err := os.Stat(path)
		if err == nil && info.Size() != l.Size {
			err = fmt.Errorf("%s has %d bytes, not %d", path, info.Size(), l.Size)
		}
		if err == nil && deep {
			err = checkFile(path, l.content(i), buf)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkFile compares every byte of a file.
func checkFile(path string, c origintest.Content, buf []byte) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for off := int64(0); off < c.Size; {
		n, err := f.ReadAt(buf[:min(int64(len(buf)), c.Size-off)], off)
		if n > 0 {
			if err := c.Check(buf[:n], off); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			off += int64(n)
			continue
		}
		return fmt.Errorf("%s at %d: %w", path, off, err)
	}
	return nil
}
