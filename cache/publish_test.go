package cache

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPublish(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "sub/dir/a", blobSize)
	var answers []error
	b.Publish(func(err error) { answers = append(answers, err) })
	put(t, b, 0, 1, 3)
	syncNow(t, s)
	wantDir(t, s.Path(), ".dlfs") // incomplete
	put(t, b, 2)
	wantDir(t, s.Path(), ".dlfs") // complete, not synced
	if len(answers) > 0 || b.Published() || b.File() != nil {
		t.Fatalf("published early: %v", answers)
	}
	syncNow(t, s)
	if len(answers) != 1 || answers[0] != nil || !b.Published() || b.File() == nil {
		t.Fatalf("published: %v, %v", b.Published(), answers)
	}
	wantFile(t, s, "sub/dir/a", blobSize)
	wantDir(t, s.Path(), ".dlfs", "sub")
	wantDir(t, filepath.Join(s.Path(), "sub", "dir"), "a")
	wantDir(t, blobsOf(s))
	wantBlocks(t, b, 0, 1, 2, 3)
	check(t, publish(t, b)) // again: it is done
	wantRefs(t, b, 1)
	check(t, s.index.chunks(b.gen, func(c int64, _ *words) { t.Errorf("chunk %d of a published blob is kept", c) }))
	for range 2 {
		wantPublished(t, s, "sub/dir/a", b.Generation())
		s = reopen(t, s)
	}
}

// wantPublished checks what Lookup says of a published file.
func wantPublished(t *testing.T, s *Store, name string, gen uint64) {
	t.Helper()
	b := lookup(t, s, name)
	if !b.Complete() || !b.Published() || b.Generation() != gen || b.File() == nil {
		t.Fatalf("%q: complete %v, published %v, generation %x, want %x", name, b.Complete(), b.Published(), b.Generation(), gen)
	}
	if off, n := b.Missing(0, b.Version().Size+9); n != 0 {
		t.Fatalf("%q: [%d +%d) is missing of a published file", name, off, n)
	}
	wantBlocks(t, b, blocks(0, b.geo.blocks())...)
	putAll(t, b) // nothing to do
}

func TestPublishOfEverySize(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, size := range []int64{0, 1, BlockSize - 1, BlockSize, BlockSize + 1} {
		name := string(rune('a' + size%16))
		check(t, os.RemoveAll(filepath.Join(s.Path(), name)))
		b := create(t, s, name, size)
		putAll(t, b)
		check(t, publish(t, b))
		wantFile(t, s, name, size)
		wantPublished(t, s, name, b.Generation())
	}
}

// TestPublishAfterReopen publishes what an earlier run completed, also a blob
// without bytes, which has no file before.
func TestPublishAfterReopen(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, size := range []int64{0, blobSize} {
		name := string(rune('a' + size%16))
		putAll(t, create(t, s, name, size))
		s = reopen(t, s)
		b, err := s.Lookup(name)
		check(t, err)
		if !b.Complete() || b.Published() {
			t.Fatalf("size %d: complete %v, published %v", size, b.Complete(), b.Published())
		}
		check(t, publish(t, b)) // no caller has acquired it
		wantRefs(t, b, 0)
		wantFile(t, s, name, size)
	}
}

// TestPublishReplacesNothing plants something after Create, where the blob is
// to go.
func TestPublishReplacesNothing(t *testing.T) {
	for _, plant := range []func(path string) error{
		func(path string) error { return os.WriteFile(path, pattern("a", 0, blobSize), 0o600) },
		func(path string) error { return os.WriteFile(path, nil, 0o600) },
		func(path string) error { return os.Symlink("nowhere", path) },
		func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		s := open(t, t.TempDir(), Options{})
		b := create(t, s, "a", blobSize)
		putAll(t, b)
		path := filepath.Join(s.Path(), "a")
		check(t, plant(path))
		before, err := os.Lstat(path)
		check(t, err)

		inTheWay := new(InTheWayError)
		if err := publish(t, b); !errors.As(err, &inTheWay) || inTheWay.Name != "a" || b.Published() {
			t.Errorf("publish over %v: %v", before.Mode(), err)
		}
		after, err := os.Lstat(path)
		check(t, err)
		if !os.SameFile(before, after) || before.Mode() != after.Mode() || before.Size() != after.Size() {
			t.Errorf("publish changed %v", before.Mode())
		}
		wantDir(t, blobsOf(s), b.id())
		wantBlocks(t, b, 0, 1, 2, 3)

		s = reopen(t, s)
		b = lookup(t, s, "a")
		wantBlocks(t, b, 0, 1, 2, 3)
		check(t, os.Remove(path))
		check(t, publish(t, b))
		wantFile(t, s, "a", blobSize)
	}
}

func TestCreateAdopts(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	check(t, os.Mkdir(filepath.Join(s.Path(), "sub"), 0o755))
	for _, size := range []int64{0, 1, blobSize} {
		check(t, os.WriteFile(filepath.Join(s.Path(), "sub/a"), pattern("sub/a", 0, size), 0o644))
		b := create(t, s, "sub/a", size)
		if !b.Published() || b.File() == nil {
			t.Fatalf("a whole file of %d bytes is not adopted", size)
		}
		wantBlocks(t, b, blocks(0, b.geo.blocks())...)
		s = reopen(t, s)
		wantPublished(t, s, "sub/a", b.Generation())
	}
	wantDir(t, blobsOf(s))
}

