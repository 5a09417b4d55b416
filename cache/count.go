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

// openCount opens the file, and says so if the index has lost what it says was
// written.
func (x *index) openCount(state *os.Root) {
	f, err := state.OpenFile(countFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		x.uncounted(err)
		return
	}
	x.counted = f
	var told uint64
	sealed := make([]byte, 12)
	if _, err := f.ReadAt(sealed, 0); err != nil && !errors.Is(err, io.EOF) {
		x.uncounted(err)
	} else if value, err := unseal(countKey, sealed); err == nil {
		told = binary.BigEndian.Uint64(value)
	} // else it is new, or says nothing
	value, err := x.get(countKey)
	if err != nil {
		x.uncounted(err)
		return
	}
	if len(value) == 8 {
		x.count = binary.BigEndian.Uint64(value)
	} else if keys, err := x.keys(countKey, countKey); err == nil && len(keys) > 0 {
		x.count = told // the count itself is damaged, as has been said
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
