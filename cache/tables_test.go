package cache

import (
	"os"
	"path/filepath"
	"testing"
)

// TestTableWasCut cuts the table of a closed database, at which badger by
// itself ends the process: it is set aside at the first start.
func TestTableWasCut(t *testing.T) {
	for _, part := range []int64{0, 1, 2, 3} {
		dir := closedStore(t)
		tables, err := filepath.Glob(filepath.Join(dir, ".dlfs", "db", "*.sst"))
		check(t, err)
		if len(tables) != 1 {
			t.Fatalf("tables %q, want one", tables)
		}
		info, err := os.Stat(tables[0])
		check(t, err)
		check(t, os.Truncate(tables[0], info.Size()*part/4))
		var log logLines
		s := open(t, dir, Options{Log: log.logger()})
		log.want(t, 1, "was set aside")
		wantNewState(t, s)
		log.wantNone(t)
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