func TestCreateDoesNotAdopt(t *testing.T) {
	outside := t.TempDir()
	write := func(path string, size int64) error {
		return os.WriteFile(path, pattern("x", 0, size), 0o644)
	}
	for why, plant := range map[string]func(path string) error{
		"4 bytes where the origin":  func(path string) error { return write(path, 4) },
		"is not a regular file":     func(path string) error { return os.Mkdir(path, 0o755) },
		"unfinished file of aria2":  func(path string) error { return errors.Join(write(path, blobSize), write(path+".aria2", 9)) },
		"has holes":                 func(path string) error { return errors.Join(write(path, 4), os.Truncate(path, blobSize)) },
		"has 0 bytes where the ori": func(path string) error { return write(path, 0) },
		"not a regular": func(path string) error {
			return errors.Join(write(outside+"/whole", blobSize), os.Symlink(outside+"/whole", path))
		},
	} {
		t.Run(why, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			check(t, plant(filepath.Join(s.Path(), "x")))
			inTheWay := new(InTheWayError)
			_, err := s.Create("x", version(blobSize))
			if !errors.As(err, &inTheWay) || !strings.Contains(err.Error(), why) {
				t.Errorf("create: %v", err)
			}
			b, err := s.CreateProven("x", version(blobSize))
			if looksUnfinished := why == "has holes" || why == "unfinished file of aria2"; looksUnfinished != (err == nil && b.Published()) {
				t.Errorf("create for a caller that has a digest: %v", err)
			}
		})
	}
	s := open(t, t.TempDir(), Options{})
	check(t, write(filepath.Join(s.Path(), "file"), 1))
	inTheWay := new(InTheWayError)
	if _, err := s.Create("file/x", version(1)); !errors.As(err, &inTheWay) {
		t.Errorf("create below a file: %v", err)
	}
}

// TestLinksLeadNowhere has a directory of DIR be a link to a place outside.
func TestLinksLeadNowhere(t *testing.T) {
	for _, name := range []string{"link/x", "link/sub/x", "sub/link/x"} {
		outside := t.TempDir()
		s := open(t, t.TempDir(), Options{})
		b := create(t, s, name, blobSize)
		putAll(t, b)
		link := filepath.Join(s.Path(), name[:strings.Index(name, "link")], "link")
		check(t, os.MkdirAll(filepath.Dir(link), 0o755))
		check(t, os.Symlink(outside, link))

		if err := publish(t, b); err == nil || b.Published() {
			t.Errorf("publish of %q went through a link", name)
		}
		wantDir(t, outside)
		wantBlocks(t, b, 0, 1, 2, 3)
		if _, err := s.Create(name, version(1)); err == nil {
			t.Errorf("create of %q went through a link", name)
		}
		check(t, os.Remove(link))
		check(t, publish(t, b))
		wantFile(t, s, name, blobSize)
	}
}

// TestPublishedFileWasChanged edits a published file behind the store's back.
func TestPublishedFileWasChanged(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"taken away":  os.Remove,
		"cut":         func(path string) error { return os.Truncate(path, 1) },
		"a directory": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o755)) },
		"a link":      func(path string) error { return errors.Join(os.Rename(path, path+"2"), os.Symlink("a2", path)) },
	} {
		var log logLines
		s := open(t, t.TempDir(), Options{Log: log.logger()})
		b := create(t, s, "a", 2) // as a link to a2 has
		putAll(t, b)
		check(t, publish(t, b))
		check(t, change(filepath.Join(s.Path(), "a")))
		if b, err := s.Lookup("a"); b != nil || err != nil {
			t.Errorf("%s: lookup still knows %v, %v", what, b, err)
		}
		log.want(t, 1, "finished file was changed or taken away")
	}

	var log logLines
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	check(t, publish(t, b))
	check(t, os.Chtimes(filepath.Join(s.Path(), "a"), publishedAt, publishedAt.AddDate(0, 0, 1)))
	wantPublished(t, s, "a", b.Generation())
	log.want(t, 1, "another time")
}

// What looks like a control file of aria2 is none where the list has it.
func TestControlFileThatTheListHas(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, name := range []string{"x", "x.aria2"} {
		check(t, os.WriteFile(filepath.Join(s.Path(), name), pattern(name, 0, blobSize), 0o644))
	}
	if way := new(InTheWayError); !errors.As(func() error { _, err := s.Create("x", version(blobSize)); return err }(), &way) {
		t.Error("an unfinished file of aria2 was adopted")
	}
	s.SetListed(func(name string) bool { return name == "x" || name == "x.aria2" })
	for _, name := range []string{"x", "x.aria2"} {
		if b, err := s.Create(name, version(blobSize)); err != nil || !b.Published() {
			t.Errorf("%s is not adopted: %v", name, err)
		}
	}
}
