package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
	"golang.org/x/sys/unix"

	"dlfs/cache/lockorder"
)

// index is the durable state in badger:
//
//	f/<name>                     the record of a name
//	b/<generation 8><chunk 4>    256 bytes of bitmap
//	l/<number 4>                 some 64 KiB of the list
//	m/<key>                      what Remember was told
//	n/                           the count of writes
//
// Numbers are big-endian. Every value ends in a CRC32C over its key and
// content; one that does not check is treated as absent, because badger hands
// out a flipped byte of a table without an error.
//
// Nothing is invalidated by deleting keys: a deleted key may come back after a
// crash. A record points at a fresh random generation instead, and chunks of a
// generation no record points at mean nothing.
type index struct {
	// Constant data
	dir   *os.File                   // the database directory, fsynced after each write
	files *os.Root                   // the same
	again func() (*badger.DB, error) // opens the database once more

	roomToWrite     func() error // returns ErrNoSpace unless the disk has room for one more write
	roomForMemtable func() error // returns an error unless it has room for a new memtable, too

	log *slog.Logger

	writer  lockorder.Mutex[lockorder.Writer] // held from batch to write
	failed  error                             // error of badger's last write: badger writes no more before it is opened again; guarded by writer
	written int64                             // bytes given to the memtable, roughly; guarded by writer
	current string                            // the memtable's file when it was last looked at; guarded by writer
	flushed int                               // memtables since the tables were last merged; guarded by writer
	closing chan error                        // what Close of db says, once it does; nil unless it was called; guarded by writer
	count   uint64                            // how many writes there were; guarded by writer
	counted *os.File                          // countFile; nil if it is of no use; guarded by writer
	told    counts                            // what that says; guarded by writer

	lost  atomic.Bool // something that was written to it cannot be read, or may be gone
	blank atomic.Bool // this process made it, and no record was written to it yet

	use lockorder.RWMutex[lockorder.Use] // held over each reading transaction; alone while db is replaced
	db  *badger.DB
}

// closeTimeout is how long badger may take to close; failedTimeout, when it could
// not write before: its Close then retries for as long as that is so.
const (
	closeTimeout  = 10 * time.Second
	failedTimeout = time.Second
)

// memTableSize is for a database that is opened in some 10 ms and takes little
// memory.
const memTableSize = 2 << 20

// valueThreshold is from how many bytes on badger would put a value into its value log,
// whose failed syncs it only logs. maxValue is the longest value that, sealed, stays
// in its tables, more than any name, header or part of the list.
const (
	valueThreshold = 128 << 10
	maxValue       = valueThreshold - sealBytes - 1
)

// openBadger opens the database at path with small settings: it is opened in
// some 10 ms and keeps memory to tens of megabytes. SyncWrites makes a batch
// durable before Flush returns.
func openBadger(path string) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(path).
		WithSyncWrites(true).
		WithMemTableSize(memTableSize).
		WithNumMemtables(2).
		WithNumLevelZeroTables(2).
		WithNumLevelZeroTablesStall(1 << 20). // never: no compaction would end a stall
		WithNumCompactors(0).                 // tidy does it, when there is room
		WithBaseTableSize(1 << 20).
		WithValueLogFileSize(1 << 20).
		WithValueThreshold(valueThreshold).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithMetricsEnabled(false).
		WithDetectConflicts(false).
		WithLogger(nil))
}

// errDamaged wraps what badger panics with when it meets a damaged table.
var errDamaged = errors.New("state database is damaged")

// view reads in one transaction. A table whose damage badger does not catch
// makes it panic; that is an error here, errDamaged.
func (x *index) view(f func(txn *badger.Txn) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v", errDamaged, v)
			x.lost.Store(true)
			x.log.Warn("what cannot be read of the state is fetched again", "err", err)
		}
	}()
	x.use.RLock()
	defer x.use.RUnlock()
	if err = x.db.View(f); errors.Is(err, badger.ErrDBClosed) {
		err = fmt.Errorf("state database waits for a disk that failed: %w", err)
	}
	return err
}

// get returns the content of key, nil if it is absent or cannot be trusted.
func (x *index) get(key []byte) (value []byte, err error) {
	err = x.view(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		return x.content(item, func(content []byte) { value = slices.Clone(content) })
	})
	if errors.Is(err, badger.ErrKeyNotFound) || errors.Is(err, errDamaged) {
		return nil, nil
	}
	return value, err
}

var errPointer = errors.New("it points into the value log, where nothing is")

// content calls f with the content of item, which is f's only until it returns. A
// damaged one is logged and taken for absent.
//
// badger itself would follow a damaged entry into its value log, and leave a lock
// behind there for which its Close waits. The sizes it reports give one away, or it
// panics over one too short to be a pointer, which view catches.
func (x *index) content(item *badger.Item, f func(content []byte)) error {
	if item.EstimatedSize()-item.ValueSize() != item.KeySize() {
		x.distrust(item.Key(), errPointer)
		return nil
	}
	return item.Value(func(sealed []byte) error {
		content, err := unseal(item.Key(), sealed)
		if err != nil {
			x.distrust(item.Key(), err)
			return nil
		}
		f(content)
		return nil
	})
}

