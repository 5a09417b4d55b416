package cache

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"
)

// blobSize is three blocks and a short one.
const blobSize = 3*BlockSize + 100

func TestPutAndRead(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	wantBlocks(t, b)
	put(t, b, 3)
	wantBlocks(t, b, 3)
	put(t, b, 1)
	put(t, b, 1)
	wantBlocks(t, b, 1, 3)
	check(t, b.Put(0, pattern("a", 0, 3*BlockSize)))
	wantBlocks(t, b, 0, 1, 2, 3)
	put(t, b, 2) // of a complete blob: nothing to do
	wantBlocks(t, b, 0, 1, 2, 3)
	syncNow(t, s)
	wantBlocks(t, b, 0, 1, 2, 3)
	if b.Published() || b.File() != nil {
		t.Error("published, though nobody asked for it")
	}
}

func TestPutOfEverySize(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, size := range []int64{1, 7, BlockSize - 1, BlockSize, BlockSize + 1, 2*BlockSize - 1, 2 * BlockSize, 65 * BlockSize} {
		b := create(t, s, "a", size)
		putAll(t, b)
		if !b.Complete() || b.Present() != size {
			t.Errorf("size %d: %d are present", size, b.Present())
		}
		whole := make([]byte, size)
		if n, err := b.ReadAt(whole, 0); int64(n) != size || err != nil || !bytes.Equal(whole, pattern("a", 0, size)) {
			t.Errorf("size %d: reads as %d bytes, %v", size, n, err)
		}
	}
}

func TestPutRefusesWhatIsNotWholeBlocks(t *testing.T) {
	b := create(t, open(t, t.TempDir(), Options{}), "a", blobSize)
	for _, e := range []struct{ off, n int64 }{
		{0, 0}, {0, 1}, {1, BlockSize}, {0, BlockSize + 1}, {-BlockSize, BlockSize},
		{3 * BlockSize, 99}, {3 * BlockSize, 101}, {3 * BlockSize, BlockSize}, {4 * BlockSize, BlockSize},
	} {
		if err := b.Put(e.off, make([]byte, e.n)); err == nil {
			t.Errorf("put of [%d +%d) was taken", e.off, e.n)
		}
	}
	wantBlocks(t, b)
	wantDir(t, blobsOf(b.store))
}

func TestMissing(t *testing.T) {
	b := create(t, open(t, t.TempDir(), Options{}), "a", 200*BlockSize+1)
	put(t, b, 1, 64, 199)
	for _, c := range []struct{ off, n, wantOff, wantN int64 }{ // in blocks
		{0, 1, 0, 1},
		{0, 2, 0, 1},
		{0, 201, 0, 1},
		{1, 1, 0, 0},
		{1, 63, 2, 62},
		{1, 64, 2, 62},
		{64, 1, 0, 0},
		{64, 200, 65, 134},
		{199, 1, 0, 0},
		{201, 9, 0, 0}, // past the end
		{9, 0, 0, 0},
		{9, -1, 0, 0},
	} {
		off, n := b.Missing(c.off*BlockSize, c.n*BlockSize)
		if n != c.wantN*BlockSize || n > 0 && off != c.wantOff*BlockSize {
			t.Errorf("missing of blocks [%d +%d) are bytes [%d +%d), want blocks [%d +%d)", c.off, c.n, off, n, c.wantOff, c.wantN)
		}
		if has := b.Has(c.off*BlockSize, c.n*BlockSize); has != (c.wantN == 0) {
			t.Errorf("has blocks [%d +%d): %v", c.off, c.n, has)
		}
	}
	if off, n := b.Missing(BlockSize-1, 1); off != 0 || n != BlockSize {
		t.Errorf("one byte of a missing block is missing as [%d +%d)", off, n)
	}
	if off, n := b.Missing(199*BlockSize, 9*BlockSize); off != 200*BlockSize || n != 1 {
		t.Errorf("the last block is missing as [%d +%d)", off, n)
	}
}

func TestReadAt(t *testing.T) {
	b := create(t, open(t, t.TempDir(), Options{}), "a", blobSize)
	put(t, b, 1, 3)
	const end = blobSize
	for _, c := range []struct {
		off, n int64
		want   int
		err    error
	}{
		{BlockSize, BlockSize, BlockSize, nil},
		{BlockSize + 9, 1, 1, nil},
		{2*BlockSize - 1, 1, 1, nil},
		{BlockSize, 0, 0, nil},
		{0, 0, 0, nil},
		{end - 100, 100, 100, nil},
		{end - 1, 1, 1, nil},
		{end - 1, 2, 1, io.EOF},
		{end - 100, BlockSize, 100, io.EOF},
		{end, 0, 0, io.EOF},
		{end, 1, 0, io.EOF},
		{end + 9, 9, 0, io.EOF},

		{0, 1, 0, ErrMissing},
		{BlockSize - 1, 2, 0, ErrMissing},
		{2*BlockSize - 1, 2, 0, ErrMissing},
		{BlockSize, 3 * BlockSize, 0, ErrMissing},
		{end - 101, 999, 0, ErrMissing},
	} {
		p := bytes.Repeat([]byte{'x'}, int(c.n))
		n, err := b.ReadAt(p, c.off)
		if n != c.want || err != c.err {
			t.Errorf("read of [%d +%d): %d, %v; want %d, %v", c.off, c.n, n, err, c.want, c.err)
		}
		want := append(pattern("a", c.off, int64(n)), bytes.Repeat([]byte{'x'}, int(c.n)-n)...)
		if !bytes.Equal(p, want) {
			t.Errorf("read of [%d +%d): wrong bytes", c.off, c.n)
		}
	}
}

