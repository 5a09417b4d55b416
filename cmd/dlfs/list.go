package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"dlfs/cache"
	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// maxList bounds a list that comes over a network or a socket, in bytes.
const maxList = 1 << 30

// lister reads a list, again whenever it is asked to. It is immutable.
type lister struct {
	flags  listFlags
	client *origin.Client // for a list that is a URL
	stdin  io.Reader
	notes  io.Writer // gets warnings
	quiet  bool      // what is right is not told
	where  string    // an absolute path, an http or https URL, or "-" for stdin
	name   string    // what to call it in logs and tables, which other users may read
	shard  shard     // what is taken of the list

	covered *covered // what the mount of this process covers; nil if there is none
}

// covered is the directory that a mount of this process shows the files of. A list
// under the mountpoint is read from that directory: a process that waits for its
// own mount cannot end.
type covered struct {
	point string // the mountpoint
	store *cache.Store
}

// name returns the name that a path has in the directory, "" if the path is not
// under the mountpoint.
func (c *covered) name(where string) string {
	if c == nil {
		return ""
	}
	if !within(where, c.point) {
		dir, err := filepath.EvalSymlinks(filepath.Dir(where))
		if err != nil {
			return ""
		}
		where = filepath.Join(dir, filepath.Base(where))
	}
	if !within(where, c.point) {
		return ""
	}
	return strings.TrimPrefix(where, strings.TrimSuffix(c.point, "/")+"/")
}

// newLister returns the lister of a list as the user named it.
func newLister(flags listFlags, client *origin.Client, stdin io.Reader, notes io.Writer, where string) (*lister, error) {
	abs, err := absolute(where)
	if err != nil {
		return nil, err
	}
	return &lister{flags: flags, client: client, stdin: stdin, notes: notes, where: abs, name: shown(where)}, nil
}

// at returns a lister of another list, read in the same way.
func (l *lister) at(where string) *lister {
	other := *l
	other.where, other.name = where, shown(where)
	return &other
}

// absolute makes a path independent of the working directory.
func absolute(where string) (string, error) {
	if where == "-" || isURL(where) {
		return where, nil
	}
	return filepath.Abs(where)
}

// listKey is under which a store remembers where its list is.
const listKey = "list"

// remember has the store know where the list is, for verify, unless that is
// nowhere or secret.
func (l *lister) remember(store *cache.Store) error {
	if l.where == "-" || isURL(l.where) {
		return nil
	}
	return store.Remember(listKey, l.where)
}

// isURL reports whether a list is named by a URL and not by a path.
func isURL(where string) bool {
	return strings.HasPrefix(where, "http://") || strings.HasPrefix(where, "https://")
}

// shown returns what to call a list in logs and tables, which other users may read: the
// path, or the URL without its secrets.
func shown(where string) string {
	if isURL(where) {
		return origin.Redact(where)
	}
	return where
}

// read reads the list, and asks origins for the names of entries if the flags want that. An
// error of the list exits with exitUsage; the list that is returned with it holds what is right,
// and is nil if it could not be read. What was understood is told to the user. It blocks for the
// network, if that is where the list is or the names come from, until ctx ends.
func (l *lister) read(ctx context.Context) (*listfile.List, error) {
	list, err := l.readAsWritten(ctx)
	if err == nil && l.flags.asks() {
		err = l.askNames(ctx, list)
	}
	if err == nil && len(list.Entries) > 0 && !l.quiet {
		fmt.Fprintf(l.notes, "dlfs: %s\n", taken(l.shownName(), list))
	}
	return list, err
}

// readAsWritten reads the list and asks no origin for names. It returns when ctx ends, also where
// the list is a FIFO without a writer.
func (l *lister) readAsWritten(ctx context.Context) (*listfile.List, error) {
	return abandonable(ctx, func() (*listfile.List, error) {
		switch {
		case l.where == "-":
			return l.parse(l.stdin)
		case isURL(l.where):
			return l.get(ctx)
		}
		f, err := l.open()
		if err != nil {
			return nil, usageError("list: open %s: %w", l.name, cmp.Or(errors.Unwrap(err), err))
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return nil, usageError("list %s is a directory; give a file", l.name)
		}
		return l.parse(f)
	})
}

// open opens a list that is a file. Below the mountpoint of this process it is opened in the
// output directory. If it is a FIFO without a writer, the user is told after writerWait.
func (l *lister) open() (*os.File, error) {
	if name := l.covered.name(l.where); name != "" {
		return l.covered.store.OpenFile(name)
	}
	return openLate(l.where, writerWait, func() {
		fmt.Fprintf(l.notes, "dlfs: list %s is a FIFO that no program has opened for writing; waiting for one, Ctrl-C ends that\n", l.name)
	})
}

