package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables reads every table of the database as badger will, and returns the
// number of the newest, and whether a part of one cannot be read; or why one cannot
// be opened at all, which is damage. badger reads them in goroutines
// of its own, where what it does not catch ends the process: when it opens a table
// that was cut short, and at any time after, again at every start, when it compacts
// one whose entries do not hang together. Of what reads well and is wrong it tells;
// for content to find is which values those are, and what stood under a key that is
// damaged is gone.
//
// What the manifest does not name, badger removes, as a crash may have left it. If
// countFile says that the manifest had a table that it does not name any more, the
// manifest was cut, or is another one: that is damage, too.
func checkTables(state *os.Root, log *slog.Logger) (newest uint64, doubtful bool, err error) {
	f, err := openRegular(state, "db/MANIFEST")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, false, checkUnnamed(state, 0, math.MaxUint64) // badger makes it before any table
	}
	if errors.Is(err, errNotRegular) {
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return 0, false, err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(""))
	if err != nil {
		return 0, false, fmt.Errorf("manifest: %w", err)
	}
	for id, m := range manifest.Tables {
		newest = max(newest, id)
		data, err := readRegular(state, "db/"+table.IDToFilename(id))
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: the manifest names it, and it is not there", errDamaged)
		}
		if errors.Is(err, errNotRegular) {
			err = fmt.Errorf("%w: %w", errDamaged, err)
		}
		if err != nil {
			return 0, false, fmt.Errorf("table %d: %w", id, err)
		}
		bad, err := checkTable(id, m, data, log)
		if err != nil {
			return 0, false, fmt.Errorf("table %d: %w: %w", id, errDamaged, err)
		}
		doubtful = doubtful || bad
	}
	sealed, err := readRegular(state, countFile)
	if err != nil {
		return newest, doubtful, nil // openCount tells it
	}
	return newest, doubtful, checkUnnamed(state, newest, decodeCounts(sealed).table)
}

// checkUnnamed returns errDamaged if a table is there that the manifest had, since
// its number is at most had, and that is newer than newest, the newest one that the
// manifest has.
func checkUnnamed(state *os.Root, newest, had uint64) error {
	entries, err := fs.ReadDir(state.FS(), "db")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if id, ok := table.ParseFileID(e.Name()); ok && e.Type().IsRegular() && id > newest && id <= had {
			return fmt.Errorf("%w: the manifest does not name table %d, which it did", errDamaged, id)
		}
	}
	return nil
}

// checkTable reads a table through. A block is bad if its checksum is wrong, or if
// badger panics while it compares the checksum. The other blocks are read nevertheless.
func checkTable(id uint64, m badger.TableManifest, data []byte, log *slog.Logger) (bad bool, err error) {
	err = caught(func() error {
		t, err := table.OpenInMemoryTable(data, id, &table.Options{Compression: m.Compression})
		if err != nil {
			return err
		}
		if err := caught(t.VerifyChecksum); err != nil {
			bad = true
			log.Warn("state database has a damaged table; what cannot be read of it is fetched again", "table", id, "err", err)
		}
		it := t.NewIterator(0)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			it.Value()
		}
		return nil
	})
	return bad, err
}

// caught calls f. What badger panics with is an error, errDamaged.
func caught(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errDamaged, v)
		}
	}()
	return f()
}
