package cache

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// evict takes blocks out of b and returns how many bytes went.
func evict(t testing.TB, b *Blob, blocks ...int64) int64 {
	t.Helper()
	var extents []Extent
	for _, i := range blocks {
		off, n := b.geo.extent(i, i+1)
		extents = append(extents, Extent{off, n})
	}
	freed, err := b.store.Evict([]Eviction{{b, extents}})
	check(t, err)
	return freed
}

// onDisk is what the file of a blob takes on disk.
func onDisk(t testing.TB, b *Blob) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(blobsOf(b.store), b.id()))
	check(t, err)
	return allocated(info)
}

// TestEvict: evicted blocks are missing, also after a restart, their room is given back, and
// they can be put again.
func TestEvict(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	before := onDisk(t, b)
	if freed := evict(t, b, 1, 3, 3); freed != BlockSize+100 {
		t.Errorf("%d bytes went", freed)
	}
	wantBlocks(t, b, 0, 2)
	if got := before - onDisk(t, b); got != BlockSize+4096 {
		t.Errorf("%d bytes of the disk were given back", got)
	}
	if freed := evict(t, b, 1); freed != 0 {
		t.Errorf("%d bytes went of a missing block", freed)
	}
	put(t, b, 3)
	evict(t, b, 0, 3) // one of them is not durable yet
	wantBlocks(t, b, 2)
	put(t, b, 1)
	s = reopen(t, s)
	b = lookup(t, s, "a")
	wantBlocks(t, b, 1, 2)
	put(t, b, 0, 3)
	check(t, publish(t, b))
	wantFile(t, s, "a", blobSize)
}

// TestEvictSparesWhatItMust: nothing is taken out of a blob that is published or to be, was
// given up, or shares its file.
func TestEvictSparesWhatItMust(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	published := create(t, s, "published", blobSize)
	putAll(t, published)
	check(t, publish(t, published))
	wanted := create(t, s, "wanted", blobSize)
	putAll(t, wanted)
	wanted.Publish(func(error) {})
	given := create(t, s, "given up", blobSize)
	putAll(t, given)
	given.Abandon()
	old := create(t, s, "redone", blobSize)
	putAll(t, old)
	redone, err := old.Redo(t.Context(), []Extent{{0, 1}})
	check(t, errors.Join(err, redone.Acquire()))
	defer redone.Release()
	st, err := s.Stream("stream", Version{Size: UnknownSize})
	check(t, errors.Join(err, st.Acquire()))
	defer st.Release()
	check(t, st.Append(pattern("stream", 0, blobSize)))
	streamed, err := st.Finish()
	check(t, errors.Join(err, streamed.Acquire()))
	defer streamed.Release()
	for _, b := range []*Blob{published, wanted, given, redone, streamed} {
		if freed := evict(t, b, 0, 1, 2, 3); freed != 0 {
			t.Errorf("%q: %d bytes went", b.name, freed)
		}
	}
	wantBlocks(t, redone, 1, 2, 3)
}

// TestHoleIsNoBlock: a block that an old index has and that is a hole in the file is missing.
func TestHoleIsNoBlock(t *testing.T) {
	log := new(logLines)
	s := open(t, t.TempDir(), Options{Log: log.logger()})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	evict(t, b, 3)
	syncNow(t, s)
	f, err := os.OpenFile(filepath.Join(blobsOf(s), b.id()), os.O_RDWR, 0)
	check(t, err)
	check(t, errors.Join(punch(f, BlockSize, BlockSize), f.Close())) // as Evict would have, and then the index was put back
	s = reopen(t, s)
	wantBlocks(t, lookup(t, s, "a"), 0, 2)
	log.want(t, 1, "has holes for blocks")
}

