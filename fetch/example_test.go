package fetch_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"dlfs/cache"
	"dlfs/fetch"
	"dlfs/fetch/origin"
	"dlfs/fetch/origintest"
	"dlfs/listfile"
)

// A reader gets bytes of a file before anything else of it is here. Run then fetches
// the rest, and ends when every file stands complete in the output directory.
func ExampleSet() {
	if err := example(); err != nil {
		fmt.Println(err)
	}
	// Output:
	// read: world
	// complete: hello, world
}

// example is the body of the example; the first error ends it.
func example() error {
	server := origintest.New()
	server.Put("/a.txt", origintest.Text("hello, world"))
	base, stop := server.Start()
	defer stop()
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
	client := origin.New(origin.Options{})
	defer client.Close()
	ctx := context.Background()
	set := fetch.New(ctx, store, client, []listfile.Entry{{Name: "a.txt", URL: base + "/a.txt"}}, fetch.Options{})
	defer set.Close()

	file, err := set.File("a.txt").Open(ctx)
	if err != nil {
		return err
	}
	p := make([]byte, 5)
	_, err = file.ReadAt(ctx, p, 7)
	file.Close()
	if err != nil {
		return err
	}
	fmt.Printf("read: %s\n", p)

	if err := set.Run(ctx); err != nil {
		return err
	}
	content, err := os.ReadFile(filepath.Join(dir, "a.txt"))
	if err != nil {
		return err
	}
	fmt.Printf("complete: %s\n", content)
	return nil
}
