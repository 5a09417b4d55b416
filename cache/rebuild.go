package cache

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
)

// A database that is set aside still has most of what was written to it: its logs,
// which badger replays by itself, and its tables. Each value that can be read of
// them is true, however old it is. A record points at a generation, and a bit says of a
// generation that a block was durable, which it is as long as there is a blob of
// that generation. Every value carries a checksum over itself and its key.

// copyLogs gives the new database the logs of the one set aside, which badger then
// replays. A log that cannot be copied is left out.
func (o opener) copyLogs(aside string) {
	entries, err := fs.ReadDir(o.state.FS(), aside)
	if err != nil {
		o.log.Warn("logs of the damaged state database cannot be read", "err", err)
		return
	}
	for _, e := range entries {
		// badger keeps the log of a table that is still in memory in a file NNNNN.mem.
		if !strings.HasSuffix(e.Name(), ".mem") || !isLog(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		if err := copyRegular(o.state, "db/"+e.Name(), o.state, aside+"/"+e.Name()); err != nil {
			o.log.Warn("a log of the damaged state database cannot be read", "log", e.Name(), "err", err)
		}
	}
}

// emptyDatabase removes everything from the new database.
func (o opener) emptyDatabase() error {
	entries, err := fs.ReadDir(o.state.FS(), "db")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := o.state.RemoveAll("db/" + e.Name()); err != nil {
			return err
		}
	}
	return nil
}

// copyRegular copies a regular file from one directory to another. What is no regular
// file, or a symbolic link, is an error.
func copyRegular(to *os.Root, name string, from *os.Root, source string) error {
	in, err := openRegular(from, source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// rebuild writes to the index what the tables of the database that was set aside
// have, unless the index has it from a log, which is newer. It reads all keys
// twice, and keeps them in memory meanwhile.
func (x *index) rebuild(state *os.Root, aside string) error {
	// A key may stand in several tables, each time with the version that badger gave to it. Only the
	// newest one may be taken, so a first pass finds out which that is.
	newest := map[string]uint64{}
	salvage(state, aside, x.log, func(key []byte, version uint64, _ y.ValueStruct) {
		newest[string(key)] = max(newest[string(key)], version)
	})
	values := 0
	b := x.batch()
	salvage(state, aside, x.log, func(key []byte, version uint64, v y.ValueStruct) {
		if b.err != nil || version != newest[string(key)] || v.Meta&(metaDeleted|metaPointer) != 0 || string(key) == string(countKey) {
			return
		}
		// A value whose checksum is wrong is as good as lost, and is fetched again.
		content, err := unseal(key, v.Value)
		if err != nil {
			return
		}
		known, err := x.get(key)
		if err != nil {
			b.err = err
		}
		// A log has what was written after the tables, so a key that came from a log stays as it is.
		if known == nil {
			b.set(key, content)
			values++
		}
	})
	if err := x.write(b); err != nil {
		return err
	}
	x.log.Warn("state database was rebuilt from the tables of the damaged one", "values", values)
	return nil
}

// The bits of badger's meta byte that say that a key was deleted, or that its value
// is in the value log, where dlfs has none (value.go of badger).
const (
	metaDeleted = 1 << 0
	metaPointer = 1 << 1
)

// salvage calls f with all entries that can be read in the tables of a database. A
// table that is damaged is read as far as that goes.
func salvage(state *os.Root, dir string, log *slog.Logger, f func(key []byte, version uint64, v y.ValueStruct)) {
	entries, err := fs.ReadDir(state.FS(), dir)
	if err != nil {
		log.Warn("tables of the damaged state database cannot be read", "err", err)
		return
	}
	for _, e := range entries {
		id, ok := table.ParseFileID(e.Name())
		if !ok || !tableName.MatchString(e.Name()) || !e.Type().IsRegular() {
			continue
		}
		data, err := readRegular(state, dir+"/"+e.Name())
		if err == nil {
			err = eachEntry(id, data, f)
		}
		if err != nil {
			log.Debug("a table of the damaged state database cannot be read to its end", "table", id, "err", err)
		}
	}
}

// eachEntry calls f with the entries of a table. The value is f's only until it
// returns.
func eachEntry(id uint64, data []byte, f func(key []byte, version uint64, v y.ValueStruct)) error {
	return caught(func() error {
		t, err := table.OpenInMemoryTable(data, id, &table.Options{})
		if err != nil {
			return err
		}
		it := t.NewIterator(0)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			// badger appends the version of an entry to its key, in 8 bytes.
			if key := it.Key(); len(key) > 8 {
				f(slices.Clone(y.ParseKey(key)), y.ParseTs(key), it.Value())
			}
		}
		return nil
	})
}