// distrust notes that a value is damaged. Its blocks are taken as missing and are
// fetched again; a damaged state is never an error of the store.
func (x *index) distrust(key []byte, err error) {
	x.lost.Store(true)
	x.log.Warn("state value is damaged; what it said is fetched again", "key", fmt.Sprintf("%q", key), "err", err)
}

// record returns what is known of name; ok is false if nothing is.
func (x *index) record(name string) (r record, ok bool, err error) {
	if x.blank.Load() { // each name of a new list is looked up
		return r, false, nil
	}
	value, err := x.get(recordKey(name))
	if value == nil || err != nil {
		return r, false, err
	}
	r, ok = x.decode(name, value)
	return r, ok, nil
}

// decode returns a record; ok is false for one that is damaged. Then the file counts as not
// fetched, and the loss is told in the log.
func (x *index) decode(name string, value []byte) (r record, ok bool) {
	r, err := decodeRecord(value)
	if err != nil {
		x.lost.Store(true)
		x.log.Warn("state record is not readable; its file is fetched again", "name", name, "err", err)
	}
	return r, err == nil
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
	return x.walk(prefix, prefix, func(item *badger.Item) (more bool, err error) {
		return true, x.content(item, func(content []byte) { f(item.Key(), content) })
	})
}

// keys returns the keys under prefix from first on. It does not read their values. A
// damaged table hides some of the keys.
func (x *index) keys(prefix, first []byte) (keys [][]byte, err error) {
	err = x.walk(prefix, first, func(item *badger.Item) (more bool, err error) {
		keys = append(keys, item.KeyCopy(nil))
		return true, nil
	})
	if errors.Is(err, errDamaged) {
		return keys, nil
	}
	return keys, err
}

// walk calls f with what is under prefix, in order, from first on, in one
// transaction, until f wants no more or fails. badger does not notice that a key
// was damaged, and would end there: it is errDamaged here, if it shows.
func (x *index) walk(prefix, first []byte, f func(item *badger.Item) (more bool, err error)) error {
	return x.view(func(txn *badger.Txn) error {
		opt := badger.DefaultIteratorOptions
		opt.PrefetchValues = false
		if len(prefix) > len(recordPrefix) {
			opt.Prefix = prefix // few tables have keys of it
		}
		it := txn.NewIterator(opt)
		defer it.Close()
		last := slices.Clone(first)
		for it.Seek(first); it.Valid(); it.Next() {
			key := it.Item().Key()
			ordered := bytes.Compare(key, last) >= 0
			if ordered && bytes.HasPrefix(key, prefix) {
				last = append(last[:0], key...)
				if more, err := f(it.Item()); !more || err != nil {
					return err
				}
				continue
			}
			if !ordered || len(key) < 2 || key[1] != '/' || !strings.ContainsRune("bflmn", rune(key[0])) {
				x.lost.Store(true)
				x.log.Warn("state has a key that cannot be; what it stood for is fetched again", "key", fmt.Sprintf("%q", key))
				return errDamaged
			}
			return nil
		}
		return nil
	})
}

// isEmpty reports whether it was found to have no key.
func (x *index) isEmpty() bool {
	empty := true
	err := x.walk(nil, nil, func(*badger.Item) (more bool, err error) {
		empty = false
		return false, nil
	})
	return empty && err == nil
}

// close ends badger. It dies of a full disk, and waits for ever where it can make no
// file, so there it is left as a kill would leave it, and so it is after a while
// where it cannot write. Everything acknowledged is on disk already.
func (x *index) close() error {
	x.writer.Lock()
	defer x.writer.Unlock()
	err := x.roomToWrite()
	if err == nil {
		err = x.mayMakeFiles()
	}
	if isRemoved(x.dir) {
		err = errors.New("it was removed") // badger would wait for it to come back
	}
	untidy := err != nil || x.failed != nil
	switch {
	case err != nil:
	case untidy:
		err = x.closeDB(failedTimeout)
	default:
		err = x.closeDB(closeTimeout)
	}
	if untidy && err != nil {
		x.log.Warn("state database is not tidied up; what it acknowledged is safe", "err", err)
		err = nil
	}
	if x.counted != nil {
		err = errors.Join(err, x.counted.Close())
	}
	return errors.Join(err, x.files.Close(), x.dir.Close())
}

// mayMakeFiles reports ErrNoInodes unless badger can make the files of its end.
func (x *index) mayMakeFiles() error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(x.dir.Fd()), &st); err != nil {
		return fmt.Errorf("statfs of the state database: %w", err)
	}
	if _, inodes := spaceOf(&st); inodes < fewInodes {
		return ErrNoInodes
	}
	return nil
}

// closeDB waits for badger's Close, which is called once and goes on beyond a
// timeout. Transactions fail from then on.
func (x *index) closeDB(timeout time.Duration) error {
	if x.closing == nil {
		db, done := x.db, make(chan error, 1)
		go func() { done <- db.Close() }() // owned by closing, or by the end of the process
		x.closing = done
	} else {
		timeout = 0 // an earlier call has waited for it
	}
	select {
	case err := <-x.closing:
		x.closing = nil
		return err
	case <-time.After(timeout):
		return errors.New("state database does not close")
	}
}
