package cache

import (
	"encoding/binary"
	"fmt"

	"github.com/dgraph-io/badger/v4"
)

// batch collects changes for one synced write. There is one at a time: the goroutine
// that has the batch ends it with write.
type batch struct {
	index   *index
	wb      *badger.WriteBatch // nil if err says why there is none
	changed bool               // there is something to write
	asked   int64              // index.written when the room was last looked at; 0 if it was not
	err     error
}

// batch begins a batch. It blocks until the batch of another caller has been written.
func (x *index) batch() *batch {
	x.writer.Lock() // until write
	b := &batch{index: x, err: x.ready()}
	if b.err == nil {
		b.wb = x.db.NewWriteBatch()
	}
	return b
}

// ready sees to it that badger can write.
func (x *index) ready() error {
	if err := x.roomToWrite(); err != nil {
		return err
	}
	if x.failed != nil {
		if err := x.revive(); err != nil {
			return fmt.Errorf("%w; it did not open again: %w", x.failed, err)
		}
	}
	if err := x.reserve(); err != nil {
		return err
	}
	return x.tidy()
}

// looseTables is how many memtables are flushed before their tables are merged.
const looseTables = 8

// tidy merges tables, now and then and when there is room: badger's own
// compactors would do it at any time, on a full disk, too.
func (x *index) tidy() error {
	if x.flushed < looseTables || x.roomForMemtable() != nil {
		return nil
	}
	x.flushed = 0
	if x.db.Levels()[0].NumTables < looseTables {
		return nil
	}
	if err := x.db.Flatten(1); err != nil {
		return fmt.Errorf("merge tables: %w", err)
	}
	return nil
}

// revive opens the database anew after a failed write. A failed sync may leave
// a hole in the log. A replay stops at the hole and loses the entries behind it, although
// their writes were acknowledged. And without a memtable badger ends the process at the
// next write. Closing the database writes all that it has in memory into a table.
func (x *index) revive() error {
	x.use.Lock()
	defer x.use.Unlock()
	if err := x.closeDB(failedTimeout); err != nil {
		return err
	}
	db, err := x.again()
	if err != nil {
		return err
	}
	x.log.Warn("state database was opened again after a failed write", "err", x.failed)
	x.db, x.failed, x.written, x.flushed = db, nil, 0, looseTables
	return nil
}

// set has key mean value, which must be no longer than maxValue.
func (b *batch) set(key, value []byte) {
	if len(value) > maxValue && b.err == nil {
		b.err = fmt.Errorf("%.40q has a value of %d bytes, too long for the state", key, len(value))
	}
	if b.grow(len(key)+len(value)) != nil {
		return
	}
	if b.err = b.wb.Set(key, seal(key, value)); b.err != nil {
		b.index.failed = b.err
	}
}

// delete adds the removal of a key. An error is kept in b.err, and later calls do nothing.
func (b *batch) delete(key []byte) {
	if b.grow(len(key)) != nil {
		return
	}
	if b.err = b.wb.Delete(key); b.err != nil {
		b.index.failed = b.err
	}
}

// entryBytes is roughly what badger adds to an entry in its memtable.
const entryBytes = 100

// roomStep is after how many more bytes of one batch the room is looked at again.
const roomStep = 64 << 10

// grow counts n bytes for the memtable. When it is about to be full, there must
// be room for the table it becomes and for the next one.
func (b *batch) grow(n int) error {
	if b.err != nil {
		return b.err
	}
	x := b.index
	b.changed = true
	x.written += int64(n + entryBytes)
	if x.written > memTableSize/2 && (b.asked == 0 || x.written > b.asked+roomStep) {
		b.asked = x.written
		b.err = x.roomForMemtable()
	}
	return b.err
}

// setRecord writes the record of a name. The index is not blank any more: from now on
// names are looked up in it.
func (b *batch) setRecord(name string, r record) {
	b.index.blank.Store(false)
	b.set(recordKey(name), r.encode())
}

// setChunk writes the bits of one chunk of blocks of a generation.
func (b *batch) setChunk(gen uint64, c int64, w *words) {
	b.set(chunkKey(gen, c), w.encode())
}

// setBits adds the bits of the blocks that a claim took, whose bytes are on disk.
func (b *batch) setBits(c *claim) {
	for chunk := range c.taken {
		w := c.blob.durableBits(chunk)
		b.setChunk(c.blob.gen, chunk, &w)
	}
}

// forget deletes the chunks of gen, which nothing points at any more. It saves
// room; correctness does not depend on it.
func (b *batch) forget(gen uint64, size int64) {
	n := (geometry{size}).blocks()
	for c := int64(0); c*chunkBlocks < n && b.err == nil; c++ {
		b.delete(chunkKey(gen, c))
	}
}

// write makes the batch durable: when it returns nil, all of it is on disk.
// badger does not fsync the directory of a memtable file it has just added, so
// write does. A large batch may be split into several transactions; readers of
// the index depend on no two keys changing together.
func (x *index) write(b *batch) error {
	defer x.writer.Unlock()
	if b.changed {
		// The count is the last entry of the batch: if the log loses an entry of the
		// batch, it loses the count, too. The count is not lowered after a failed write,
		// because the write may be in the log nevertheless.
		x.count++
		b.set(countKey, binary.BigEndian.AppendUint64(nil, x.count))
	}
	if b.err != nil {
		if b.wb != nil {
			b.wb.Cancel()
		}
		return b.err
	}
	if err := b.wb.Flush(); err != nil {
		x.failed = err
		return err
	}
	step("index written")
	if err := x.dir.Sync(); err != nil || !b.changed {
		return err
	}
	x.tell(counts{x.count, x.newestTable()})
	return nil
}
