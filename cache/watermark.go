package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// countFile is a file beside the index that says what is durable of it. badger takes
// a damaged end of its log or of its manifest for one that a crash has torn, and a
// directory without them for a new database, and says nothing: then the index has
// less than the file says at the next start. Nothing depends on the file, and it may
// lag behind, since it is never forced to disk.
const countFile = "writes"

// countKey is under which the index counts the writes to it.
var countKey = []byte("n/")

// counts tell how far an index is. Both only go up: each write is counted, and
// a table that badger makes of others has a higher number than they.
type counts struct {
	writes uint64
	table  uint64 // number of the newest one in the manifest
}

// encode returns the counts as they are stored: both numbers in eight bytes,
// big-endian.
func (c counts) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, c.writes), c.table)
}

// openCount compares the index with what the file says was in it, and says so if
// something is lost. newest is the newest table of the manifest before the index
// was opened.
func (x *index) openCount(state *os.Root, newest uint64) error {
	value, err := x.get(countKey)
	if err != nil {
		return err
	}
	if len(value) == 8 {
		x.count = binary.BigEndian.Uint64(value)
	}
	if x.told, err = x.readCounts(state); err != nil {
		x.uncounted(err)
		return nil
	}
	if value == nil {
		if keys, err := x.keys(countKey, countKey); err == nil && len(keys) > 0 {
			x.count = x.told.writes // the count of the index is damaged, and the log has said so
		}
	}
	if x.told.writes > x.count || x.told.table > newest {
		x.lost.Store(true)
		x.log.Warn("state database has lost what was written to it; that is fetched again",
			"writes", fmt.Sprintf("%d of %d", x.count, x.told.writes), "newest_table", fmt.Sprintf("%d, was %d", newest, x.told.table))
	}
	x.tell(counts{x.count, x.newestTable()})
	return nil
}

// readCounts opens the file and returns what it says, nothing if it is new or cannot
// be trusted.
func (x *index) readCounts(state *os.Root) (told counts, err error) {
	if x.counted, err = openRegularAs(state, countFile, os.O_RDWR|os.O_CREATE); err != nil {
		return told, err
	}
	sealed := make([]byte, len(told.encode())+sealBytes)
	if _, err := x.counted.ReadAt(sealed, 0); err != nil && !errors.Is(err, io.EOF) {
		return told, err
	}
	return decodeCounts(sealed), nil
}

// decodeCounts parses what the file says, nothing if it cannot be trusted.
func decodeCounts(sealed []byte) counts {
	content, err := unseal(countKey, sealed)
	if err != nil || len(content) != len(counts{}.encode()) {
		return counts{}
	}
	return counts{binary.BigEndian.Uint64(content), binary.BigEndian.Uint64(content[8:])}
}

// newestTable returns the number of the newest table. The manifest has it, and was
// forced to disk with it.
func (x *index) newestTable() (newest uint64) {
	for _, t := range x.db.Tables() {
		newest = max(newest, t.ID)
	}
	return newest
}

// tellTables has the file know of tables that badger has made of its log since the
// last write.
func (x *index) tellTables() {
	x.writer.Lock()
	defer x.writer.Unlock()
	if x.failed == nil && x.closing == nil { // else badger may be closed
		x.tell(counts{x.told.writes, x.newestTable()})
	}
}

// tell has the file say what is durable.
func (x *index) tell(c counts) {
	if x.counted == nil || c == x.told {
		return
	}
	if _, err := x.counted.WriteAt(seal(countKey, c.encode()), 0); err != nil {
		x.uncounted(err)
	}
	x.told = c
}

// uncounted does without the file from here on, and says so.
func (x *index) uncounted(err error) {
	x.log.Warn("what is lost of the state database may go unnoticed", "err", err)
	if x.counted != nil {
		x.counted.Close() // a write to it has failed already
		x.counted = nil
	}
}
