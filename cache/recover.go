package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// openIndex opens the database under state ("DIR/.dlfs"), whatever a crash left
// of it. base is a path to state that stays valid while something is mounted
// over it.
//
// After a plain SIGKILL, badger refuses to open on a 0-byte .mem or .vlog file
// (its issue 2207), so those go first; they hold nothing. A database that still
// does not open, or that made the process die while opening it three times in
// a row, is set aside and a new one begun: then the blocks of unfinished blobs
// are fetched again, and finished files are adopted by their size.
//
// room and roomy are the index's.
func openIndex(state *os.Root, base string, room, roomy func() error, log *slog.Logger) (*index, error) {
	if err := state.Mkdir("db", 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	deaths, err := markOpening(state)
	if err != nil {
		return nil, err
	}
	var db *badger.DB
	var newest uint64
	step("opening")
	if deaths < 3 {
		if db, newest, err = openClean(state, base, log); err != nil {
			db, newest, err = openClean(state, base, log)
		}
	} else {
		err = fmt.Errorf("dlfs died %d times while opening it", deaths)
	}
	if err != nil && notDamage(err) {
		return nil, errors.Join(err, state.Remove("opening"))
	}
	if err != nil {
		aside, err2 := quarantine(state)
		if err2 != nil {
			return nil, fmt.Errorf("state database does not open (%w) and cannot be set aside: %w", err, err2)
		}
		log.Error("state database is damaged and was set aside; unfinished files start again, finished ones are kept",
			"aside", aside, "err", err)
		if db, newest, err = openClean(state, base, log); err != nil {
			return nil, err
		}
	}
	step("index open")
	if err := state.Remove("opening"); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	files, dir, err := subdir(state, "db")
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	again := func() (*badger.DB, error) {
		db, _, err := openClean(state, base, log)
		return db, err
	}
	x := &index{db: db, files: files, dir: dir, again: again, room: room, roomy: roomy, log: log, flushed: looseTables}
	if err := x.openCount(state, newest); err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

// notDamage reports whether a failure to open says something of the system and
// nothing of the database. badger's errors do not always wrap.
func notDamage(err error) bool {
	for _, e := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EACCES, syscall.EPERM,
		syscall.EIO, syscall.ENOSPC, syscall.EDQUOT, syscall.EROFS} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return true
		}
	}
	return false
}

// markOpening counts the starts that did not live to open the database.
func markOpening(state *os.Root) (deaths int, err error) {
	b, err := state.ReadFile("opening")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	if err == nil {
		deaths, _ = strconv.Atoi(strings.TrimSpace(string(b))) // unreadable counts as none
	}
	return deaths, state.WriteFile("opening", []byte(strconv.Itoa(deaths+1)), 0o600)
}

// openClean removes the empty files a killed process leaves, reads the tables
// where badger's panics are caught, and opens badger. newest is the newest table
// there was.
func openClean(state *os.Root, base string, log *slog.Logger) (db *badger.DB, newest uint64, err error) {
	entries, err := fs.ReadDir(state.FS(), "db")
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, 0, err
		}
		if info.Size() == 0 && (strings.HasSuffix(e.Name(), ".mem") || strings.HasSuffix(e.Name(), ".vlog")) {
			if err := state.Remove("db/" + e.Name()); err != nil {
				return nil, 0, err
			}
		}
	}
	if newest, err = checkTables(state, log); err != nil {
		return nil, 0, err
	}
	if err := makeDiscard(state); err != nil {
		return nil, 0, err
	}
	db, err = openBadger(base + "/db")
	return db, newest, err
}

// makeDiscard makes the file of badger's discard statistics as long as badger
// does, which ends the process when it cannot.
func makeDiscard(state *os.Root) error {
	f, err := state.OpenFile("db/DISCARD", os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() == 0 {
		err = f.Truncate(1 << 20)
	}
	return errors.Join(err, f.Close())
}

// quarantine moves the database aside and makes room for a new one. Only the
// newest broken one is kept.
func quarantine(state *os.Root) (aside string, err error) {
	entries, err := fs.ReadDir(state.FS(), ".")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), "db.broken-") {
			if err := state.RemoveAll(e.Name()); err != nil {
				return "", err
			}
		}
	}
	state.Remove(countFile) // if it stays, it says once more what the quarantine says
	aside = "db.broken-" + time.Now().UTC().Format("20060102T150405Z")
	if err := state.Rename("db", aside); err != nil {
		return "", err
	}
	return aside, state.Mkdir("db", 0o700)
}
