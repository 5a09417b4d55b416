package cache

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sync/errgroup"
)

var unknown = Version{Size: UnknownSize, ETag: `"1"`, LastModified: lastModified}

// stream returns a new stream, acquired for the rest of the test.
func stream(t testing.TB, s *Store, name string) *Stream {
	t.Helper()
	st, err := s.Stream(name, unknown)
	check(t, err)
	check(t, st.Acquire())
	t.Cleanup(func() {
		st.Release()
		st.Abandon()
	})
	return st
}

// grow appends the next n bytes.
func grow(t testing.TB, st *Stream, n int64) {
	t.Helper()
	check(t, st.Append(pattern(st.name, st.Present(), n)))
}

// wantStream checks that a stream reads as what was appended, and how it ends.
func wantStream(t testing.TB, st *Stream, size int64, end error) {
	t.Helper()
	if st.Present() != size || st.Version() != version(size) {
		t.Fatalf("%d bytes are present of %+v, want %d", st.Present(), st.Version(), size)
	}
	p := make([]byte, size)
	if n, err := st.ReadAt(p, 0); int64(n) != size || err != nil && (size > 0 || err != end) || !bytes.Equal(p, pattern(st.name, 0, size)) {
		t.Fatalf("it reads as %d bytes, %v", n, err)
	}
	for _, off := range []int64{size, size + 9} {
		if n, err := st.ReadAt(make([]byte, 3), off); n != 0 || err != end {
			t.Fatalf("at %d it reads as %d bytes, %v; want %v", off, n, err, end)
		}
	}
	if size == 0 {
		return
	}
	want := 0
	if end == io.EOF {
		want = 1
	}
	if n, err := st.ReadAt(make([]byte, 2), size-1); n != want || err != end {
		t.Fatalf("across the end it reads as %d bytes, %v; want %d, %v", n, err, want, end)
	}
}

func TestStream(t *testing.T) {
	for _, size := range []int64{0, 1, BlockSize - 1, BlockSize, BlockSize + 1, blobSize} {
		s := open(t, t.TempDir(), Options{})
		st := stream(t, s, "sub/a")
		wantStream(t, st, 0, ErrMissing)
		for st.Present() < size {
			grow(t, st, min(st.Present()*3+1, size-st.Present()))
			wantStream(t, st, st.Present(), ErrMissing)
		}
		check(t, st.Append(nil))

		b, err := st.Finish()
		check(t, err)
		if b.Generation() != st.Generation() || b.Version() != version(size) || !b.Complete() || b.Published() {
			t.Fatalf("blob %+v of %d bytes, %d present", b.Version(), size, b.Present())
		}
		if again, err := st.Finish(); again != b || err != nil {
			t.Fatalf("a second Finish: %v, %v", again, err)
		}
		if err := st.Append([]byte("x")); err == nil {
			t.Fatal("a finished stream grows")
		}
		wantStream(t, st, size, io.EOF)
		wantBlocks(t, acquire(t, b), blocks(0, b.geo.blocks())...)
		check(t, publish(t, b))
		wantRefs(t, b, 1)
		wantFile(t, s, "sub/a", size)
		wantDir(t, blobsOf(s))
		st.Abandon() // it is a blob, which stays
		wantStream(t, st, size, io.EOF)
		wantPublished(t, reopen(t, s), "sub/a", st.Generation())
	}
}

// TestStreamUnderReaders has readers follow the end of a growing stream.
func TestStreamUnderReaders(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := stream(t, s, "a")
	const size = 20*BlockSize + 7
	whole := pattern("a", 0, size)
	var g errgroup.Group // joined below
	for range 4 {
		g.Go(func() error {
			p := make([]byte, 3000)
			for off := int64(0); ; {
				n, err := st.ReadAt(p, off)
				if !bytes.Equal(p[:n], whole[off:off+int64(n)]) {
					return errors.New("other bytes than were appended")
				}
				off += int64(n)
				if err == io.EOF && off == size {
					return nil
				}
				if err != nil && err != ErrMissing {
					return err
				}
			}
		})
	}
	for st.Present() < size {
		grow(t, st, min(1000, size-st.Present()))
	}
	b, err := st.Finish()
	check(t, err)
	check(t, g.Wait())
	check(t, publish(t, b))
	wantFile(t, s, "a", size)
}

