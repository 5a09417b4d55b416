package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
)

// opener opens a database that may be in any condition a crash left it in.
type opener struct {
	state  *os.Root // "DIR/.dlfs", which has the database in db
	base   string   // a path to state that stays valid while something is mounted over it
	copied bool     // state is a copy that only this process sees
	log    *slog.Logger
}

// openIndex opens the index. A database that does not open is in one of two
// conditions:
//
//   - It is damaged: a checksum is wrong, or a file has not the format that it
//     must have. Only what isDamage names counts as that. The database is set
//     aside, and a new one gets everything that can still be read of it.
//   - Anything else: a limit of this process, a lock, a disk that fails, a file of
//     another program, an error that is not known. Nothing is changed.
//
// roomToWrite and roomForMemtable are the index's fields of these names.
func openIndex(o opener, roomToWrite, roomForMemtable func() error) (*index, error) {
	_, err := o.state.Lstat("db/MANIFEST")
	isNew := errors.Is(err, fs.ErrNotExist)
	if err := o.ownDatabase(); err != nil {
		return nil, err
	}
	if err := o.markOpening(); err != nil {
		return nil, err
	}
	step("opening")
	db, aside, err := o.open()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("state database does not open, and nothing was changed: %w", oneLine(err)), o.state.Remove("opening"))
	}
	step("index open")
	if err := o.state.Remove("opening"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	files, dir, err := subdir(o.state, "db")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	again := func() (*badger.DB, error) {
		db, err := o.openClean()
		return db.DB, err
	}
	x := &index{db: db.DB, files: files, dir: dir, again: again, roomToWrite: roomToWrite, roomForMemtable: roomForMemtable, log: o.log, flushed: looseTables}
	x.lost.Store(db.doubtful || isNew || aside != "")
	if err := x.openCount(o.state, db.newest); err != nil {
		return nil, errors.Join(err, x.close())
	}
	if aside != "" {
		if err := x.rebuild(o.state, aside); err != nil {
			return nil, errors.Join(fmt.Errorf("rebuild the state database from .dlfs/%s: %w", aside, err), x.close())
		}
		if err := o.rebuilt(); err != nil {
			return nil, errors.Join(err, x.close())
		}
	}
	x.blank.Store(isNew && aside == "" && x.isEmpty())
	return x, nil
}

// ownDatabase makes the directory of the database, and refuses one that another
// user owns or may write to. In the state directory, only this user can replace it
// later. A regular file in its place is damage, which open finds. Anything else there is
// of another program.
func (o opener) ownDatabase() error {
	if err := o.state.Mkdir("db", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := o.state.Lstat("db"); err != nil || info.Mode().IsRegular() {
		return err
	}
	root, dir, err := openSubdir(o.state, "db")
	if err != nil {
		return err
	}
	return errors.Join(dir.Close(), root.Close())
}

// open opens the database. A damaged one is set aside, and a new one is opened with
// its logs; aside then says where the tables are that the new one lacks.
func (o opener) open() (db database, aside string, err error) {
	if aside, err = o.unfinishedRebuild(); err != nil {
		return db, "", err
	}
	if aside == "" {
		db, err = o.openClean()
		if isDamage(err) { // by a retry, badger gets over what its first try has mended
			db, err = o.openClean()
		}
		if !isDamage(err) {
			return db, "", err
		}
		if aside, err = o.setAside(oneLine(err)); err != nil {
			return db, "", err
		}
	}
	o.state.Remove(countFile) // if it stays, it says once more what was said
	if err := o.emptyDatabase(); err != nil {
		return db, "", err
	}
	o.copyLogs(aside)
	if db, err = o.openClean(); isDamage(err) { // the logs were it
		if err = o.emptyDatabase(); err == nil {
			db, err = o.openClean()
		}
	}
	return db, aside, err
}

// registryBytes is what the smallest KEYREGISTRY of badger has: an initialization
// vector of AES, and the text by which badger checks the key.
const registryBytes = 16 + len("Hello Badger")

// formatErrors are the words of badger's errors that say that a file has not the
// format, or not the checksum, that it must have. badger does not export most of
// these errors, and does not always wrap those that it does.
var formatErrors = []string{
	"manifest has", "manifest version", "MANIFEST invalid", "MANIFEST file has invalid", "external magic number",
	"buffer length", "file does not exist for table",
	"checksum", "corrupt", "sanity text", "Invalid datakey id", "Encryption key mismatch",
	"Log truncate required", "proto:",
}

// isDamage reports whether an error of opening the database proves that a file of
// it is damaged. An error of the operating system proves nothing: a good file may meet
// one, too.
func isDamage(err error) bool {
	if err == nil {
		return false
	}
	if errors.Is(err, errDamaged) {
		return true
	}
	var errno syscall.Errno
	if errors.As(err, &errno) || errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrClosed) {
		return false
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	text := err.Error()
	for e := syscall.Errno(1); e < 134; e++ { // badger may have made text of it
		if strings.HasSuffix(text, e.Error()) || strings.Contains(text, ": "+e.Error()) {
			return false
		}
	}
	for _, words := range formatErrors {
		if strings.Contains(text, words) {
			return true
		}
	}
	return strings.HasSuffix(text, " EOF") // io.EOF or io.ErrUnexpectedEOF, as text
}

// oneLine is err with the lines of its text joined. badger's errors may have
// several, and a stack.
func oneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return &joined{err, strings.Join(strings.Fields(err.Error()), " ")}
}

