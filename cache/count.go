package cache

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// The index counts the writes to it, in itself and, once a write is durable, in
// the file "writes" beside it, which also has the number of its newest table: they
// go up. badger takes a damaged end of its log or of its manifest for one that a
// crash has torn, and a directory without them for a new database, and says
// nothing: then the index has fewer than the file at the next start. Nothing
// depends on the file, and it may lag behind, since it is never forced to disk.
const countFile = "writes"

var countKey = []byte("n/")

// openCount compares the index with what the file says was in it, and says so if
// something is lost. newest is the newest table of the manifest before the index
// was opened.
func (x *index) openCount(state *os.Root, newest uint64) {
	value, err := x.get(countKey)
	if err == nil && len(value) == 8 {
		x.count = binary.BigEndian.Uint64(value)
	}
	if err == nil {
		x.counted, err = state.OpenFile(countFile, os.O_RDWR|os.O_CREATE, 0o600)
	}
	sealed := make([]byte, 20)
	if err == nil {
		if _, err = x.counted.ReadAt(sealed, 0); errors.Is(err, io.EOF) {
			err = nil // a new one
		}
	}
	if err != nil {
		x.uncounted(err)
		return
	}
	if content, err := unseal(countKey, sealed); err == nil { // else it says nothing
		count, table := binary.BigEndian.Uint64(content), binary.BigEndian.Uint64(content[8:])
		if value == nil {
			if keys, err := x.keys(countKey, countKey); err == nil && len(keys) > 0 {
				x.count = count // that of the index is damaged, as has been said
			}
		}
		if count > x.count || table > newest {
			x.log.Warn("state database has lost what was written to it; that is fetched again",
				"writes", max(count, x.count)-x.count, "tables", max(table, newest)-newest)
		}
	}
	x.noteCount()
}

// noteCount has the file say what is durable.
func (x *index) noteCount() {
	if x.counted == nil {
		return
	}
	newest := uint64(0)
	for _, t := range x.db.Tables() { // which are in the manifest, and that is forced to disk
		newest = max(newest, t.ID)
	}
	content := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, x.count), newest)
	if _, err := x.counted.WriteAt(seal(countKey, content), 0); err != nil {
		x.uncounted(err)
	}
}

// uncounted does without the file from here on, and says so.
func (x *index) uncounted(err error) {
	x.log.Warn("what is lost of the state database may go unnoticed", "err", err)
	if x.counted != nil {
		x.counted.Close() // it failed already
		x.counted = nil
	}
}
