package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

// rebuilding is a file that names the database that was set aside, until everything
// that can be read of it is in the new one.
const rebuilding = "rebuilding"

// unfinishedRebuild returns which database was set aside by a start that did not
// live to rebuild it, "" if none was.
func (o opener) unfinishedRebuild() (aside string, err error) {
	name, err := readState(o.state, rebuilding)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	// The file names what to read, so only a name that setAside makes is believed.
	if _, err := o.state.Lstat(string(name)); err == nil && strings.HasPrefix(string(name), asidePrefix) {
		return string(name), nil
	}
	return "", o.rebuilt() // the database was not moved yet
}

// rebuilt says that nothing more is to be read of what was set aside.
func (o opener) rebuilt() error {
	if err := o.state.Remove(rebuilding); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

const asidePrefix = "db.broken-"

// setAside moves a damaged database aside and makes room for a new one. Only the
// newest damaged one is kept.
func (o opener) setAside(why error) (aside string, err error) {
	entries, err := fs.ReadDir(o.state.FS(), ".")
	if err != nil {
		return "", err
	}
	aside = asidePrefix + stamp()
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), asidePrefix) {
			if err := o.state.RemoveAll(e.Name()); err != nil {
				return "", err
			}
		}
	}
	// The note comes before the rename: after a crash between the two, unfinishedRebuild finds a
	// note without a directory and drops it. In the other order the old database would be forgotten.
	if err := o.writeDurably(rebuilding, aside); err != nil {
		return "", err
	}
	if err := o.state.Rename("db", aside); err != nil {
		return "", fmt.Errorf("state database is damaged (%w) and cannot be set aside: %w", why, err)
	}
	if o.copied {
		o.log.Warn("state database is damaged; only what can be read of it is told", "err", why)
	} else {
		o.log.Error("state database is damaged and was set aside; what can be read of it is kept, the rest is fetched again",
			"aside", aside, "err", why)
	}
	return aside, o.state.Mkdir("db", 0o700)
}

// writeDurably writes a file of the state and forces it and its name to disk.
func (o opener) writeDurably(name, content string) error {
	if err := writeState(o.state, name, []byte(content)); err != nil {
		return err
	}
	// fsync of the file alone does not make its name durable; that is in the directory (fsync(2)).
	for _, name := range []string{name, "."} {
		f, err := o.state.Open(name)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// stamp is the time, for the name of what is set aside.
func stamp() string { return time.Now().UTC().Format("20060102T150405Z") }