func TestReadOfACutFile(t *testing.T) {
	b := create(t, open(t, t.TempDir(), Options{}), "a", blobSize)
	put(t, b, 0, 1)
	check(t, b.file.Load().Truncate(BlockSize+1))
	if _, err := b.ReadAt(make([]byte, BlockSize), BlockSize); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read of a file that was cut short: %v", err)
	}
}

// TestPutOfTheSameBlocks has many put the same blocks: they count once, and the
// file is let go of after the sync.
func TestPutOfTheSameBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", 40*BlockSize+1)
	var g errgroup.Group // joined below
	for k := range 8 {
		g.Go(func() error {
			var err error
			for i := range b.geo.blocks() {
				off, n := b.geo.extent(i, i+1)
				err = errors.Join(err, b.Put(off, pattern("a", off, n)))
				if k == 0 && i%10 == 0 {
					err = errors.Join(err, s.Sync(t.Context()))
				}
			}
			return err
		})
	}
	check(t, g.Wait())
	wantBlocks(t, b, blocks(0, 41)...)
	syncNow(t, s)
	wantRefs(t, b, 1)
	wantBlocks(t, lookup(t, reopen(t, s), "a"), blocks(0, 41)...)
}

// TestHasIsNeverEarly fills bitmaps from the left under a reader that asks for
// all of one.
func TestHasIsNeverEarly(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for range 10 {
		fillUnderAReader(t, create(t, s, "a", 1<<16*BlockSize))
	}
}

func fillUnderAReader(t *testing.T, b *Blob) {
	t.Helper()
	last := b.geo.blocks() - 1
	var g sync.WaitGroup
	g.Go(func() { // joined below
		for i := range last + 1 {
			b.bits.set(i)
		}
	})
	for !b.bits.has(last) {
		if b.Has(0, b.version.Size) && !b.bits.has(last) {
			t.Error("the blob was said to be present while its last block was missing")
			break
		}
	}
	g.Wait()
}

func TestAcquireAndRelease(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, err := s.Create("a", version(blobSize))
	check(t, err)
	if _, err := b.ReadAt(make([]byte, 1), 0); !errors.Is(err, ErrMissing) {
		t.Errorf("read of a blob without a file: %v", err)
	}
	check(t, b.Acquire())
	put(t, b, 0)
	wantRefs(t, b, 2) // ours, and that of the unsynced block
	b.Release()
	wantRefs(t, b, 1)
	syncNow(t, s)
	wantRefs(t, b, 0)
	for range 3 {
		check(t, b.Acquire())
	}
	wantBlocks(t, b, 0)
	wantRefs(t, b, 3)
	f := b.file.Load()
	for range 3 {
		b.Release()
	}
	wantRefs(t, b, 0)
	if _, err := f.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file that nobody holds is open: %v", err)
	}
}

// wantRefs checks how many hold the blob's file, and that it is open only then.
func wantRefs(t testing.TB, b *Blob, want int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.file.Load(); b.mu.refs != want || (f != nil) != (want > 0) {
		t.Fatalf("%d hold the file %v, want %d", b.mu.refs, f, want)
	}
}

// blocks returns the indices [first, end).
func blocks(first, end int64) (all []int64) {
	for i := first; i < end; i++ {
		all = append(all, i)
	}
	return slices.Clip(all)
}

// An abandoned blob can be read by who holds it, and then gives its room back.
func TestAbandon(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var blobs [2]*Blob
	for i := range blobs {
		b, err := s.Create([]string{"held", "idle"}[i], version(3*BlockSize))
		check(t, err)
		check(t, b.Acquire())
		put(t, b, 0)
		blobs[i] = b
	}
	held, idle := blobs[0], blobs[1]
	syncNow(t, s)
	idle.Release()
	held.Abandon()
	idle.Abandon()
	if files, err := os.ReadDir(blobsOf(s)); err != nil || len(files) != 1 {
		t.Errorf("%d blob files while one is held, want 1 (%v)", len(files), err)
	}
	if _, err := held.ReadAt(make([]byte, 10), 0); err != nil {
		t.Error(err)
	}
	held.Release()
	if files, err := os.ReadDir(blobsOf(s)); err != nil || len(files) != 0 {
		t.Errorf("%d blob files at the end, want none (%v)", len(files), err)
	}
}

// What is present was perhaps read, or its digest computed: no second copy of it
// may take its place, right or wrong.
func TestPutLeavesPresentBlocksAlone(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", 5*BlockSize)
	put(t, b, 1, 3)
	other := bytes.Repeat([]byte{1}, 4*BlockSize)
	check(t, b.Put(0, other))
	got := make([]byte, 4*BlockSize)
	_, err := b.ReadAt(got, 0)
	check(t, err)
	want := slices.Clone(other)
	for _, i := range []int64{1, 3} {
		copy(want[i*BlockSize:], pattern("a", i*BlockSize, BlockSize))
	}
	if !bytes.Equal(got, want) || b.Present() != 4*BlockSize {
		t.Errorf("%d bytes are present, and not those that came first", b.Present())
	}
}
