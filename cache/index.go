package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// index is the durable state in badger:
//
//	f/<name>                     the record of a name
//	b/<generation 8><chunk 4>    256 bytes of bitmap
//	l/<number 4>                 some 64 KiB of the list
//	m/<key>                      what Remember was told
//
// Numbers are big-endian. Every value ends in a CRC32C over its key and
// content; one that does not check is treated as absent, because badger hands
// out a flipped byte of a table without an error.
//
// Nothing is invalidated by deleting keys: a deleted key may come back after a
// crash. A record points at a fresh random generation instead, and chunks of a
// generation no record points at mean nothing.
type index struct {
	db  *badger.DB
	dir *os.File // the database directory, fsynced after each write
	log *slog.Logger
}

const closeTimeout = 10 * time.Second

// openBadger opens the database at path with small settings: it is opened in
// some 10 ms and keeps memory to tens of megabytes. SyncWrites makes a batch
// durable before Flush returns. All values stay below ValueThreshold, so the
// value log, whose failed syncs badger only logs, stays empty.
func openBadger(path string) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(path).
		WithSyncWrites(true).
		WithMemTableSize(2 << 20).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(4).
		WithNumCompactors(2).
		WithBaseTableSize(1 << 20).
		WithValueLogFileSize(1 << 20).
		WithValueThreshold(128 << 10).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithLogger(nil))
}

var recordPrefix = []byte("f/")

func recordKey(name string) []byte { return append(slices.Clip(recordPrefix), name...) }

func chunkKey(gen uint64, c int64) []byte {
	k := binary.BigEndian.AppendUint64([]byte("b/"), gen)
	return binary.BigEndian.AppendUint32(k, uint32(c))
}

func generationPrefix(gen uint64) []byte { return chunkKey(gen, 0)[:10] }

// errDamaged wraps what badger panics with when it meets a damaged table.
var errDamaged = errors.New("state database is damaged")

// view reads in one transaction. A table whose damage badger does not catch
// makes it panic; that is an error here, errDamaged.
func (x *index) view(f func(txn *badger.Txn) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errDamaged, v)
			x.log.Warn("what cannot be read of the state is fetched again", "err", err)
		}
	}()
	return x.db.View(f)
}

// get returns the content of key, nil if it is absent or cannot be trusted.
func (x *index) get(key []byte) (value []byte, err error) {
	err = x.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		sealed, err := item.ValueCopy(nil)
		if err == nil {
			value = x.trust(key, sealed)
		}
		return err
	})
	if errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, errDamaged) {
		return nil, nil
	}
	return value, err
}

// trust unseals a value; a damaged one is logged and absent.
func (x *index) trust(key, sealed []byte) []byte {
	value, err := unseal(key, sealed)
	if err != nil {
		x.log.Warn("state value is damaged; what it said is fetched again", "key", fmt.Sprintf("%q", key), "err", err)
		return nil
	}
	return value
}

// record returns what is known of name; ok is false if nothing is.
func (x *index) record(name string) (r record, ok bool, err error) {
	value, err := x.get(recordKey(name))
	if value == nil || err != nil {
		return r, false, err
	}
	if r, err = decodeRecord(value); err != nil {
		x.log.Warn("state record is not readable; its file is fetched again", "name", name, "err", err)
		return r, false, nil
	}
	return r, true, nil
}

// chunks calls f with every trusted bitmap chunk of gen.
func (x *index) chunks(gen uint64, f func(c int64, w *words)) error {
	err := x.scan(generationPrefix(gen), func(key, value []byte) {
		if len(key) != 14 || len(value) != chunkBytes {
			return
		}
		var w words
		for k := range w {
			w[k] = binary.LittleEndian.Uint64(value[8*k:])
		}
		f(int64(binary.BigEndian.Uint32(key[10:])), &w)
	})
	if errors.Is(err, errDamaged) {
		return nil // fewer bits than there could be
	}
	return err
}

// scan calls f with every trusted key and value under prefix. Both are f's
// only until it returns. After errDamaged, f has seen some of them.
func (x *index) scan(prefix []byte, f func(key, value []byte)) error {
	return x.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = prefix
		opt.PrefetchValues = false
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Rewind(); it.Valid(); it.Next() {
			key := it.Item().Key()
			err := it.Item().Value(func(sealed []byte) error {
				if value := x.trust(key, sealed); value != nil {
					f(key, value)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// keys returns the keys under prefix from first on, whatever their values. A
// damaged table hides some of them.
func (x *index) keys(prefix, first []byte) (keys [][]byte, err error) {
	err = x.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.Prefix = prefix
		opt.PrefetchValues = false
		it := txn.NewIterator(opt)
		defer it.Close()
		for it.Seek(first); it.Valid(); it.Next() {
			keys = append(keys, it.Item().KeyCopy(nil))
		}
		return nil
	})
	if errors.Is(err, errDamaged) {
		return keys, nil
	}
	return keys, err
}

// batch collects changes for one synced write.
type batch struct {
	wb  *badger.WriteBatch
	err error
}

func (x *index) batch() *batch { return &batch{wb: x.db.NewWriteBatch()} }

func (b *batch) set(key, value []byte) {
	if b.err == nil {
		b.err = b.wb.Set(key, seal(key, value))
	}
}

func (b *batch) setRecord(name string, r record) { b.set(recordKey(name), r.encode()) }

func (b *batch) setChunk(gen uint64, c int64, w *words) {
	value := make([]byte, 0, chunkBytes+4)
	for _, v := range w {
		value = binary.LittleEndian.AppendUint64(value, v)
	}
	b.set(chunkKey(gen, c), value)
}

// forget deletes the chunks of gen, which nothing points at any more. It saves
// room; correctness does not depend on it.
func (b *batch) forget(gen uint64, size int64) {
	n := (geometry{size}).blocks()
	for c := int64(0); c*chunkBlocks < n && b.err == nil; c++ {
		b.delete(chunkKey(gen, c))
	}
}

func (b *batch) delete(key []byte) {
	if b.err == nil {
		b.err = b.wb.Delete(key)
	}
}

// write makes the batch durable: when it returns nil, all of it is on disk.
// badger does not fsync the directory of a memtable file it has just added, so
// write does. A large batch may be split into several transactions; readers of
// the index depend on no two keys changing together.
func (x *index) write(b *batch) error {
	if b.err != nil {
		b.wb.Cancel()
		return b.err
	}
	if err := b.wb.Flush(); err != nil {
		return err
	}
	return x.dir.Sync()
}

// close ends badger. Its Close retries a failing flush for ever, so it is given
// closeTimeout; everything acknowledged is on disk already.
func (x *index) close() error {
	done := make(chan error, 1)
	go func() { done <- x.db.Close() }() // owned by close, or by the end of the process
	var err error
	select {
	case err = <-done:
	case <-time.After(closeTimeout):
		err = fmt.Errorf("state database does not close within %v; what it acknowledged is safe", closeTimeout)
	}
	return errors.Join(err, x.dir.Close())
}
