package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/table"
)

// checkTables reads every table of the database as badger will, and returns the
// number of the newest, or why one cannot be read. badger reads them in goroutines
// of its own, where what it does not catch ends the process: when it opens a table
// that was cut short, and at any time after, again at every start, when it compacts
// one whose entries do not hang together. Of what reads well and is wrong it tells;
// for content to find is which values those are, and what stood under a key that is
// damaged is gone.
//
// What the manifest does not name, badger removes. A manifest or a table that is
// not there is left for badger to make or to complain of.
func checkTables(state *os.Root, log *slog.Logger) (newest uint64, err error) {
	f, err := state.Open("db/MANIFEST")
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	manifest, _, err := badger.ReplayManifestFile(f, 0, badger.DefaultOptions(""))
	if err != nil {
		return 0, err
	}
	for id, m := range manifest.Tables {
		newest = max(newest, id)
		data, err := state.ReadFile("db/" + table.IDToFilename(id))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = checkTable(id, m, data, log)
		}
		if err != nil {
			return 0, fmt.Errorf("table %d: %w", id, err)
		}
	}
	return newest, nil
}

// checkTable reads a table through. A block whose checksum is wrong, or of which
// badger panics as it compares that, costs no more than the block.
func checkTable(id uint64, m badger.TableManifest, data []byte, log *slog.Logger) error {
	return caught(func() error {
		t, err := table.OpenInMemoryTable(data, id, &table.Options{Compression: m.Compression})
		if err != nil {
			return err
		}
		if err := caught(t.VerifyChecksum); err != nil {
			log.Warn("state database has a damaged table; what cannot be read of it is fetched again", "table", id, "err", err)
		}
		it := t.NewIterator(0)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			it.Value()
		}
		return nil
	})
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
