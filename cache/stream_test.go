package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// grow returns a stream with the first n bytes of what name holds.
func grow(t *testing.T, s *Store, name string, n int64) *Stream {
	t.Helper()
	st, err := s.Stream(name, Version{Size: UnknownSize, ETag: `"1"`, LastModified: lastModified})
	check(t, err)
	for off := int64(0); off < n; {
		k := min(100_000, n-off)
		check(t, st.Append(pattern(name, off, k)))
		off += k
	}
	return st
}

func TestStreamBecomesABlob(t *testing.T) {
	for _, size := range []int64{0, 1, BlockSize, 3*BlockSize + 7} {
		s := open(t, t.TempDir(), Options{})
		st := grow(t, s, "sub/a", size)
		check(t, st.Acquire())
		if st.Present() != size || st.Version().Size != size || st.Published() {
			t.Fatalf("%d of %d bytes, version %+v", st.Present(), size, st.Version())
		}
		p := make([]byte, size+1)
		if _, err := st.ReadAt(p, 0); !errors.Is(err, ErrMissing) {
			t.Errorf("read beyond what has come: %v", err)
		}
		if size > 0 {
			n, err := st.ReadAt(p[:size], 0)
			check(t, err)
			if !bytes.Equal(p[:n], pattern("sub/a", 0, size)) {
				t.Error("other bytes than were appended")
			}
		}
		b, err := st.Finish()
		check(t, err)
		if n, err := st.ReadAt(p, 0); int64(n) != size || err != io.EOF {
			t.Errorf("at the end: %d bytes, %v", n, err)
		}
		if !b.Complete() || b.Published() || b.Version() != version(size) || b.Generation() == st.Generation() {
			t.Fatalf("the blob is %+v", b.Version())
		}
		check(t, publish(t, b))
		wantFile(t, s, "sub/a", size)
		wantRefs(t, b, 0)
		st.Release()
		wantDir(t, blobsOf(s))
		wantPublished(t, reopen(t, s), "sub/a", b.Generation())
	}
}

func TestFinishedStreamSurvivesACrashOnceSynced(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, err := grow(t, s, "a", blobSize).Finish()
	check(t, err)
	early := open(t, crash(t, s), Options{})
	if b, err := early.Lookup("a"); b != nil || err != nil {
		t.Errorf("before the sync: %v, %v", b, err)
	}
	wantDir(t, blobsOf(early))
	syncNow(t, s)
	again := lookup(t, open(t, crash(t, s), Options{}), "a")
	if again.Generation() != b.Generation() {
		t.Error("another generation")
	}
	wantBlocks(t, again, 0, 1, 2, 3)
}

func TestNothingOfAnUnfinishedStreamIsLeft(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := grow(t, s, "a", blobSize)
	other := grow(t, s, "b", blobSize)
	check(t, st.Acquire())
	st.Abandon()
	p := make([]byte, 10)
	if _, err := st.ReadAt(p, 5); err != nil || !bytes.Equal(p, pattern("a", 5, 10)) {
		t.Errorf("who holds it cannot read it: %v", err)
	}
	st.Release()
	if err := st.Acquire(); err == nil {
		t.Error("acquired after its end")
	}
	wantDir(t, blobsOf(s), blobID(other.gen))
	s = reopen(t, s)
	wantDir(t, blobsOf(s))
	if b, err := s.Lookup("b"); b != nil || err != nil {
		t.Errorf("after a restart: %v, %v", b, err)
	}
}

func TestStreamRefusesWhatIsInTheWay(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	check(t, os.WriteFile(filepath.Join(s.Path(), "a"), nil, 0o644))
	_, err := s.Stream("a", Version{})
	var inTheWay *InTheWayError
	if !errors.As(err, &inTheWay) {
		t.Errorf("got %v", err)
	}
}

func TestStreamKeepsToTheFloor(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := grow(t, s, "a", 10)
	s.opts.MinFree = 1 << 60
	if err := st.Append([]byte("x")); !errors.Is(err, ErrNoSpace) {
		t.Errorf("got %v", err)
	}
	s.opts.MinFree = 1
	check(t, st.Append(pattern("a", 10, 5)))
	st.size.Store(MaxSize)
	if err := st.Append([]byte("x")); err == nil || errors.Is(err, ErrNoSpace) {
		t.Errorf("grew beyond the largest file: %v", err)
	}
	st.Abandon()
}

func TestReadersFollowAStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	st := grow(t, s, "a", 0)
	var readers sync.WaitGroup
	for range 4 {
		check(t, st.Acquire())
		readers.Go(func() { // awaited below
			defer st.Release()
			p := make([]byte, 5000)
			for off := int64(0); off < blobSize; {
				n, err := st.ReadAt(p[:min(5000, blobSize-off)], off)
				if errors.Is(err, ErrMissing) {
					continue
				}
				if err != nil && err != io.EOF || !bytes.Equal(p[:n], pattern("a", off, int64(n))) {
					t.Errorf("at %d: %v", off, err)
					return
				}
				off += int64(n)
			}
		})
	}
	for off := int64(0); off < blobSize; off += 1000 {
		check(t, st.Append(pattern("a", off, min(1000, blobSize-off))))
	}
	readers.Wait()
	b, err := st.Finish()
	check(t, err)
	syncNow(t, s)
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 0, 1, 2, 3)
	wantRefs(t, b, 0)
}
