package cache

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
)

// The index counts the writes to it, in itself and, once a write is durable, in
// the file "writes" beside it. badger takes a damaged end of its log for one that a
// crash has torn, and an empty directory for a new database, and says nothing: then
// the index has counted fewer than the file at the next start. Nothing depends on
// the file, and it may lag behind, since it is never forced to disk. A table that
// is gone goes unnoticed where a newer log still has the count.
const countFile = "writes"

var countKey = []byte("n/")

// openCount reads both counts, and says so if the index has lost what the file says
// was written.
func (x *index) openCount(state *os.Root) {
	value, err := x.get(countKey)
	if err == nil && len(value) == 8 {
		x.count = binary.BigEndian.Uint64(value)
	}
	if err == nil {
		x.counted, err = state.OpenFile(countFile, os.O_RDWR|os.O_CREATE, 0o600)
	}
	sealed := make([]byte, 12)
	if err == nil {
		if _, err = x.counted.ReadAt(sealed, 0); errors.Is(err, io.EOF) {
			err = nil // a new one
		}
	}
	if err != nil {
		x.uncounted(err)
		return
	}
	content, err := unseal(countKey, sealed)
	if err != nil {
		return // it says nothing
	}
	told := binary.BigEndian.Uint64(content)
	if value == nil {
		if keys, err := x.keys(countKey, countKey); err == nil && len(keys) > 0 {
			x.count = told // that of the index is damaged, as has been said
		}
	}
	if told > x.count {
		x.log.Warn("state database has lost what was written to it last; that is fetched again", "writes", told-x.count)
		x.noteCount()
	}
}

// noteCount has the file say what is durable.
func (x *index) noteCount() {
	if x.counted == nil {
		return
	}
	if _, err := x.counted.WriteAt(seal(countKey, binary.BigEndian.AppendUint64(nil, x.count)), 0); err != nil {
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
