package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
)

// TestReadOnly: a read-only store tells what a store tells, and changes nothing,
// whatever the last process left.
func TestReadOnly(t *testing.T) {
	closed := closedStore(t)
	s := open(t, t.TempDir(), Options{})
	put(t, create(t, s, "unfinished", blobSize), 0, 2)
	finished := create(t, s, "finished", blobSize)
	putAll(t, finished)
	check(t, publish(t, finished))
	check(t, s.SetList([]Listed{{Name: "finished"}, {Name: "unfinished"}}))
	syncNow(t, s)
	killed := t.TempDir()
	check(t, copyDir(killed, s.Path()))
	damaged := t.TempDir()
	check(t, copyDir(damaged, closed))
	check(t, os.WriteFile(filepath.Join(damaged, ".dlfs", "db", "MANIFEST"), []byte("garbage"), 0o600))
	strange := t.TempDir()
	check(t, copyDir(strange, closed))
	check(t, os.WriteFile(filepath.Join(strange, ".dlfs", "db", "abc.mem"), []byte("mine"), 0o600))
	for what, dir := range map[string]string{"closed": closed, "killed": killed, "open": s.Path(), "damaged": damaged, "with a stranger's log": strange} {
		t.Run(what, func(t *testing.T) {
			t.Setenv("TMPDIR", t.TempDir())
			state := filepath.Join(dir, ".dlfs")
			before := exactTree(t, state)
			var log logLines
			r, err := OpenReadOnly(dir, Options{Log: log.logger()})
			check(t, err)
			wantBlocks(t, lookup(t, r, "unfinished"), 0, 2)
			wantPublished(t, r, "finished", lookup(t, r, "finished").Generation())
			b := lookup(t, r, "unfinished")
			check(t, b.Acquire())
			got := make([]byte, 10)
			if _, err := b.ReadAt(got, 2*BlockSize); err != nil {
				t.Error(err)
			}
			b.Release()
			check(t, r.Close())
			if what == "damaged" {
				log.wantLines(t, "is damaged; only what can be read of it is told", "was rebuilt")
			}
			log.wantNone(t)
			if after := exactTree(t, state); !slices.Equal(before, after) {
				t.Errorf("the state was\n%q\nand is\n%q", before, after)
			}
			wantDir(t, os.Getenv("TMPDIR"))
		})
	}
}

// TestReadOnlyBesideStarts: questions at any moment keep no start from the store,
// and are answered.
func TestReadOnlyBesideStarts(t *testing.T) {
	dir := closedStore(t)
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			r, err := OpenReadOnly(dir, Options{})
			if err == nil {
				var b *Blob
				if b, err = r.Lookup("unfinished"); err == nil && (b == nil || !b.Has(0, BlockSize)) {
					err = errors.New("a block that was durable is not known")
				}
				err = errors.Join(err, r.Close())
			}
			if err != nil {
				t.Errorf("question: %v", err)
				return
			}
		}
	})
	for i := range 20 {
		s, err := Open(dir, Options{MinFree: 1})
		check(t, err)
		put(t, create(t, s, fmt.Sprint("f", i), blobSize), 0)
		check(t, s.Close())
	}
	close(done)
	asking.Wait()
}

// exactTree returns names, sizes and times of everything under dir.
func exactTree(t *testing.T, dir string) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*", "*/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		check(t, err)
		for _, path := range paths {
			info, err := os.Lstat(path)
			check(t, err)
			all = append(all, fmt.Sprint(path, info.Size(), info.Mode(), info.ModTime()))
		}
	}
	return all
}
