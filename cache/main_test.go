package cache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// role, when set in the environment, makes the test binary play a process of a
// test instead of running the tests.
const role = "DLFS_CACHE_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "opener":
		os.Exit(openerMain())
	case "filler":
		os.Exit(fillerMain())
	case "mortal":
		os.Exit(mortalMain())
	case "putter":
		os.Exit(putterMain())
	case "worker":
		os.Exit(workerMain())
	case "sharer":
		os.Exit(sharerMain())
	case "checker":
		os.Exit(checkerMain())
	}
	goleak.VerifyTestMain(m)
}

// lastModified is the header of every version of these tests, and publishedAt
// what it says.
const lastModified = "Wed, 21 Oct 2015 07:28:00 GMT"

var publishedAt = time.Date(2015, 10, 21, 7, 28, 0, 0, time.UTC)

func version(size int64) Version {
	return Version{Size: size, ETag: `"1"`, LastModified: lastModified}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// open opens dir, and closes it with the test unless the test does. Unless
// opts says more, nothing happens by itself: rounds come from sync alone.
func open(t testing.TB, dir string, opts Options) *Store {
	t.Helper()
	if opts.SyncEvery == 0 {
		opts.SyncEvery = time.Hour
	}
	if opts.MinFree == 0 {
		opts.MinFree = 1
	}
	s, err := Open(dir, opts)
	check(t, err)
	t.Cleanup(func() {
		select {
		case <-s.stopped:
		default:
			check(t, s.Close())
		}
	})
	return s
}

// reopen closes s and opens its directory again.
func reopen(t testing.TB, s *Store) *Store {
	t.Helper()
	check(t, s.Close())
	return open(t, s.Path(), s.opts)
}

func syncNow(t testing.TB, s *Store) {
	t.Helper()
	check(t, s.Sync(t.Context()))
}

// create returns a new blob, acquired for the rest of the test.
func create(t testing.TB, s *Store, name string, size int64) *Blob {
	t.Helper()
	b, err := s.Create(name, version(size))
	check(t, err)
	return acquire(t, b)
}

// lookup returns the blob of name, acquired for the rest of the test.
func lookup(t testing.TB, s *Store, name string) *Blob {
	t.Helper()
	b, err := s.Lookup(name)
	check(t, err)
	if b == nil {
		t.Fatalf("nothing is known of %q", name)
	}
	return acquire(t, b)
}

func acquire(t testing.TB, b *Blob) *Blob {
	t.Helper()
	check(t, b.Acquire())
	t.Cleanup(b.Release)
	return b
}

// pattern returns what the blocks of name hold in [off +n): no word of it is
// zero, and none is the same at another place or in another file.
func pattern(name string, off, n int64) []byte {
	seed := uint64(crc32.ChecksumIEEE([]byte(name))) << 32
	p := make([]byte, 0, n+16)
	for word := off / 8; int64(len(p)) < off%8+n; word++ {
		p = binary.BigEndian.AppendUint64(p, (seed+uint64(word))*0x9e3779b97f4a7c15|1)
	}
	return p[off%8:][:n]
}

// isPattern reports whether p, which begins at a multiple of 8, is of one pattern, whatever
// its name.
func isPattern(p []byte) bool {
	for ; len(p) >= 16; p = p[8:] {
		// pattern sets the lowest bit of each word.
		step := binary.BigEndian.Uint64(p[8:]) - binary.BigEndian.Uint64(p) - 0x9e3779b97f4a7c15
		if step+1 > 2 {
			return false
		}
	}
	return true
}

// put puts blocks into b, each at once.
func put(t testing.TB, b *Blob, blocks ...int64) {
	t.Helper()
	for _, i := range blocks {
		off, n := b.geo.extent(i, i+1)
		check(t, b.Put(off, pattern(b.name, off, n)))
	}
}

func putAll(t testing.TB, b *Blob) {
	t.Helper()
	for i := range b.geo.blocks() {
		put(t, b, i)
	}
}

// publish syncs and returns the answer the blob's publisher gets.
func publish(t testing.TB, b *Blob) (err error) {
	t.Helper()
	answered := false
	b.Publish(func(e error) { answered, err = true, e })
	syncNow(t, b.store)
	if !answered {
		t.Fatalf("publish of %q was not answered", b.name)
	}
	return err
}

// wantBlocks checks that exactly these blocks are present, that Present counts
// them, and that each reads as what was put.
func wantBlocks(t testing.TB, b *Blob, want ...int64) {
	t.Helper()
	var got []int64
	var present int64
	for i := range b.geo.blocks() {
		off, n := b.geo.extent(i, i+1)
		p := make([]byte, n)
		k, err := b.ReadAt(p, off)
		if b.Has(off, n) {
			got, present = append(got, i), present+n
			if err != nil || int64(k) != n || !bytes.Equal(p, pattern(b.name, off, n)) {
				t.Fatalf("%q: block %d is present and not what was put: %d, %v", b.name, i, k, err)
			}
		} else if k != 0 || !errors.Is(err, ErrMissing) {
			t.Fatalf("%q: block %d is missing and reads as %d bytes, %v", b.name, i, k, err)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q: blocks %v are present, want %v", b.name, got, want)
	}
	if b.Present() != present || b.Complete() != (present == b.version.Size) {
		t.Fatalf("%q: Present is %d, Complete %v, with %d bytes present", b.name, b.Present(), b.Complete(), present)
	}
}

// wantFile checks that a published file is whole and has its time.
func wantFile(t testing.TB, s *Store, name string, size int64) {
	t.Helper()
	got, err := os.ReadFile(filepath.Join(s.Path(), name))
	check(t, err)
	if !bytes.Equal(got, pattern(name, 0, size)) {
		t.Fatalf("%q was published with other bytes", name)
	}
	info, err := os.Stat(filepath.Join(s.Path(), name))
	check(t, err)
	if !info.ModTime().Equal(publishedAt) {
		t.Fatalf("%q was published with the time %v", name, info.ModTime())
	}
}

// wantDir checks what stands in a directory, sorted.
func wantDir(t testing.TB, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	check(t, err)
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	slices.Sort(want) // names of blobs are made at random
	if !slices.Equal(got, want) {
		t.Fatalf("%s holds %q, want %q", dir, got, want)
	}
}

func blobsOf(s *Store) string { return filepath.Join(s.Path(), ".dlfs", "blobs") }

// crash returns a copy of the store's directory as the disk shows it now: what
// a process that was killed at this moment would leave.
func crash(t testing.TB, s *Store) string {
	t.Helper()
	dir := t.TempDir()
	check(t, copyDir(dir, s.Path()))
	return dir
}

// copyDir copies files and directories. It keeps what a crash keeps: times, and
// which names are one file.
func copyDir(to, from string) error {
	copied := map[uint64]string{} // by inode
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		info, err := e.Info()
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(target, info.Mode().Perm())
		}
		if links(info) > 1 {
			inode := info.Sys().(*syscall.Stat_t).Ino
			if first, ok := copied[inode]; ok {
				return os.Link(first, target)
			}
			copied[inode] = target
		}
		return copyFile(target, path, info.ModTime())
	})
}