// get reads a list that is a URL.
func (l *lister) get(ctx context.Context) (*listfile.List, error) {
	body, err := l.client.Resource(l.where, origin.ResourceOptions{Apart: true}).Get(ctx, nil, 0, maxList+1)
	if err != nil {
		return nil, fmt.Errorf("list: %w", err)
	}
	defer body.Close()
	return l.parseBounded(body)
}

// parseBounded reads a list that comes from others, of at most maxList bytes.
func (l *lister) parseBounded(r io.Reader) (*listfile.List, error) {
	bounded := &io.LimitedReader{R: r, N: maxList + 1}
	list, err := l.parse(bounded)
	if bounded.N == 0 {
		return nil, usageError("list %s is longer than %s; divide it", l.name, bytesText(maxList))
	}
	return list, err
}

// parse parses the list and prints which lines were left out, if --skip-bad-lines allows
// that. Otherwise a wrong line is the error, with the list of the right ones beside it.
func (l *lister) parse(r io.Reader) (*listfile.List, error) {
	list, err := l.flags.parse(r, l.shownName())
	if err != nil {
		return list, &exitError{exitUsage, l.orFile(list, err)}
	}
	for _, bad := range list.Bad {
		fmt.Fprintf(l.notes, "dlfs: left out: %s\n", printable(bad.Error()))
	}
	return list, nil
}

// orFile adds to the error of a list that is a URL, and that has no line that is
// understood, what to do if the file itself is wanted.
func (l *lister) orFile(list *listfile.List, err error) error {
	bad, ok := errors.AsType[listfile.Errors](err)
	if !ok || !isURL(l.where) || bad.Cost() < listfile.Rest || len(list.Entries) > 0 {
		return err
	}
	return fmt.Errorf("%w\nif the URL is of the file itself, fetch it by: echo URL | dlfs fetch - DIR", err)
}

// shownName is what errors call the list.
func (l *lister) shownName() string {
	if l.where == "-" {
		return "stdin"
	}
	return l.name
}

// readSome is read, for commands that can do nothing with an empty list.
func (l *lister) readSome(ctx context.Context) (*listfile.List, error) {
	list, err := l.read(ctx)
	if err != nil {
		return nil, err
	}
	if a, b, n := list.CaseClash(); n > 0 {
		l.warnOfClash(a, b, n)
	}
	if err := needEntries(list, l.name); err != nil {
		return nil, err
	}
	l.take(list)
	return list, nil
}

// warnOfClash tells of names that may be one where the list is fetched to.
func (l *lister) warnOfClash(a, b string, n int) {
	more := ""
	if n > 1 {
		more = fmt.Sprintf(" (and %d more)", n-1)
	}
	fmt.Fprintf(l.notes, "dlfs: names %s and %s%s differ in case or accents' form alone; copied to where that makes no difference, one would replace the other\n",
		strconv.Quote(a), strconv.Quote(b), more)
}

// clashOnDisk refuses a list that has two names for one file on a disk that folds
// names: the second would take the place of the first.
func clashOnDisk(entries []listfile.Entry, folds bool) error {
	if !folds {
		return nil
	}
	list := listfile.List{Entries: entries}
	a, b, n := list.CaseClash()
	if n == 0 {
		return nil
	}
	return usageError("names %s and %s of the list are one file on the disk of the output directory, which ignores case; rename one, or give another directory",
		strconv.Quote(a), strconv.Quote(b))
}

// needEntries is what mount and fetch make of a list without any.
func needEntries(list *listfile.List, name string) error {
	if len(list.Entries) == 0 {
		return usageError("list %s has no entry; write NAME<TAB>URL lines", name)
	}
	return nil
}

// defaultDir is the directory a list is fetched into: its file name without
// extension, in the working directory.
func defaultDir(list string) (string, error) {
	base := filepath.Base(list)
	if u, err := url.Parse(list); isURL(list) && err == nil {
		base = path.Base(u.Path)
	}
	for _, packed := range []string{".gz", ".bz2", ".xz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	dir := strings.TrimSuffix(base, filepath.Ext(base))
	if list == "-" || dir == "" || dir == base {
		return "", usageError("list %s has no name to derive the directory from; give DIR", shown(list))
	}
	return dir, nil
}
