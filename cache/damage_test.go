package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4"
)

// TestBlobFileWasDamaged: what the index says of a file that is gone or cut
// short is not believed.
func TestBlobFileWasDamaged(t *testing.T) {
	for what, damage := range map[string]func(path string) error{
		"deleted": os.Remove,
		"cut":     func(path string) error { return os.Truncate(path, blobSize-1) },
		"grown":   func(path string) error { return os.Truncate(path, blobSize+1) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		dir := closedStore(t)
		files, err := filepath.Glob(filepath.Join(dir, ".dlfs", "blobs", "*"))
		check(t, err)
		check(t, damage(files[0]))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		b := lookup(t, s, "unfinished")
		log.want(t, 1, "is gone or was cut short")
		wantBlocks(t, b)
		if b.id() == filepath.Base(files[0]) {
			t.Errorf("%s: the generation is used again", what)
		}
		put(t, b, 1)
		s = reopen(t, s)
		wantBlocks(t, lookup(t, s, "unfinished"), 1)
		wantDir(t, blobsOf(s), b.id())
	}
}

// TestBlobFileWasNeverSized stands for a crash between the making of a blob's
// file and its first block.
func TestBlobFileWasNeverSized(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	syncNow(t, s)
	check(t, os.WriteFile(filepath.Join(blobsOf(s), b.id()), nil, 0o600))
	s = reopen(t, s)
	put(t, lookup(t, s, "a"), 0)
	wantBlocks(t, lookup(t, reopen(t, s), "a"), 0)
}

func TestOrphansAreSwept(t *testing.T) {
	dir := closedStore(t)
	orphan := filepath.Join(dir, ".dlfs", "blobs", blobID(42))
	check(t, os.WriteFile(orphan, []byte("orphan"), 0o600))
	check(t, os.MkdirAll(orphan+".d/sub", 0o700))
	s := open(t, dir, Options{})
	published := lookup(t, s, "finished").id() // linked, and not unlinked before a crash
	check(t, os.WriteFile(filepath.Join(blobsOf(s), published), nil, 0o600))
	s = reopen(t, s)
	b := lookup(t, s, "unfinished")
	wantDir(t, blobsOf(s), b.id())
	wantBlocks(t, b, 0, 2)
}

// TestBitmapWasDamaged flips a byte of each chunk in the database: that chunk's
// blocks are missing again, and no other's.
func TestBitmapWasDamaged(t *testing.T) {
	rng := random(t)
	for c := range int64(3) {
		var log logLines
		s := open(t, t.TempDir(), Options{Log: log.logger()})
		b := create(t, s, "a", 3*chunkSize)
		for chunk := range int64(3) {
			put(t, b, chunk*chunkBlocks, chunk*chunkBlocks+99)
		}
		syncNow(t, s)
		flip(t, s.index, chunkKey(b.gen, c), rng.Int())
		s = reopen(t, s)
		b = lookup(t, s, "a")
		log.want(t, 1, "state value is damaged")
		for chunk := range int64(3) {
			for _, i := range []int64{chunk * chunkBlocks, chunk*chunkBlocks + 99} {
				if b.bits.has(i) != (chunk != c) {
					t.Errorf("chunk %d is damaged, block %d present: %v", c, i, b.bits.has(i))
				}
			}
		}
		if b.Present() != 4*BlockSize {
			t.Errorf("%d bytes are present", b.Present())
		}
		put(t, b, c*chunkBlocks)
		s = reopen(t, s)
		if b := lookup(t, s, "a"); b.Present() != 5*BlockSize || !b.Has(c*chunkSize, 1) {
			t.Errorf("%d bytes are present after a put", b.Present())
		}
		log.wantNone(t)
	}
}

func TestRecordWasDamaged(t *testing.T) {
	rng := random(t)
	for _, name := range []string{"finished", "unfinished"} {
		var log logLines
		s := open(t, closedStore(t), Options{Log: log.logger()})
		flip(t, s.index, recordKey(name), rng.Int())
		if b, err := s.Lookup(name); b != nil || err != nil {
			t.Errorf("damaged record of %q: %v, %v", name, b, err)
		}
		log.want(t, 1, "state value is damaged")
	}

	var log logLines
	s := open(t, closedStore(t), Options{Log: log.logger()})
	later := s.index.batch()
	later.set(recordKey("unfinished"), append([]byte{recordFormat + 1}, make([]byte, 40)...))
	check(t, s.index.write(later))
	if b, err := s.Lookup("unfinished"); b != nil || err != nil {
		t.Errorf("record of a later format: %v, %v", b, err)
	}
	log.want(t, 1, "state record is not readable")
}

// flip damages one byte of a value, at anywhere modulo its length.
func flip(t *testing.T, x *index, key []byte, anywhere int) {
	t.Helper()
	check(t, x.db.Update(func(txn *badger.Txn) error {
		item, err := txn.Get(key)
		if err != nil {
			return err
		}
		sealed, err := item.ValueCopy(nil)
		if err != nil {
			return err
		}
		sealed[anywhere%len(sealed)] ^= 1 << (anywhere / 1000 % 8)
		return txn.Set(key, sealed)
	}))
}

// TestForeignKeys: bits of another generation, beyond the blob's end, or under
// a key of another form mean nothing.
func TestForeignKeys(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	put(t, b, 1)
	syncNow(t, s)
	full := words{}
	for k := range full {
		full[k] = ^uint64(0)
	}
	bad := s.index.batch()
	bad.setChunk(b.gen+1, 0, &full)
	bad.setChunk(b.gen, 0, &words{1<<1 | 1<<4 | 1<<63, 1})
	bad.setChunk(b.gen, 1, &full)
	bad.setChunk(b.gen, 1<<32-1, &full)
	bad.set(binary.BigEndian.AppendUint64(generationPrefix(b.gen), 0), bytes.Repeat([]byte{0xff}, chunkBytes))
	bad.set(chunkKey(b.gen, 2), []byte("short"))
	check(t, s.index.write(bad))
	wantBlocks(t, lookup(t, reopen(t, s), "a"), 1)
}

// TestRecordWentBack: an older state of the index, in which a finished file was
// not yet published, costs nothing.
func TestRecordWentBack(t *testing.T) {
	s := open(t, closedStore(t), Options{})
	published := lookup(t, s, "finished")
	for _, bits := range []words{{}, {1}, {1<<4 - 1}} {
		old := s.index.batch()
		old.setRecord("finished", record{gen: published.gen, version: published.version})
		old.setChunk(published.gen, 0, &bits)
		check(t, s.index.write(old))
		s = reopen(t, s)
		wantPublished(t, s, "finished", published.gen)
	}
}

// badger panics at some damage it does not catch. That costs what could not be
// read, not the process.
func TestPanicIsDamage(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	check(t, s.SetList([]Listed{{Name: "a"}, {Name: "b"}}))
	err := s.index.scan([]byte("l/"), func(_, _ []byte) { panic("as badger does") })
	if !errors.Is(err, errDamaged) {
		t.Errorf("got %v, want errDamaged", err)
	}
	if list, err := s.List(); err != nil || len(list) != 2 {
		t.Errorf("the list after that: %+v, %v", list, err)
	}
}

// TestWhatIsDamage: only a checksum or a format proves damage.
func TestWhatIsDamage(t *testing.T) {
	for _, err := range []error{
		syscall.EMFILE, syscall.EFBIG, syscall.EROFS, syscall.EAGAIN, syscall.EIO, fmt.Errorf("x: %w", syscall.ENOSPC),
		errors.New("while opening: too many open files"),
		errors.New("Cannot acquire directory lock on \"db\".  Another process is using this Badger database.: resource temporarily unavailable"),
		errors.New("while opening memtables: truncate checksum.mem: file too large"),
		errors.New("a word of badger that nobody knows"),
	} {
		if isDamage(err) {
			t.Errorf("%v is taken for damage", err)
		}
	}
	for _, err := range []error{
		errors.New("manifest has bad magic"), fmt.Errorf("manifest: %w", io.ErrUnexpectedEOF),
		errors.New("Error while reading IV for key registry. err: EOF"),
		errors.New("file does not exist for table 3"), fmt.Errorf("table 1: %w", errDamaged),
	} {
		if !isDamage(err) {
			t.Errorf("%v is not taken for damage", err)
		}
	}
}

func TestSizesAreBounded(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, size := range []int64{-1, MaxSize + 1, 1<<63 - 1} {
		if _, err := s.Create("a", Version{Size: size}); err == nil {
			t.Errorf("a blob of %d bytes was made", size)
		}
	}
}
