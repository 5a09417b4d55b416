package cache

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// bitsOf reports whether the index has bits of a blob.
func bitsOf(b *Blob) (some bool, err error) {
	err = b.store.index.chunks(b.gen, func(int64, *words) { some = true })
	return some, err
}

// TestWholeFileNeedsNoBits stops a round before and after a file is renamed to its name. The
// index has no bits of a small file that was written whole since the last round, and those of
// any other.
func TestWholeFileNeedsNoBits(t *testing.T) {
	for _, c := range []struct {
		what  string
		size  int64
		early bool // the first block is durable before
		bits  bool
	}{
		{what: "one block", size: 4096},
		{what: "as long as may be", size: wholeBytes},
		{what: "longer", size: wholeBytes + 1, bits: true},
		{what: "begun before", size: blobSize, early: true, bits: true},
	} {
		t.Run(c.what, func(t *testing.T) {
			left := map[string]string{"about to rename": t.TempDir(), "renamed": t.TempDir()}
			var s *Store
			var b *Blob
			var failed []error
			atStep = func(name string) {
				to, wanted := left[name]
				if !wanted || b == nil {
					return
				}
				bits, err := bitsOf(b)
				if bits != c.bits {
					err = errors.Join(err, errors.New(name+": wrong about bits"))
				}
				failed = append(failed, err, copyDir(to, s.Path()))
			}
			t.Cleanup(func() { atStep = nil }) // after the store has been closed
			s = open(t, t.TempDir(), Options{})
			b = create(t, s, "a", c.size)
			if c.early {
				put(t, b, 0)
				syncNow(t, s)
			}
			putAll(t, b)
			check(t, publish(t, b))
			check(t, errors.Join(failed...))
			if len(failed) != 4 {
				t.Fatalf("%d looks, want 4", len(failed))
			}
			gen := b.gen
			b = nil // what is opened next goes on without a look
			before := lookup(t, open(t, left["about to rename"], Options{}), "a")
			if before.Complete() != c.bits || before.Published() {
				t.Errorf("before the rename: complete %v, want %v; published %v", before.Complete(), c.bits, before.Published())
			}
			putAll(t, before)
			check(t, publish(t, before))
			wantPublished(t, open(t, left["renamed"], Options{}), "a", gen)
			wantDir(t, filepath.Join(left["about to rename"], ".dlfs", "blobs"))
		})
	}
}

// TestWholeFileThatIsRefused: what a sync has made durable stays so where the file cannot be
// renamed to its name. A copy of the directory, as a kill leaves it, has all of its blocks.
func TestWholeFileThatIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	b, beside := create(t, s, "a", blobSize), create(t, s, "b", blobSize)
	putAll(t, b)
	putAll(t, beside)
	check(t, os.WriteFile(filepath.Join(s.Path(), "a"), []byte("of another program"), 0o644))
	var answer error
	beside.Publish(func(err error) { answer = err })
	var away *InTheWayError
	if err := publish(t, b); !errors.As(err, &away) {
		t.Fatalf("published over a file: %v", err)
	}
	check(t, answer)
	if some, err := bitsOf(b); err != nil || !some {
		t.Errorf("bits of the file that was refused: %v, %v", some, err)
	}
	if some, err := bitsOf(beside); err != nil || some {
		t.Errorf("bits of the file that was published: %v, %v", some, err)
	}
	left := t.TempDir()
	check(t, copyDir(left, s.Path()))
	check(t, os.Remove(filepath.Join(left, "a")))
	again := lookup(t, open(t, left, Options{}), "a")
	if !again.Complete() || again.gen != b.gen {
		t.Errorf("%d bytes of %d are left", again.Present(), blobSize)
	}
	check(t, publish(t, again))
	wantPublished(t, again.store, "a", b.gen)
}