// TestTornBlockIsNoBlock: where the index has lost something, a block that was evicted and
// put again, and that a power cut left only in part, is missing.
func TestTornBlockIsNoBlock(t *testing.T) {
	log := new(logLines)
	dir := t.TempDir()
	s := open(t, dir, Options{Log: log.logger()})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	evict(t, b, 3)
	check(t, s.Close())
	f, err := os.OpenFile(filepath.Join(blobsOf(s), b.id()), os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(make([]byte, sectorSize), BlockSize+5*sectorSize)
	check(t, errors.Join(err, f.Close(), os.Remove(filepath.Join(dir, ".dlfs", "db", "MANIFEST"))))
	s = open(t, dir, Options{Log: log.logger()})
	log.wantLines(t, "was set aside", "was rebuilt")
	wantBlocks(t, lookup(t, s, "a"), 0, 2)
	log.want(t, 1, "has holes for blocks")
}

// TestLostIndexKeepsAPublishedFile: where the index has lost that evicted blocks came back and
// that the file was published, and the disk has both names of it, the file stays published.
func TestLostIndexKeepsAPublishedFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	syncNow(t, s)
	evict(t, b, 1, 2)
	check(t, s.Close())
	blob := filepath.Join(blobsOf(s), b.id())
	f, err := os.OpenFile(blob, os.O_RDWR, 0)
	check(t, err)
	_, err = f.WriteAt(pattern("a", BlockSize, 2*BlockSize), BlockSize)
	check(t, errors.Join(err, f.Close(), os.Chtimes(blob, publishedAt, publishedAt), os.Link(blob, filepath.Join(dir, "a"))))
	check(t, os.Remove(filepath.Join(dir, ".dlfs", "db", "MANIFEST")))
	s = open(t, dir, Options{})
	if !lookup(t, s, "a").Published() {
		t.Error("the file is not published")
	}
	wantFile(t, s, "a", blobSize)
	wantDir(t, blobsOf(s))
}

// TestReadWhileEvicted: who reads while blocks go and come back gets the right bytes, or none.
func TestReadWhileEvicted(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	putAll(t, b)
	var reading sync.WaitGroup
	var over atomic.Bool
	var reads, missed atomic.Int64
	for range 4 {
		reading.Go(func() {
			p := make([]byte, BlockSize+50)
			for !over.Load() {
				off := rand.Int64N(blobSize - int64(len(p)))
				switch _, err := b.ReadAt(p, off); {
				case errors.Is(err, ErrMissing):
					missed.Add(1)
				case err != nil:
					t.Error(err)
					return
				case !bytes.Equal(p, pattern("a", off, int64(len(p)))):
					t.Errorf("at %d, other bytes were read", off)
					return
				default:
					reads.Add(1)
				}
			}
		})
	}
	for n := int64(0); n < 30 || reads.Load() == 0 || missed.Load() == 0; n++ {
		var writing sync.WaitGroup
		writing.Go(func() { put(t, b, n%4) })
		evict(t, b, n%4, (n+1)%4)
		writing.Wait()
		putAll(t, b)
	}
	over.Store(true)
	reading.Wait()
	t.Logf("%d reads, %d found a block missing", reads.Load(), missed.Load())
}

// TestEvictWithoutIndex: if the index cannot be written, the blocks stay.
func TestEvictWithoutIndex(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	put(t, b, 0, 1)
	syncNow(t, s)
	room := s.index.roomToWrite
	s.index.roomToWrite = func() error { return ErrNoSpace }
	if freed, err := s.Evict([]Eviction{{b, []Extent{{0, blobSize}}}}); !errors.Is(err, ErrNoSpace) || freed != 0 {
		t.Errorf("%d bytes went, %v", freed, err)
	}
	s.index.roomToWrite = room
	wantBlocks(t, b, 0, 1)
	s = reopen(t, s)
	wantBlocks(t, lookup(t, s, "a"), 0, 1)
}

// diskUse is what a directory takes on disk, as du(1) counts it.
func diskUse(t testing.TB, dir string) (sum int64) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sum += allocated(info)
		}
		return err
	}))
	return sum
}