// joined is an error with another text.
type joined struct {
	error
	text string
}

func (e *joined) Error() string { return e.text }
func (e *joined) Unwrap() error { return e.error }

// manyDeaths is how many starts in a row must have died while they opened the
// database before it is said.
const manyDeaths = 3

// markOpening counts the starts that did not live to open the database. Deaths are
// no proof of damage: a limit of memory or of threads kills, too. So they are told,
// with what a person can do.
func (o opener) markOpening() error {
	b, err := readState(o.state, "opening")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	deaths := 0
	if err == nil {
		deaths, _ = strconv.Atoi(strings.TrimSpace(string(b))) // unreadable counts as none
	}
	if deaths >= manyDeaths {
		o.log.Warn("dlfs died each time it opened the state database; raise the limits of memory and processes, or move .dlfs/db away, and unfinished files start again",
			"deaths", deaths)
	}
	return writeState(o.state, "opening", []byte(strconv.Itoa(deaths+1)))
}

// database is one that openClean has opened.
type database struct {
	*badger.DB
	newest   uint64 // number of the newest table that there was
	doubtful bool   // a table has a part that cannot be read
}

// openClean removes the empty files that a killed process leaves, reads the tables
// where badger's panics are caught, and opens badger.
//
// After a plain SIGKILL, badger refuses to open on a 0-byte .mem or .vlog file
// (its issue 2207), so those go first; they hold nothing.
func (o opener) openClean() (db database, err error) {
	if info, err := o.state.Lstat("db"); err == nil && !info.IsDir() {
		return db, fmt.Errorf("%w: .dlfs/db is not a directory", errDamaged)
	}
	entries, err := fs.ReadDir(o.state.FS(), "db")
	if err != nil {
		return db, err
	}
	for _, e := range entries {
		if err := checkEntry(e); err != nil {
			return db, err
		}
		info, err := e.Info()
		if err != nil {
			return db, err
		}
		if e.Name() == "KEYREGISTRY" && info.Size() < int64(registryBytes) { // badger leaves goroutines behind when it fails on it
			return db, fmt.Errorf("%w: .dlfs/db/KEYREGISTRY is cut short", errDamaged)
		}
		if info.Size() == 0 && isLog(e.Name()) {
			if err := o.state.Remove("db/" + e.Name()); err != nil {
				return db, err
			}
		}
	}
	if db.newest, db.doubtful, err = checkTables(o.state, o.log); err != nil {
		return db, err
	}
	if err := makeDiscard(o.state); err != nil {
		return db, err
	}
	db.DB, err = openBadger(o.base + "/db")
	return db, err
}

// The names of badger's files. Others in its directory are not ours.
var (
	logName   = regexp.MustCompile(`^[0-9]{5}\.mem$|^[0-9]{6}\.vlog$`)
	tableName = regexp.MustCompile(`^[0-9]{6,}\.sst$`)
	fixedName = regexp.MustCompile(`^(MANIFEST|KEYREGISTRY|DISCARD|LOCK)$`)
	newName   = regexp.MustCompile(`^(MANIFEST-REWRITE|REWRITE-KEYREGISTRY)$`) // renamed to one of those
)

// isLog reports whether a file has the name of one of badger's logs: a memtable or a
// log of values.
func isLog(name string) bool { return logName.MatchString(name) }

// checkEntry refuses what badger would not open in its directory. A directory that has the
// name of a file of badger is damage, since badger makes only files. A pipe, a socket or a
// device is of another program. So is what has another name: that is only in the way if
// badger would take it for a log.
func checkEntry(e fs.DirEntry) error {
	name := e.Name()
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		return fmt.Errorf(".dlfs/db/%s is a symbolic link, which dlfs does not make; move it away", name)
	case isLog(name), fixedName.MatchString(name), newName.MatchString(name):
		if !e.IsDir() && !e.Type().IsRegular() {
			return inTheWay(fmt.Errorf("db/%s: %w", name, errNotRegular))
		}
		if e.IsDir() {
			return fmt.Errorf("%w: .dlfs/db/%s is no regular file", errDamaged, name)
		}
	case strings.HasSuffix(name, ".mem"), strings.HasSuffix(name, ".vlog"):
		return fmt.Errorf(".dlfs/db/%s is no file of dlfs; move it away", name)
	}
	return nil
}

// makeDiscard makes the file of badger's discard statistics as long as badger
// does, which ends the process when it cannot.
func makeDiscard(state *os.Root) error {
	f, err := openRegularAs(state, "db/DISCARD", os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = f.Truncate(1 << 20)
	}
	return errors.Join(err, f.Close())
}
