package cache_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"dlfs/cache"
)

// A file of three blocks: the bytes of any block may come first, they can be read at
// once, and the file appears under its name when all of them are durable.
func ExampleStore() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// missing from 0 up to 131072
	// read: block two
	// published: 131081 bytes
}

// example is the body of the example; the first error ends it.
func example() error {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	store, err := cache.Open(dir, cache.Options{})
	if err != nil {
		return err
	}
	defer store.Close()

	const size = 2*cache.BlockSize + 9
	blob, err := store.Create("data/a.bin", cache.Version{Size: size, ETag: `"v1"`})
	if err != nil {
		return err
	}
	if err := blob.Acquire(); err != nil {
		return err
	}
	defer blob.Release()
	if err := blob.Put(2*cache.BlockSize, []byte("block two")); err != nil {
		return err
	}
	off, n := blob.Missing(0, size)
	fmt.Println("missing from", off, "up to", off+n)
	p := make([]byte, 9)
	if _, err := blob.ReadAt(p, 2*cache.BlockSize); err != nil {
		return err
	}
	fmt.Printf("read: %s\n", p)

	if err := blob.Put(0, make([]byte, 2*cache.BlockSize)); err != nil {
		return err
	}
	published := make(chan error, 1)
	blob.Publish(func(err error) { published <- err })
	if err := store.Sync(context.Background()); err != nil {
		return err
	}
	if err := <-published; err != nil {
		return err
	}
	info, err := os.Stat(filepath.Join(dir, "data/a.bin"))
	if err != nil {
		return err
	}
	fmt.Println("published:", info.Size(), "bytes")
	return nil
}
