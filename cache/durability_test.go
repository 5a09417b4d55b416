package cache

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"dlfs/cache/hosttest"
)

// TestCrash copies the directory at each step of a blob's life and opens the
// copy.
func TestCrash(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "sub/a", blobSize)
	wantAfterCrash := func(want ...int64) {
		t.Helper()
		again := lookup(t, open(t, crash(t, s), Options{}), "sub/a")
		if again.Generation() != b.Generation() {
			t.Fatalf("generation %x came back as %x", b.Generation(), again.Generation())
		}
		wantBlocks(t, again, want...)
	}
	if b, err := open(t, crash(t, s), Options{}).Lookup("sub/a"); b != nil || err != nil {
		t.Fatalf("before the first sync: %v, %v", b, err)
	}
	syncNow(t, s)
	wantAfterCrash()
	put(t, b, 1)
	wantAfterCrash() // its bytes are there, its bit is not
	syncNow(t, s)
	wantAfterCrash(1)
	put(t, b, 3)
	wantAfterCrash(1)
	syncNow(t, s)
	wantAfterCrash(1, 3)
	put(t, b, 0, 2)
	b.Publish(func(error) {})
	wantAfterCrash(1, 3) // complete, wanted and not durable: not published
	wantDir(t, crash(t, s), ".dlfs")
	syncNow(t, s)
	dir := crash(t, s)
	wantFile(t, open(t, dir, Options{}), "sub/a", blobSize)
	wantAfterCrash(0, 1, 2, 3)
}

// renameOnly is the step of a round that moves a file to its name, and no more.
func renameOnly(t *testing.T, s *Store, b *Blob) {
	t.Helper()
	in := inDir{store: s}
	check(t, s.rename(b, &in))
	check(t, in.dir.Close())
}

// TestCrashInsideARound stops a round after each of its steps.
func TestCrashInsideARound(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "sub/a", blobSize)
	put(t, b, 0)
	syncNow(t, s)
	put(t, b, 1, 2, 3)
	b.Publish(func(error) {})
	steps := map[string]string{}

	c := b.take()
	defer b.Release()
	steps["take"] = crash(t, s)
	check(t, s.forceAll([]*claim{c}))
	steps["force"] = crash(t, s)
	check(t, s.writeBits([]*claim{c}, nil))
	steps["write"] = crash(t, s)
	renameOnly(t, s, b)
	steps["rename"] = crash(t, s)
	b.answer(nil) // as publishAll would

	for step, want := range map[string][]int64{
		"take": {0}, "force": {0}, "write": {0, 1, 2, 3}, "rename": {0, 1, 2, 3},
	} {
		t.Run(step, func(t *testing.T) {
			s := open(t, steps[step], Options{})
			b := lookup(t, s, "sub/a")
			wantBlocks(t, b, want...)
			if b.Published() != (step == "rename") {
				t.Fatalf("published: %v", b.Published())
			}
			putAll(t, b)
			check(t, publish(t, b))
			wantFile(t, s, "sub/a", blobSize)
			wantPublished(t, reopen(t, s), "sub/a", b.Generation())
		})
	}
}

// TestBlocksPutDuringARound: a round makes durable what it claimed, and leaves
// the bits of blocks that were put since to the next.
func TestBlocksPutDuringARound(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b := create(t, s, "a", blobSize)
	syncNow(t, s)
	put(t, b, 1)
	c := b.take()
	put(t, b, 0, 1, 3)
	check(t, s.forceAll([]*claim{c}))
	check(t, s.writeBits([]*claim{c}, nil))
	b.Release() // of the claim
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 1)
	wantRefs(t, b, 2)
	syncNow(t, s)
	wantBlocks(t, lookup(t, open(t, crash(t, s), Options{}), "a"), 0, 1, 3)
	wantRefs(t, b, 1)
}

// TestCrashAtRandom does random things to a few blobs and compares every crash
// with a model of what was durable: exactly that, to the block.
func TestCrashAtRandom(t *testing.T) {
	hosttest.NeedTime(t)
	rng := random(t)
	s := open(t, t.TempDir(), Options{})
	var all []*modelBlob
	for range 3 {
		all = append(all, newModelBlob(t, s, len(all), rng))
	}
	for range 250 {
		m := all[rng.IntN(len(all))]
		switch k := rng.IntN(40); {
		case k < 7 && m.Complete():
			m.redo(t, rng, all)
		case k < 28:
			m.putSome(t, rng)
		case k < 34:
			syncNow(t, s)
			synced(all)
		case k < 35:
			all = append(all, newModelBlob(t, s, len(all), rng))
		case k < 36:
			check(t, s.SetList([]Listed{{Name: fmt.Sprint(k)}}))
		default:
			wantModel(t, open(t, crash(t, s), Options{}), all)
		}
	}
	wantModel(t, open(t, crash(t, s), Options{}), all)
}

// modelBlob is a blob and what must be true of it, by block.
type modelBlob struct {
	*Blob
	put, durable     []bool
	known, published bool // as of the last sync
}

func newModelBlob(t *testing.T, s *Store, k int, rng *rand.Rand) *modelBlob {
	size := 1 + rng.Int64N(30*BlockSize)
	b := create(t, s, fmt.Sprintf("dir/%d/f", k), size)
	n := b.geo.blocks()
	m := &modelBlob{Blob: b, put: make([]bool, n), durable: make([]bool, n)}
	m.publish(t)
	return m
}

func (m *modelBlob) publish(t *testing.T) {
	m.Publish(func(err error) {
		if err != nil && !errors.Is(err, errAbandoned) {
			t.Error(err)
		}
	})
}

// synced says that all that was put is durable, and all that is complete is
// published.
func synced(all []*modelBlob) {
	for _, m := range all {
		m.durable = slices.Clone(m.put)
		m.published = !slices.Contains(m.durable, false)
		m.known = true
	}
}

// redo redoes some blocks, which syncs everything.
func (m *modelBlob) redo(t *testing.T, rng *rand.Rand, all []*modelBlob) {
	first := rng.Int64N(m.geo.blocks())
	n := 1 + rng.Int64N(5)
	m.Blob = redo(t, m.Blob, []Extent{{first * BlockSize, n * BlockSize}})
	synced(all)
	for i := first; i < min(first+n, m.geo.blocks()); i++ {
		m.put[i], m.durable[i] = false, false
	}
	m.published = false
	m.publish(t)
}

func (m *modelBlob) putSome(t *testing.T, rng *rand.Rand) {
	first := rng.Int64N(m.geo.blocks())
	end := min(first+1+rng.Int64N(4), m.geo.blocks())
	off, n := m.geo.extent(first, end)
	check(t, m.Put(off, pattern(m.name, off, n)))
	for i := first; i < end; i++ {
		m.put[i] = true
	}
}

// wantModel checks a store that was opened after a crash.
func wantModel(t *testing.T, s *Store, all []*modelBlob) {
	t.Helper()
	for _, m := range all {
		b, err := s.Lookup(m.name)
		check(t, err)
		if (b != nil) != m.known {
			t.Fatalf("%q: known %v, want %v", m.name, b != nil, m.known)
		}
		if b == nil {
			continue
		}
		acquire(t, b)
		var want []int64
		for i, on := range m.durable {
			if on {
				want = append(want, int64(i))
			}
		}
		wantBlocks(t, b, want...)
		if b.Published() != m.published || b.Generation() != m.Generation() {
			t.Fatalf("%q: published %v, want %v", m.name, b.Published(), m.published)
		}
		if m.published {
			wantFile(t, s, m.name, m.version.Size)
		}
	}
	check(t, s.Close())
}
