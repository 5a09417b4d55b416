package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSwappedDirectories has another process change a directory for a link out
// of the output directory, and back, while files are published into it. None
// ever lands outside.
func TestSwappedDirectories(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	outside := t.TempDir()
	dir, link := filepath.Join(s.Path(), "dir"), filepath.Join(s.Path(), "link")
	check(t, os.Mkdir(dir, 0o755))
	check(t, os.Symlink(outside, link))
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swaps := 0
	swapping.Go(func() { // ended below
		for {
			select {
			case <-stop:
				return
			default:
			}
			for range 2 {
				if err := unix.Renameat2(unix.AT_FDCWD, dir, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE); err != nil {
					t.Error(err)
					return
				}
			}
			swaps++
			for range 100 { // as it should be, most of the time
				runtime.Gosched()
			}
		}
	})
	const size = 100
	published, refused := 0, 0
	for i := 0; (published < 10 || refused < 10) && i < 20_000; i++ {
		b, err := s.Create(fmt.Sprintf("dir/sub%d/f%d", i%3, i), version(size))
		if err != nil { // the link was there
			refused++
			continue
		}
		check(t, b.Acquire())
		putAll(t, b)
		b.Publish(func(err error) {
			if err == nil {
				published++
			} else {
				refused++
			}
		})
		s.Sync(t.Context()) // its error is the publisher's, too
		b.Release()
	}
	close(stop)
	swapping.Wait()
	entries, err := os.ReadDir(outside)
	if err != nil || len(entries) > 0 {
		t.Errorf("outside the output directory: %v, %v", entries, err)
	}
	if published == 0 || refused == 0 {
		t.Error("nothing was published, or all of it")
	}
	t.Logf("%d swaps, %d published, %d refused", swaps, published, refused)
}

// TestLinkForABlob: a link that stands where a blob's file belongs is not followed,
// be it to write the first block or to read what is there.
func TestLinkForABlob(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, []byte("mine"), 0o644))
	plant := func(b *Blob) {
		path := filepath.Join(blobsOf(s), b.id())
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		check(t, os.Symlink(outside, path))
	}
	first := create(t, s, "first", blobSize)
	plant(first)
	if err := first.Put(0, pattern("first", 0, BlockSize)); !errors.Is(err, unix.ELOOP) {
		t.Errorf("put: %v", err)
	}
	put(t, create(t, s, "begun", blobSize), 0)
	s = reopen(t, s)
	begun, err := s.Lookup("begun")
	check(t, err)
	plant(begun)
	if err := begun.Acquire(); !errors.Is(err, unix.ELOOP) {
		t.Errorf("acquire: %v", err)
	}
	if got, err := os.ReadFile(outside); err != nil || string(got) != "mine" {
		t.Errorf("outside: %q, %v", got, err)
	}
}
