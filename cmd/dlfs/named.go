package main

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"dlfs/fetch/origin"
	"dlfs/listfile"
)

// filePlaceholder is the placeholder of each flag that names a file. The file is read,
// unless the flag is one of writtenFlags. A test holds every flag to this.
const filePlaceholder = "FILE"

// writtenFlags are the flags that name files which are written.
var writtenFlags = []string{"save-failed", "log-file", "metrics-file"}

// namedFile is a file of the command line, and what names it there: a flag, or "" for the list.
type namedFile struct{ flag, path string }

// namedFiles returns the files that a command reads and those that it writes. The list
// and the netrc file have no flag; a path may be "".
func namedFiles(kctx *kong.Context) (read, written []namedFile) {
	for _, p := range kctx.Path {
		if p.Positional != nil && p.Positional.Name == "list" {
			read = append(read, namedFile{path: p.Positional.Target.String()})
		}
	}
	netrc := origin.NetrcPath()
	for _, flag := range kctx.Flags() {
		path, _ := flag.Target.Interface().(string)
		switch {
		case flag.Name == "no-netrc" && flag.Target.Bool():
			netrc = ""
		case flag.Name == "peers" && strings.HasPrefix(path, "@"):
			read = append(read, namedFile{"--peers", path[1:]})
		case path == "" || flag.PlaceHolder != filePlaceholder:
		case slices.Contains(writtenFlags, flag.Name):
			written = append(written, namedFile{"--" + flag.Name, path})
		default:
			read = append(read, namedFile{"--" + flag.Name, path})
		}
	}
	return append(read, namedFile{path: netrc}), written
}

// checkNamedFiles refuses, before anything is opened, files to be written that must not
// be: a directory, a link to nothing, a file in a directory that there is not, a file that is
// read, also under another name, and one file for two flags. A file that cannot be looked at now, for want of rights, is
// left to the code that writes it.
func checkNamedFiles(kctx *kong.Context) error {
	read, written := namedFiles(kctx)
	for i, w := range written {
		if err := w.check(read); err != nil {
			return err
		}
		if dir := filepath.Dir(w.path); isMissing(dir) && !makesDir(kctx, dir) {
			return usageError("%s %s: there is no directory %s; make it first", w.flag, w.path, dir)
		}
		for _, other := range written[:i] {
			if isOneFile(w.path, other.path) {
				return usageError("%s %s is the same file as that of %s; give another one", w.flag, w.path, other.flag)
			}
		}
	}
	return nil
}

// check refuses a file to be written that is a directory, a link to nothing, or one of
// those that are read.
func (w namedFile) check(read []namedFile) error {
	info, err := os.Stat(w.path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(w.path); err == nil {
			return usageError("%s %s is a link to a file that does not exist; give that file's name", w.flag, w.path)
		}
		return nil
	}
	if err != nil {
		return nil
	}
	if info.IsDir() {
		return usageError("%s %s is a directory; give the name of a file", w.flag, w.path)
	}
	for _, r := range read {
		if isOneFile(w.path, r.path) {
			return usageError("%s %s is the same file as %s, which is read; give another one", w.flag, w.path, r.path)
		}
	}
	return nil
}

// isMissing reports whether there is nothing of that name.
func isMissing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// makesDir reports whether the command makes a directory when it starts: it is, or lies in, the
// output directory or the state. The name of an output directory that is not given is not
// looked for.
func makesDir(kctx *kong.Context, dir string) bool {
	var made []string
	for _, p := range kctx.Path {
		if p.Positional != nil && (p.Positional.Name == "dir" || p.Positional.Name == "mountpoint") {
			made = append(made, p.Positional.Target.String())
		}
	}
	for _, flag := range kctx.Flags() {
		if path, _ := flag.Target.Interface().(string); path != "" && (flag.Name == "dir" || flag.Name == "state") {
			made = append(made, path)
		}
	}
	return len(made) == 0 || slices.ContainsFunc(made, func(path string) bool {
		below, err := filepath.Rel(resolved(path), resolved(dir))
		return err != nil || filepath.IsLocal(below)
	})
}

// isOneFile reports whether two paths lead to one regular file, which need not be there yet.
func isOneFile(a, b string) bool {
	one, err := os.Stat(a)
	other, errOther := os.Stat(b)
	if err == nil && errOther == nil {
		return one.Mode().IsRegular() && os.SameFile(one, other)
	}
	return errors.Is(err, fs.ErrNotExist) && errors.Is(errOther, fs.ErrNotExist) && resolved(a) == resolved(b)
}

// resolved returns the absolute path without symbolic links, as far as the file or its
// directory is there.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	} else if parent, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		path = filepath.Join(parent, filepath.Base(path))
	}
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}

// nameIn returns the name that a file has in a directory, and whether it lies in there.
func nameIn(dir, path string) (name string, inside bool) {
	if path == "" {
		return "", false
	}
	name, err := filepath.Rel(resolved(dir), resolved(path))
	return name, err == nil && filepath.IsLocal(name)
}

// checkPlace refuses a file to be written that would take the place of an entry in the output
// directory, or of a file of its state.
func (w namedFile) checkPlace(dir string, entries []listfile.Entry) error {
	name, inside := nameIn(dir, w.path)
	if !inside {
		return nil
	}
	if strings.HasPrefix(name, ".dlfs/") && name != ".dlfs/log" {
		return usageError("%s %s is among the files of the state; give another one", w.flag, w.path)
	}
	for i := range entries {
		if e := entries[i].Name; e == name || strings.HasPrefix(e, name+"/") {
			return usageError("%s %s is where %s of the list is to be; give another one", w.flag, w.path, e)
		}
	}
	return nil
}

// checkSinks is checkPlace of each file that the work writes.
func (w *work) checkSinks(dir string, entries []listfile.Entry) error {
	return cmp.Or(
		namedFile{"--save-failed", w.saveFailed}.checkPlace(dir, entries),
		namedFile{"--log-file", w.flags.LogFile}.checkPlace(dir, entries),
		namedFile{"--metrics-file", w.flags.MetricsFile}.checkPlace(dir, entries),
	)
}

// checkLog is checkPlace of --log-file, which is opened before the list is read. Where the log
// lies in the output directory, the list is read for that: a line of the log must not be
// appended to a file of the list.
func (f *workFlags) checkLog(list, dir string) error {
	log := namedFile{"--log-file", f.LogFile}
	name, inside := nameIn(dir, log.path)
	if !inside || name == ".dlfs/log" {
		return nil
	}
	if info, err := os.Stat(list); list == "-" || isURL(list) || f.asks() || err == nil && !info.Mode().IsRegular() {
		return usageError("%s %s lies in the output directory, and the names of this list are not known before the log is opened; give a file outside", log.flag, log.path)
	}
	file, err := os.Open(list)
	if err != nil {
		return nil // the list is read again, and that tells the error
	}
	defer file.Close()
	parsed, _ := listfile.Parse(file, list, f.options()) // as above
	if parsed == nil {
		return nil
	}
	return log.checkPlace(dir, parsed.Entries)
}
