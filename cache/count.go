package cache

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
)

// The index counts the writes to it, in itself and, once a write is durable, in
// the file "writes" beside it. badger takes a damaged log for one that a crash has
// torn, and an empty directory for a new database, and says nothing: then the
// index has counted fewer than the file. The file may lag behind, since it is
// never forced to disk.
const countFile = "writes"

var countKey = []byte("n/")

// openCount opens the file, and says so if the index has lost what it says was
// written.
func (x *index) openCount(state *os.Root) (err error) {
	value, err := x.get(countKey)
	if err != nil {
		return err
	}
	if len(value) == 8 {
		x.count = binary.BigEndian.Uint64(value)
	}
	if x.counted, err = state.OpenFile(countFile, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	sealed := make([]byte, 12)
	if _, err := x.counted.ReadAt(sealed, 0); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, x.counted.Close())
	}
	value, err = unseal(countKey, sealed)
	if err != nil {
		return nil // a new one, or one that says nothing
	}
	if n := binary.BigEndian.Uint64(value); n > x.count {
		x.log.Warn("state database has lost what was written to it last; that is fetched again", "writes", n-x.count)
	}
	return nil
}

// noteCount has the file say what is durable.
func (x *index) noteCount() {
	if _, err := x.counted.WriteAt(seal(countKey, binary.BigEndian.AppendUint64(nil, x.count)), 0); err != nil {
		x.log.Warn("what is lost of the state database may go unnoticed", "err", err)
	}
}

// forgetCount removes the file, for an index that begins anew.
func forgetCount(state *os.Root) error {
	if err := state.Remove(countFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