const testBound = 80 << 20

// TestBound: a store never takes more than its bound, however many goroutines put; what is evicted can be
// taken again, and a restart counts the same.
func TestBound(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{MaxSize: testBound})
	const size = 2*testBound + 100
	b := create(t, s, "a", size)
	var puts sync.WaitGroup
	for k := range int64(4) {
		puts.Go(func() {
			for i := k; i < b.geo.blocks(); i += 4 {
				off, n := b.geo.extent(i, i+1)
				if err := b.Put(off, pattern("a", off, n)); errors.Is(err, ErrBound) {
					return
				} else if err != nil {
					t.Error(err)
				}
			}
		})
	}
	puts.Wait()
	syncNow(t, s)
	if use := diskUse(t, dir); use > testBound || use < testBound/2 {
		t.Errorf("%d bytes are on disk", use)
	}
	full := s.Room()
	if full.Free >= BlockSize || full.Used > testBound {
		t.Errorf("%+v", full)
	}
	if !s.FullSince().IsZero() {
		t.Error("the disk is said to be full")
	}
	evict(t, b, 0, 1, 2, 3)
	if free := s.Room().Free; free < 4*BlockSize {
		t.Errorf("%d bytes are free after four blocks went", free)
	}
	s = reopen(t, s)
	if again := s.Room(); again.Used > full.Used+BlockSize || again.Used < full.Used-8*BlockSize {
		t.Errorf("%+v before a restart, %+v after", full, again)
	}
}

// TestBoundOfAbandoned: what was given up gives its room back once no caller holds it.
func TestBoundOfAbandoned(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxSize: testBound})
	before := s.Room().Free
	b, err := s.Create("a", version(100*BlockSize))
	check(t, errors.Join(err, b.Acquire()))
	putAll(t, b)
	b.Abandon()
	b.Release()
	if free := s.Room().Free; free > before-100*BlockSize {
		t.Errorf("%d bytes were free, and are %d while the file is still open", before, free)
	}
	syncNow(t, s) // which lets go of the blocks that wait for it
	if free := s.Room().Free; free != before {
		t.Errorf("%d bytes were free before, %d after it was given up", before, free)
	}
}

// TestBoundOfAStream: a stream takes room of the bound, and gives it back.
func TestBoundOfAStream(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxSize: testBound})
	st, err := s.Stream("a", Version{Size: UnknownSize})
	check(t, err)
	before := s.Room().Free
	p := make([]byte, 1<<20)
	for err == nil {
		err = st.Append(p)
	}
	if !errors.Is(err, ErrBound) || s.Room().Free > 2<<20 {
		t.Errorf("%v, with %+v", err, s.Room())
	}
	st.Abandon()
	if free := s.Room().Free; free < before-BlockSize {
		t.Errorf("%d bytes were free before, %d after the stream was given up", before, free)
	}
}

// TestBoundTooSmall: the error says what is the least.
func TestBoundTooSmall(t *testing.T) {
	_, err := Open(t.TempDir(), Options{MaxSize: 1 << 20})
	if err == nil || !strings.Contains(err.Error(), "a bound of 1 MiB is too small") {
		t.Error(err)
	}
	s := open(t, t.TempDir(), Options{})
	if err := s.SetMaxSize(1 << 30); err == nil || s.Room() != (Room{}) {
		t.Errorf("a store without a bound got one: %v, %+v", err, s.Room())
	}
}

// TestTrim: what a crash left in a file and no bit tells of is given back.
func TestTrim(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", 20*BlockSize)
	put(t, b, 0)
	syncNow(t, s)
	put(t, b, 3, 4, 5, 6, 7, 8, 9)
	s = open(t, crash(t, s), Options{MaxSize: testBound})
	b = lookup(t, s, "a")
	wantBlocks(t, b, 0)
	if n := onDisk(t, b); n > 2*BlockSize {
		t.Errorf("the file takes %d bytes on disk for a block", n)
	}
}
