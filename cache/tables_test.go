package cache

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tableFiles returns the paths of the tables of the index of dir.
func tableFiles(t *testing.T, dir string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, ".dlfs", "db", "*.sst"))
	check(t, err)
	if len(paths) == 0 {
		t.Fatal("the index has no table")
	}
	return paths
}

// TestTableWasCut cuts the table of a closed database, at which badger by
// itself ends the process: it is set aside at the first start.
func TestTableWasCut(t *testing.T) {
	for _, part := range []int64{0, 1, 2, 3} {
		dir := closedStore(t)
		tables := tableFiles(t, dir)
		if len(tables) != 1 {
			t.Fatalf("tables %q, want one", tables)
		}
		info, err := os.Stat(tables[0])
		check(t, err)
		check(t, os.Truncate(tables[0], info.Size()*part/4))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.wantLines(t, "was set aside", "was rebuilt", "they are kept")
		wantNewState(t, s, 1)
		log.wantNone(t)
	}
}

// TestDamagedPointer flips the bit by which badger would look for a value in its
// value log, in a file that is there and in one that is not: the value is damaged,
// and the database closes.
func TestDamagedPointer(t *testing.T) {
	for what, block := range map[string]int64{"file that is there": 1, "file that is not": 2} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{})
			b := create(t, s, "a", blobSize)
			put(t, b, block) // the bitmap begins with a 2 or a 4, the file's number
			check(t, s.Close())
			path := tableFiles(t, dir)[0]
			table, err := os.ReadFile(path)
			check(t, err)
			var w words
			w[0] = 1 << block
			at := bytes.Index(table, seal(chunkKey(b.gen, 0), w.encode()))
			table[at-3] |= 2 // badger's bitValuePointer in the entry's meta byte; the user's meta byte and the expiry follow
			check(t, os.WriteFile(path, table, 0o600))
			var log logLines
			s = open(t, dir, Options{Log: log.logger()})
			log.want(t, 1, "damaged table")
			wantBlocks(t, lookup(t, s, "a"))
			log.want(t, 1, errPointer.Error())
			check(t, s.Close())
		})
	}
}

// TestDamagedBlock: a block whose checksum cannot even be read costs what is in it,
// not the index, which badger's look at all blocks does not survive.
func TestDamagedBlock(t *testing.T) {
	const files = 200
	dir := t.TempDir()
	s := open(t, dir, Options{})
	name := func(i int) string { return fmt.Sprint("f", i) }
	for i := range files {
		put(t, create(t, s, name(i), blobSize), 0)
	}
	check(t, s.Close())
	path := tableFiles(t, dir)[0]
	data, err := os.ReadFile(path)
	check(t, err)
	var lengths []int // of checksums, each at the end of its block: badger's y.Checksum, and its length
	for at := 4000; at < len(data)-4; at++ {
		n := int(binary.BigEndian.Uint32(data[at:]))
		if (n == 5 || n == 6) && data[at-n] == 0x10 && bytes.Equal(data[at-n-4:at-n-2], []byte{0, 0}) {
			lengths = append(lengths, at)
		}
	}
	if len(lengths) < 3 {
		t.Fatalf("%d blocks were found", len(lengths))
	}
	data[lengths[len(lengths)/2]] ^= 0x40
	check(t, os.WriteFile(path, data, 0o600))
	var log logLines
	s = open(t, dir, Options{Log: log.logger()})
	if said := log.String(); !strings.Contains(said, "damaged table") || strings.Contains(said, "was set aside") {
		t.Errorf("said: %s", said)
	}
	known := 0
	for i := range files {
		if b, err := s.Lookup(name(i)); err == nil && b != nil && b.Present() > 0 {
			known++
		}
	}
	if known < files*3/4 || known == files {
		t.Errorf("blocks of %d files of %d are known", known, files)
	}
}

// TestUnknownTable: a table that a crash left before the manifest named it is
// badger's to remove.
func TestUnknownTable(t *testing.T) {
	for _, content := range []string{"", "garbage"} {
		dir := closedStore(t)
		orphan := filepath.Join(dir, ".dlfs", "db", "000099.sst")
		check(t, os.WriteFile(orphan, []byte(content), 0o600))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		wantBlocks(t, lookup(t, s, "unfinished"), 0, 2)
		log.wantNone(t)
		if _, err := os.Stat(orphan); err == nil {
			t.Error("the table stays")
		}
	}
}
