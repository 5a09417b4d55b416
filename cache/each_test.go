package cache

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// each returns the names Each gives, and reads every blob in full.
func each(t *testing.T, s *Store) (names []string) {
	t.Helper()
	check(t, s.Each(func(name string, b *Blob) error {
		names = append(names, name)
		acquire(t, b)
		var present []int64
		for i := range b.geo.blocks() {
			if b.Has(b.geo.extent(i, i+1)) {
				present = append(present, i)
			}
		}
		wantBlocks(t, b, present...)
		return nil
	}))
	return names
}

func wantEach(t *testing.T, s *Store, want ...string) {
	t.Helper()
	if got := each(t, s); !slices.Equal(got, want) {
		t.Fatalf("names %q, want %q", got, want)
	}
}

func TestEach(t *testing.T) {
	rng := random(t)
	s := open(t, t.TempDir(), Options{})
	wantEach(t, s)
	for _, name := range []string{"part", "c/whole", "a", "none", "b"} {
		b := create(t, s, name, blobSize)
		switch name {
		case "none":
		case "part":
			put(t, b, 1, 3)
		case "a": // complete, not published
			putAll(t, b)
		case "c/whole":
			putAll(t, b)
			check(t, publish(t, b))
		case "b":
			b.Abandon()
		}
	}
	s = reopen(t, s)
	wantEach(t, s, "a", "c/whole", "none", "part")

	check(t, os.Remove(filepath.Join(s.Path(), "c/whole")))
	flip(t, s.index, recordKey("a"), rng.Int())
	wantEach(t, s, "none", "part")

	stop := errors.New("stop")
	calls := 0
	if err := s.Each(func(string, *Blob) error { calls++; return stop }); err != stop || calls != 1 {
		t.Errorf("%d calls after an error, %v", calls, err)
	}
}

// TestEachOfMany: names come in the order of their bytes.
func TestEachOfMany(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var want []string
	for _, l := range longList() {
		want = append(want, l.Name)
	}
	for _, i := range random(t).Perm(len(want)) {
		_, err := s.Create(want[i], version(1))
		check(t, err)
	}
	syncNow(t, s)
	wantEach(t, s, want...)
}

// TestRecordedBesideWrites: what reads the records holds up no goroutine that writes,
// and finds what was there before.
func TestRecordedBesideWrites(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	var want []string
	for i := range 3*recordsAtOnce + 1 {
		want = append(want, fmt.Sprintf("f%06d", i))
		_, err := s.Create(want[i], version(1))
		check(t, err)
	}
	s = reopen(t, s)
	var got []string
	check(t, s.Recorded(func(name string, lookup func() (*Blob, error)) error {
		if len(got)%500 == 0 {
			_, err := s.Create("z"+name, version(1)) // behind all others: perhaps found, too
			check(t, err)
			syncNow(t, s)
		}
		if name[0] == 'f' {
			b, err := lookup()
			check(t, err)
			if b == nil || b.Version() != version(1) {
				t.Fatalf("%s: %v", name, b)
			}
		}
		got = append(got, name)
		return nil
	}))
	if !slices.Equal(got[:len(want)], want) {
		t.Errorf("%d names of %d", len(got), len(want))
	}
}

// TestRecordedLooksUp: whatever state a crash or a person has left a name in,
// Recorded has the blob for it that Lookup has.
func TestRecordedLooksUp(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	gens := map[string]uint64{}
	for _, name := range []string{"begun", "empty", "gone", "many/beside", "many/stands", "none", "stands", "whole", "z/deep/none"} {
		b := create(t, s, name, blobSize)
		switch name {
		case "begun", "gone":
			put(t, b, 2)
		case "whole":
			putAll(t, b)
			check(t, publish(t, b))
		case "empty":
			b = create(t, s, name, 0)
		}
		gens[name] = b.Generation()
	}
	syncNow(t, s)
	check(t, os.Remove(filepath.Join(blobsOf(s), blobID(gens["gone"]))))
	for _, name := range []string{"many/stands", "stands"} {
		path := filepath.Join(s.Path(), name)
		check(t, os.MkdirAll(filepath.Dir(path), 0o755))
		check(t, os.WriteFile(path, pattern(name, 0, blobSize), 0o644))
	}
	describe := func(name string, b *Blob) string {
		return fmt.Sprintf("%d bytes present, published %v, same blob %v", b.Present(), b.Published(), b.Generation() == gens[name])
	}
	recorded, byName := open(t, crash(t, s), Options{}), open(t, crash(t, s), Options{})
	want := map[string]string{}
	for name := range gens {
		want[name] = describe(name, lookup(t, byName, name))
	}
	got := map[string]string{}
	check(t, recorded.Each(func(name string, b *Blob) error {
		got[name] = describe(name, b)
		return nil
	}))
	if !maps.Equal(got, want) {
		t.Errorf("recorded %v\nlooked up %v", got, want)
	}
	for name, what := range map[string]string{
		"none":        "0 bytes present, published false, same blob true",
		"gone":        "0 bytes present, published false, same blob false",
		"many/stands": fmt.Sprint(blobSize, " bytes present, published true, same blob true"),
	} {
		if got[name] != what {
			t.Errorf("%s: %s, want %s", name, got[name], what)
		}
	}
}

// TestNamesIn: a directory of too many names is none to take stock of.
func TestNamesIn(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for _, name := range []string{"a", "b"} {
		check(t, os.WriteFile(filepath.Join(s.Path(), name), nil, 0o644))
	}
	if got, want := namesIn(s.root, 4), map[string]bool{"a": true, "b": true, ".dlfs": true}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := namesIn(s.root, 3); got != nil {
		t.Errorf("%v of a directory of three", got)
	}
}

// TestRecordedPastADamagedKey: badger's iterator ends at a key that cannot be, and
// says nothing. What it hides is still looked up, and nothing is swept.
func TestRecordedPastADamagedKey(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	const n = 900
	name := func(i int) string { return fmt.Sprintf("f%06d", i) }
	for i := range n {
		b := create(t, s, name(i), blobSize)
		put(t, b, 0)
	}
	syncNow(t, s)
	check(t, s.Close())
	blobs, err := os.ReadDir(dir + "/.dlfs/blobs")
	check(t, err)

	// The tables name a block by its first key, whole.
	damaged := 0
	for _, path := range tableFiles(t, dir) {
		data, err := os.ReadFile(path)
		check(t, err)
		if at := bytes.Index(data[len(data)/4:], []byte("f/f000")); at > 0 {
			data[len(data)/4+at] ^= 1
			check(t, os.WriteFile(path, data, 0o600))
			damaged++
		}
	}
	if damaged == 0 {
		t.Fatal("no key of a table was damaged")
	}
	var log logLines
	s = open(t, dir, Options{Log: log.logger()})
	recorded, found := 0, 0
	check(t, s.Recorded(func(string, func() (*Blob, error)) error { recorded++; return nil }))
	for i := range n {
		if b, err := s.Lookup(name(i)); err == nil && b != nil {
			found++
		}
	}
	if recorded == n || found < n*9/10 {
		t.Errorf("%d recorded, %d found, of %d", recorded, found, n)
	}
	log.want(t, damaged+2, "fetched again") // of each table, of the sweep, and of the pass
	if left, err := os.ReadDir(dir + "/.dlfs/blobs"); err != nil || len(left) != len(blobs) {
		t.Errorf("%d blobs of %d are left, %v", len(left), len(blobs), err)
	}
}
