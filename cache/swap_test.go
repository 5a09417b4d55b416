package cache

import (
	"bytes"
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
				if err := swapNames(unix.AT_FDCWD, dir, unix.AT_FDCWD, link); err != nil {
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

// TestSwappedFiles has another process change a finished file for a link out of the
// output directory, a pipe and a file of another size, and back, while it is looked up,
// opened and read. No byte from outside is ever read, and nothing waits for the pipe.
func TestSwappedFiles(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	check(t, publish(t, b))
	outside := filepath.Join(t.TempDir(), "outside")
	check(t, os.WriteFile(outside, make([]byte, blobSize), 0o644))
	path := filepath.Join(s.Path(), "a")
	var others []string
	for i, put := range []func(other string) error{
		func(other string) error { return os.Symlink(outside, other) },
		func(other string) error { return unix.Mkfifo(other, 0o600) },
		func(other string) error { return os.WriteFile(other, make([]byte, blobSize+1), 0o644) },
	} {
		others = append(others, fmt.Sprintf("%s.%d", path, i))
		check(t, put(others[i]))
	}
	stop := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() { // ended below
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for range 2 {
				if err := swapNames(unix.AT_FDCWD, path, unix.AT_FDCWD, others[i%len(others)]); err != nil {
					t.Error(err)
					return
				}
				runtime.Gosched()
			}
		}
	})
	read, refused := 0, 0
	for i := 0; (read < 10 || refused < 10) && i < 100_000; i++ {
		b, err := s.Lookup("a")
		check(t, err)
		if b == nil || b.Acquire() != nil {
			refused++
			continue
		}
		got := make([]byte, BlockSize)
		n, err := b.ReadAt(got, 0)
		// A file of another size may be met, since it is opened after it was looked at:
		// it is a regular file of the directory.
		if want := pattern("a", 0, BlockSize); err == nil && !bytes.Equal(got[:n], want) && b.File() != nil {
			if info, err := b.File().Stat(); err != nil || info.Size() == blobSize {
				t.Errorf("bytes from outside were read: %v", err)
			}
		}
		b.Release()
		read++
	}
	close(stop)
	swapping.Wait()
	t.Logf("%d read, %d refused", read, refused)
	if read == 0 || refused == 0 {
		t.Error("the file was never read, or never refused")
	}
}