func copyFile(to, from string, modified time.Time) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close(), os.Chtimes(to, modified, modified))
}

var seedFlag = flag.Uint64("seed", 0, "of the random tests; 0 is a random one")

// random returns a generator, and has the command printed that repeats the test.
func random(t *testing.T) *rand.Rand {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	name, _, _ := strings.Cut(t.Name(), "/")
	replay := fmt.Sprintf("go test ./cache -run '%s$' -seed %d", name, seed)
	flag.Visit(func(f *flag.Flag) {
		if !strings.HasPrefix(f.Name, "test.") && f.Name != "seed" {
			replay += fmt.Sprintf(" -%s %v", f.Name, f.Value)
		}
	})
	t.Log("to replay:", replay)
	return rand.New(rand.NewPCG(seed, seed))
}

// logLines collects what a store logs.
type logLines struct {
	mu struct {
		sync.Mutex
		bytes.Buffer
	}
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.Write(p)
}

func (l *logLines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// String returns what was logged since the last want.
func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.Buffer.String()
}

// wantNone checks that nothing was logged since the last call.
func (l *logLines) wantNone(t testing.TB) {
	t.Helper()
	l.want(t, 0, "\n")
}

// want checks that exactly n lines were logged since the last call, each with
// text in it.
func (l *logLines) want(t testing.TB, n int, text string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.mu.String()
	l.mu.Reset()
	if strings.Count(log, "\n") != n || strings.Count(log, text) != n {
		t.Fatalf("logged, want %d lines with %q:\n%s", n, text, log)
	}
}

// wantLines checks that one line was logged for each text since the last call, in
// their order, with the text in it.
func (l *logLines) wantLines(t testing.TB, texts ...string) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.mu.String()
	l.mu.Reset()
	lines := slices.Collect(strings.Lines(log))
	if !slices.EqualFunc(lines, texts, strings.Contains) {
		t.Fatalf("logged, want lines with %q:\n%s", texts, log)
	}
}