// TestCrashOfAStream: before a sync that follows Finish, there is nothing of it.
func TestCrashOfAStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := stream(t, s, "a")
	wantNothing := func() {
		t.Helper()
		after := open(t, crash(t, s), Options{})
		if b, err := after.Lookup("a"); b != nil || err != nil {
			t.Fatalf("%v, %v", b, err)
		}
		wantDir(t, after.Path(), ".dlfs")
		wantDir(t, blobsOf(after))
	}
	wantNothing()
	grow(t, st, blobSize)
	syncNow(t, s)
	wantNothing()
	b, err := st.Finish()
	check(t, err)
	wantNothing()
	b.SetNote(aNote)
	syncNow(t, s)
	wantRefs(t, b, 0) // no caller has acquired it
	after := open(t, crash(t, s), Options{})
	again := lookup(t, after, "a")
	wantBlocks(t, again, 0, 1, 2, 3)
	wantNote(t, again, aNote)
	check(t, publish(t, again))
	wantFile(t, after, "a", blobSize)
}

func TestFailedSyncOfAStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := stream(t, s, "a")
	grow(t, st, blobSize)
	b, err := st.Finish()
	check(t, err)
	acquire(t, b)
	mend := breakFile(t, b)
	if err := s.Sync(t.Context()); err == nil {
		t.Fatal("a failed sync was not reported")
	}
	mend()
	wantBlocks(t, b)
	putAll(t, b)
	check(t, publish(t, b))
	wantFile(t, s, "a", blobSize)
}

// TestFailedAppend leaves some of its bytes beyond the end; they are not the
// blob's.
func TestFailedAppend(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := stream(t, s, "a")
	grow(t, st, BlockSize+1)
	_, err := st.file.WriteAt([]byte("lost"), BlockSize+1)
	check(t, err)
	wantStream(t, st, BlockSize+1, ErrMissing)
	b, err := st.Finish()
	check(t, err)
	check(t, publish(t, b))
	wantFile(t, s, "a", BlockSize+1)
}

func TestStreamBelowTheFloor(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := stream(t, s, "a")
	grow(t, st, 10)
	free, err := s.Free()
	check(t, err)
	s.opts.MinFree = free + 1<<30
	if err := st.Append([]byte("x")); !errors.Is(err, ErrNoSpace) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("append below the floor: %v", err)
	}
	wantStream(t, st, 10, ErrMissing)
	s.opts.MinFree = 1
	grow(t, st, 10)
	wantStream(t, st, 20, ErrMissing)
}

func TestStreamIsBounded(t *testing.T) {
	st := stream(t, open(t, t.TempDir(), Options{}), "a")
	st.size.Store(MaxSize)
	if err := st.Append([]byte("x")); err == nil {
		t.Error("a stream grew beyond what a blob may have")
	}
}

func TestAbandonedStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st, err := s.Stream("a", unknown)
	check(t, err)
	check(t, st.Acquire())
	grow(t, st, blobSize)
	st.Abandon()
	st.Abandon()
	wantDir(t, blobsOf(s))
	wantStream(t, st, blobSize, ErrMissing)
	if err := st.Append([]byte("x")); !errors.Is(err, errAbandoned) {
		t.Errorf("append: %v", err)
	}
	if _, err := st.Finish(); !errors.Is(err, errAbandoned) {
		t.Errorf("finish: %v", err)
	}
	check(t, st.Acquire())
	st.Release()
	st.Release()
	if err := st.Acquire(); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("acquire: %v", err)
	}
	if _, err := st.file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file that nobody holds is open: %v", err)
	}
	syncNow(t, s)
	if b, err := s.Lookup("a"); b != nil || err != nil {
		t.Errorf("lookup: %v, %v", b, err)
	}
}

func TestStreamRefuses(t *testing.T) {
	for what, plant := range map[string]func(dir string) error{
		"a file":      func(dir string) error { return os.WriteFile(dir+"/sub/a", []byte("x"), 0o600) },
		"an empty":    func(dir string) error { return os.WriteFile(dir+"/sub/a", nil, 0o600) },
		"a link":      func(dir string) error { return os.Symlink("nowhere", dir+"/sub/a") },
		"a directory": func(dir string) error { return os.Mkdir(dir+"/sub/a", 0o700) },
		"no parent": func(dir string) error {
			return errors.Join(os.Remove(dir+"/sub"), os.WriteFile(dir+"/sub", nil, 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			check(t, os.Mkdir(filepath.Join(s.Path(), "sub"), 0o700))
			check(t, plant(s.Path()))
			inTheWay := new(InTheWayError)
			if _, err := s.Stream("sub/a", unknown); !errors.As(err, &inTheWay) || strings.Contains(err.Error(), "-1") {
				t.Errorf("stream: %v", err)
			}
			wantDir(t, blobsOf(s))
		})
	}
	s := open(t, t.TempDir(), Options{})
	if _, err := s.Stream("a", version(1)); err == nil {
		t.Error("a stream of a known size was made")
	}
	if _, err := s.Create("a", unknown); err == nil {
		t.Error("a blob of an unknown size was made")
	}
}
